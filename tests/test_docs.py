"""What the README claims is there: commands, settings with their defaults, metrics, files."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from streamlearn import assemble, cli, settings
from streamlearn.config import Configuration
from streamlearn.service.health import Health
from streamlearn.service.metrics import METRICS, Measurements
from tests.end_to_end.daemon_process import append

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAPER = (ROOT / "docs/paper.md").read_text()
ASKING = (ROOT / "docs/asking.md").read_text()
USERS = (ROOT / "docs/users.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the tables' body rows."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def keys(part: object, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for field in fields(part):  # type: ignore[arg-type]  # a dataclass, by the call below
        value = getattr(part, field.name)
        found |= keys(value, f"{prefix}{field.name}.") if is_dataclass(value) else {f"{prefix}{field.name}": value}
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): json.loads(row[1].strip("`")) for row in rows(section("Configuration"))}
    real = {key: list(value) if isinstance(value, tuple) else value for key, value in keys(Configuration()).items()}
    assert real == documented


def test_every_metric_is_documented() -> None:
    documented = [(row[0].strip("`"), row[1], row[2], row[3]) for row in rows(section("Metrics"))]
    assert [(m.name, m.kind, ", ".join(m.labels) or "–", m.help) for m in METRICS] == documented


def test_every_command_is_documented() -> None:
    documented = {row[0].strip("`").split()[1] for row in rows(section("Commands"))}
    assert {path.stem for path in (ROOT / "streamlearn/commands").glob("*.py")} - {
        "__init__",
        "logs",
        "process",
    } == documented
    help_text = cli.parser().format_help()
    assert all(re.search(rf"^    {name} ", help_text, re.MULTILINE) for name in documented)


def test_every_metric_named_in_the_failure_table_exists() -> None:
    named = set(re.findall(r"`(streamlearn_[a-z_]+)", section("When things fail")))
    assert named
    assert named <= {metric.name for metric in METRICS}


@pytest.mark.parametrize("text", [README, PAPER, ASKING, USERS], ids=["README", "paper", "asking", "users"])
def test_every_file_named_exists(text: str) -> None:
    paths = re.findall(r"`((?:streamlearn|tests|edges|learner|service|queries|benchmarks|docs)/[\w./]*)`", text)
    assert paths
    missing = [path for path in paths if not ((ROOT / path).exists() or (ROOT / "streamlearn" / path).exists())]
    assert [] == missing


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_every_benchmark_is_in_the_table_and_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"| `{path.name}` |" in (ROOT / "benchmarks/README.md").read_text()
    monkeypatch.syspath_prepend(path.parent)  # as where it is run
    runpy.run_path(str(path))


def test_every_room_is_on_the_code_map() -> None:
    rooms = {f"streamlearn/{path.parent.name}/" for path in (ROOT / "streamlearn").glob("*/__init__.py")}
    assert rooms == {row[0].strip("`") for row in rows(section("Code map"))}


def test_the_configuration_of_the_guide_is_accepted(tmp_path: Path) -> None:
    text = section("Start with a file of your own: ten minutes to Kafka")
    toml = text.split('       name = "fraud"')[1].split("\n\n")[0]
    path = tmp_path / "config.toml"
    path.write_text('name = "fraud"' + "\n".join(line.strip() for line in toml.splitlines()))
    assert "fraud" == tomllib.loads(path.read_text())["name"]
    assert "kafka" == settings.read(path, {}, []).log.kind


def test_every_setting_that_the_page_on_the_paper_names_is_real() -> None:
    named = re.findall(r"`((?:regularity|model|training|queries)\.[a-z_]+)(?: = ([^`]+))?`", PAPER)
    assert len(named) > 10
    for key, value in named:
        assert key in settings.TYPES
        if value and "package" not in value:
            settings.read(None, {}, [f"{key}={json.loads(value)}"])


def test_the_example_of_the_page_on_the_paper_runs() -> None:
    exec(PAPER.split("```python\n")[1].split("```")[0], {})


def test_the_pictures_are_there() -> None:
    of_users = [f"docs/{path}" for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", USERS)]
    assert of_users == ["docs/users.png"]
    for path in [*re.findall(r"!\[[^]]*\]\(([^)]+)\)", README), *of_users]:
        assert (ROOT / path).read_bytes().startswith(b"\x89PNG")


def test_the_example_of_the_model_in_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = [(i, {"amount": float(i % 9), "country": "NL" if i % 2 else "DE"}) for i in range(40)]
    labels = [{"id": str(i), "x": x, "y": "fraud" if i % 9 > 4 else "ok"} for i, x in events]
    append(tmp_path / "streamlearn-data/labels.jsonl", *labels)
    told = settings.read(None, {}, ["http.port=-1"])
    daemon = assemble.daemon(told, Health(), Measurements(), lambda _: True, poll_timeout_s=0.0)
    daemon.start()
    daemon.turn()
    daemon.close()
    found: dict[str, Any] = {}
    exec(section("The model in Python").split("```python\n")[1].split("```")[0], found)
    assert ("fraud", "ok") == found["model"].classes


def test_the_example_of_river_runs(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {}
    exec(section("From river").split("```python\n")[1].split("```")[0], found)
    assert "Accuracy: 89" in capsys.readouterr().out
    assert found["learned"].tangent.shape == found["learned"].theta.shape
