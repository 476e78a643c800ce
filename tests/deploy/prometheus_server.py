"""A real Prometheus that scrapes what it is told to, every second."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import yaml

from tests.deploy.tools import prometheus
from tests.end_to_end.daemon_process import until
from tests.kafka_broker import free_ports


@final
class Prometheus:
    def __init__(self, address: str) -> None:
        self._address = address

    def _get(self, path: str, **query: str) -> Any:
        url = f"{self._address}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._address + "/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series, with their values of now."""
        found: list[dict[str, Any]] = self._get("/api/v1/query", query=expression)["result"]
        return found

    def alerts(self) -> dict[str, str]:
        """Alert → pending or firing, of those that are not calm."""
        return {each["labels"]["alertname"]: each["state"] for each in self._get("/api/v1/alerts")["alerts"]}


@contextmanager
def scraping(folder: Path, jobs: Mapping[str, list[str]], rules: Path) -> Iterator[Prometheus]:
    """jobs: job → addresses, as in 127.0.0.1:9464."""
    folder.mkdir()
    [port] = free_ports(1)
    told = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(told))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                prometheus("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: process.poll() is not None or server.ready(), "Prometheus")
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.kill()
        process.wait()
