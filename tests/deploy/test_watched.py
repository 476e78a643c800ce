"""A real Prometheus looks at a daemon and a scorer on a real broker: whatever a panel or an alert asks has an answer."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest
from kafka import KafkaConsumer, KafkaProducer

from tests.deploy.prometheus_server import scraping
from tests.deploy.tools import prometheus
from tests.deploy.watching import RULES, expressions, foreign, names
from tests.end_to_end.daemon_process import DaemonProcess, until
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka
ROLES = ("events", "labels", "queries", "rejected", "models", "candidates")
WARM, BURST = 60, 200


def x(i: int) -> dict[str, float]:
    chance = random.Random(i)
    return {"a": chance.random(), "b": chance.gauss(0.0, 1.0)}


@final
class Traffic:
    """Events, some of them bad, and a labeler who answers every second query."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self._prefix, self._events, self._asked = prefix, 0, 0
        self._producer = KafkaProducer(bootstrap_servers=kafka)
        self._queries = KafkaConsumer(
            f"{prefix}-queries",
            bootstrap_servers=kafka,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )

    def send(self, role: str, value: dict[str, Any]) -> None:
        self._producer.send(f"{self._prefix}-{role}", json.dumps(value).encode(), str(value["id"]).encode())

    def warm(self) -> None:
        for i in range(WARM):
            self.send("labels", {"id": f"l{i}", "x": x(i), "y": x(i)["a"] > 0.5})
        self._producer.flush()

    def flow(self) -> None:
        for i in range(self._events, self._events + BURST):
            self.send("events", {"id": f"e{i}", "x": x(i)})
        self._events += BURST
        self.send("events", {"id": "bad", "x": "no features"})
        self.send("labels", {"id": "bad", "x": {"a": 1.0}, "y": [1]})
        for records in self._queries.poll(timeout_ms=100).values():
            for record in records:
                query = json.loads(record.value)
                self._asked += 1
                if self._asked % 2:
                    self.send("labels", {"id": query["id"], "y": query["x"]["a"] > 0.5})
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()
        self._queries.close()


@pytest.fixture
def traffic(kafka: str, prefix: str) -> Iterator[Traffic]:
    make_topics(kafka, {f"{prefix}-{role}": 1 for role in ROLES})
    traffic = Traffic(kafka, prefix)
    yield traffic
    traffic.close()


def told(kafka: str, prefix: str, folder: Path) -> list[str]:
    keys = [f"topics.{role}={prefix}-{role}" for role in ROLES]
    keys += [
        "log.kind=kafka",
        f"kafka.bootstrap_servers={kafka}",
        f"name={prefix}",
        f"store.path={folder / 'store.db'}",
    ]
    keys += ["models.for_scorers=true", "models.every_s=1", "queries.expire_s=2", "queries.outstanding=1000"]
    return [word for key in keys for word in ("--set", key)]


def test_every_panel_and_alert_has_an_answer(kafka: str, prefix: str, tmp_path: Path, traffic: Traffic) -> None:
    """Alerts are asked without their comparisons. While all is well none fires; both are killed, and that is seen."""
    prometheus("prometheus")  # or skip, before anything is started
    arguments = told(kafka, prefix, tmp_path)
    traffic.warm()
    daemon = DaemonProcess(tmp_path / "daemon", *arguments)
    scorer = DaemonProcess(tmp_path / "scorer", *arguments, command="score")
    try:
        jobs = {"streamlearn": daemon.wait_ready(), "streamlearn-scorers": scorer.wait_ready()}
        targets = {job: [each.address().removeprefix("http://")] for job, each in jobs.items()}
        with scraping(tmp_path / "prometheus", targets, RULES) as server:
            asked = {
                who: expression
                for who, expression in expressions().items()
                if not any(foreign(name) and name != "up" for name in names(expression))
            }
            empty = set(asked)

            def all_answered() -> bool:
                traffic.flow()
                for who in sorted(empty):
                    if server.ask(asked[who]):
                        empty.remove(who)
                return not empty

            try:
                until(all_answered, "every answer", patience_s=40.0)
            except AssertionError as error:
                raise AssertionError(f"no answer to {[(who, asked[who]) for who in sorted(empty)]}") from error
            assert not [alert for alert, state in server.alerts().items() if state == "firing"]
            daemon.signal(signal.SIGKILL)
            scorer.signal(signal.SIGKILL)
            until(lambda: {"StreamlearnDown", "StreamlearnScorersDown"} <= set(server.alerts()), "the alerts")
    finally:
        daemon.kill()
        scorer.kill()
