"""What deploy/README.md names is there: files, commands, settings, metrics."""

from __future__ import annotations

import re
import shlex

import pytest

from streamlearn import cli, settings
from streamlearn.service.metrics import BY_NAME
from tests.deploy.tools import DEPLOY, OVERLAYS, ROOT, rendered

TEXT = (DEPLOY / "README.md").read_text()
README = (ROOT / "README.md").read_text()


def test_every_folder_is_described() -> None:
    named = set(re.findall(r"^\| `([\w./]+)`", TEXT, re.MULTILINE))
    assert all((DEPLOY / name).exists() for name in named)
    rooms = {f"{path.relative_to(DEPLOY)}/" for path in DEPLOY.rglob("kustomization.yaml") for path in [path.parent]}
    assert rooms <= named
    assert set(OVERLAYS) == {path.name for path in (DEPLOY / "overlays").iterdir()}


def test_every_command_in_the_container_is_one() -> None:
    """And speaks of files that are there: where the configuration is mounted, and where the store is."""
    lines = re.findall(r"-- streamlearn (.+)$", TEXT, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line)
        cli.parser().parse_args(words)
        assert all(
            word.startswith(("/etc/streamlearn/config.toml", "/var/lib/streamlearn/")) for word in words if "/" in word
        )


def test_every_resource_that_a_command_names_is_there() -> None:
    there = {f"{each['kind'].lower()}/{each['metadata']['name']}" for name in OVERLAYS for each in rendered(name)}
    named = set(re.findall(r"\b((?:statefulset|kafkauser)[/ ][a-z]+)", TEXT))
    assert {name.replace(" ", "/") for name in named} <= there
    assert set(re.findall(r"apply -k (\S+)", TEXT + README)) == {f"deploy/overlays/{name}" for name in OVERLAYS}


@pytest.mark.parametrize(
    "pattern", [r"`((?:drift|kafka|labels|training|queries|features|regularity|scorers|models)\.[a-z_]+)"]
)
def test_every_setting_is_real(pattern: str) -> None:
    named = set(re.findall(pattern, TEXT))
    assert len(named) > 10
    assert named <= set(settings.TYPES)


def test_every_metric_is_real() -> None:
    assert set(re.findall(r"`(streamlearn_[a-z_]+)", TEXT)) <= set(BY_NAME)


def test_every_link_leads_somewhere() -> None:
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors
