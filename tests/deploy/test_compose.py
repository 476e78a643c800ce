"""compose.yaml: by the compose specification, and that what it mounts and configures is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from streamlearn import settings
from tests.deploy.tools import ROOT
from tests.deploy.watching import DASHBOARD, RULES

TEXT = (ROOT / "compose.yaml").read_text()


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)["services"]
    return found


def test_it_is_what_compose_takes() -> None:
    PyCompose.from_yaml(TEXT).to_spec()
    with pytest.raises(ValueError, match="reed_only"):
        PyCompose.from_yaml(TEXT.replace("read_only:", "reed_only:"))


def test_every_file_that_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounts = [each.split(":") for service in services.values() for each in service["volumes"]]
    files = {(ROOT / source).resolve() for source, *_ in mounts if source.startswith("./")}
    assert all(file.is_file() for file in files)
    assert {RULES, DASHBOARD} <= files
    volumes = yaml.safe_load(TEXT)["volumes"]
    assert set(volumes) == {source for source, *_ in mounts if not source.startswith("./")}


def test_the_daemon_reads_the_broker_that_is_there(services: dict[str, Any]) -> None:
    daemon = services["streamlearn"]
    configuration = settings.read(None, daemon["environment"], [])
    assert "kafka" == configuration.log.kind
    assert (
        f"INSIDE://{configuration.kafka.bootstrap_servers}"
        in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )
    [state] = [each.split(":")[1] for each in daemon["volumes"]]
    assert configuration.store.path.startswith(state)
    assert daemon["read_only"]


def test_nothing_listens_beyond_this_machine_and_every_image_has_a_version(services: dict[str, Any]) -> None:
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert ":" in service["image"]


def test_prometheus_grafana_and_dashboard_find_each_other(services: dict[str, Any]) -> None:
    def read(name: str) -> Any:
        return yaml.safe_load((ROOT / "deploy" / "compose" / name).read_text())

    [scraped] = read("prometheus.yaml")["scrape_configs"]
    assert {"job_name": "streamlearn", "static_configs": [{"targets": ["streamlearn:9464"]}]} == scraped
    [source] = read("datasource.yaml")["datasources"]
    assert "http://prometheus:9090" == source["url"]
    [provider] = read("dashboards.yaml")["providers"]
    assert any(f"{provider['options']['path']}/" in each for each in services["grafana"]["volumes"])
    assert "prometheus" == json.loads(DASHBOARD.read_text())["templating"]["list"][0]["query"]
