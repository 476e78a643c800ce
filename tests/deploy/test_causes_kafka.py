"""Alerts whose cause is Kafka, or takes a minute: tried by causing them, as in test_causes.py (`make soak`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from tests.deploy.prometheus_server import Prometheus, scraping
from tests.deploy.test_causes import Illness, address, event, label, suffering, ward
from tests.deploy.watching import RULES
from tests.end_to_end.daemon_process import DaemonProcess, append, until
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import make_topics

pytestmark = [pytest.mark.kafka, pytest.mark.soak]
SLOW_S = 150.0
OLD_S = 1200.0


@pytest.fixture
def told(own_broker: LocalBroker, tmp_path: Path) -> list[str]:
    make_topics(
        own_broker.address, dict.fromkeys(("events", "labels", "queries", "rejected", "models", "candidates"), 1)
    )
    keys = ["log.kind=kafka", f"kafka.bootstrap_servers={own_broker.address}", f"store.path={tmp_path / 'store.db'}"]
    return [word for key in [*keys, "kafka.lost=earliest"] for word in ("--set", key)]


@pytest.fixture
def send(own_broker: LocalBroker) -> Iterator[Callable[..., None]]:
    producer = KafkaProducer(bootstrap_servers=own_broker.address)

    def send(count: int, through: KafkaProducer = producer) -> None:
        for i in range(count):
            through.send("events", json.dumps(event(i)).encode())
            through.send("labels", json.dumps(label(i)).encode())
        through.flush()

    yield send
    producer.close()


def found(server: Prometheus, alert: str) -> bool:
    return alert in {each for each, _ in suffering(server)}


def test_a_broker_that_is_away_and_back(
    own_broker: LocalBroker, told: list[str], send: Callable[..., None], tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path / "daemon", *told).wait_ready()
    try:
        with scraping(tmp_path / "prometheus", {"streamlearn": [address(daemon)]}, RULES) as server:
            send(50)
            until(lambda: server.ask("streamlearn_commits_total > 0"), "a commit")
            own_broker.stop()
            until(lambda: found(server, "StreamlearnNotReady"), "the alert", SLOW_S)
            own_broker.start()
            until(lambda: not found(server, "StreamlearnNotReady"), "calm", SLOW_S)
    finally:
        daemon.kill()


def test_a_producer_that_leaves_its_transaction_open(
    own_broker: LocalBroker, told: list[str], send: Callable[..., None], tmp_path: Path
) -> None:
    """The daemon is ready, has records to read, and must not: it falls behind, and would skip events to catch up."""
    other = KafkaProducer(bootstrap_servers=own_broker.address, transactional_id="other")
    other.init_transactions()
    other.begin_transaction()
    other.send("events", json.dumps(event(100)).encode(), timestamp_ms=int((time.time() - OLD_S) * 1000))
    other.commit_transaction()
    other.begin_transaction()
    send(20, other)
    told = [*told, "--set", "kafka.overload=sample", "--set", "kafka.backlog=1"]
    daemon = DaemonProcess(tmp_path / "daemon", *told).wait_ready()
    alerts = {"StreamlearnNoCommits", "StreamlearnLag", "StreamlearnEventsSkipped"}
    try:
        with scraping(tmp_path / "prometheus", {"streamlearn": [address(daemon)]}, RULES) as server:
            until(lambda: alerts <= {alert for alert, _ in suffering(server)}, f"{alerts}")
            assert daemon.ready()
            other.abort_transaction()
            send(20)
            until(lambda: not alerts & {alert for alert, _ in suffering(server)}, "calm")
    finally:
        other.close()
        daemon.kill()


def test_records_that_are_gone(
    own_broker: LocalBroker, told: list[str], send: Callable[..., None], tmp_path: Path
) -> None:
    """Found out at the start, so Prometheus never sees the counter rise."""
    daemon = DaemonProcess(tmp_path / "daemon", *told).wait_ready()
    try:
        send(50)
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 50, "the end of the log")
        assert 0 == daemon.drain()
        send(50)
        admin = KafkaAdminClient(bootstrap_servers=own_broker.address)
        admin.delete_records({TopicPartition("events", 0): 80})
        admin.close()
        daemon = DaemonProcess(tmp_path / "daemon", *told).wait_ready()
        with scraping(tmp_path / "prometheus", {"streamlearn": [address(daemon)]}, RULES) as server:
            until(lambda: ("StreamlearnRecordsLost", "") in suffering(server), "the alert")
            assert "30" == server.ask('streamlearn_lost_total{topic="events"}')[0]["value"][1]
    finally:
        daemon.kill()


def test_a_scorer_without_a_model(told: list[str], tmp_path: Path) -> None:
    more = [
        "--set",
        "topics.models=models",
        "--set",
        "topics.candidates=candidates",
        "--set",
        "models.for_scorers=true",
    ]
    scorer = DaemonProcess(tmp_path / "scorer", *told, *more, command="score")
    try:
        with scraping(tmp_path / "prometheus", {"streamlearn-scorers": [address(scorer)]}, RULES) as server:
            until(lambda: found(server, "StreamlearnScorersNotReady"), "the alert")
    finally:
        scorer.kill()


def test_a_loop_that_stands_still(tmp_path: Path) -> None:
    name = "StreamlearnLoopStuck"
    with ward(tmp_path, {name: Illness(("regularity.regularizer=faulty:hangs",))}) as (server, daemons):
        append(tmp_path / name / "streamlearn-data" / "labels.jsonl", *map(label, range(20)))
        until(lambda: found(server, name), "the alert", SLOW_S)
        assert 503 == daemons[name].get("/healthz")[0]
