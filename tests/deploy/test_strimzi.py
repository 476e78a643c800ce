"""Topics and user for Strimzi: topics are as the daemon itself would make them, and the user's rights are enough."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ACLOperation, ResourceType

from streamlearn import config
from streamlearn.edges.kafka.admin import Topic
from streamlearn.edges.kafka.topics import SETTINGS, named, problems
from tests.deploy.tools import one, rendered
from tests.end_to_end.daemon_process import DaemonProcess, command, until
from tests.kafka_fixtures import make_topics
from tests.kafka_security import SecureBroker

TOPICS = config.Topics(models="models", candidates="candidates")  # as overlays/production says
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}


def topics() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in rendered("strimzi") if each["kind"] == "KafkaTopic"}


def rights() -> Iterator[tuple[ResourceType, str, list[ACLOperation]]]:
    for rule in one("strimzi", "KafkaUser", "streamlearn")["spec"]["authorization"]["acls"]:
        operations = [ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", each).upper()] for each in rule["operations"]]
        yield KINDS[rule["resource"]["type"]], rule["resource"]["name"], operations


def test_topics_are_as_the_daemon_would_make_them() -> None:
    assert set(named(TOPICS).values()) == set(topics())
    for role, name in named(TOPICS).items():
        spec = topics()[name]
        settings = {key: str(value) for key, value in spec["config"].items()}
        assert SETTINGS[role].items() <= settings.items()
        assert not list(problems(role, name, Topic(spec["partitions"], spec["replicas"], None, settings)))


def test_as_many_scorers_as_there_are_partitions() -> None:
    most = one("production", "ScaledObject", "streamlearn-scorers")["spec"]["maxReplicaCount"]
    assert topics()["events"]["partitions"] == most


@pytest.mark.kafka
def test_the_users_rights_are_enough(secure: SecureBroker, prefix: str, tmp_path: Path) -> None:
    """Under a broker's authorizer, with names of the test's own: check, run, score, and a store built anew."""
    for role, name in named(TOPICS).items():
        make_topics(secure.plain, {f"{prefix}-{name}": 1}, **SETTINGS[role])
    for kind, name, operations in rights():
        own = f"{prefix}-{name}" if kind == ResourceType.TOPIC else name.replace("streamlearn", prefix)
        secure.grant(kind, own, *operations)
    path = tmp_path / "config.toml"
    login = secure.sasl()
    lines = [
        f'name = "{prefix}"',
        '[log]\nkind = "kafka"',
        f'[kafka]\nbootstrap_servers = "{secure.addresses["SASL"]}"',
    ]
    lines += ["[kafka.settings]", *(f"{key} = {json.dumps(value)}" for key, value in login.items())]
    lines += ["[topics]", *(f'{role} = "{prefix}-{name}"' for role, name in named(TOPICS).items())]
    lines += ["[models]\nfor_scorers = true", f'[store]\npath = "{tmp_path / "store.db"}"', "[http]\nport = 0"]
    path.write_text("\n".join(lines))
    done = command(tmp_path, "check", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    producer = KafkaProducer(bootstrap_servers=secure.plain)

    def send(role: str, value: dict[str, Any]) -> None:
        producer.send(f"{prefix}-{role}", json.dumps(value).encode(), value["id"].encode())

    for i in range(40):
        send("labels", {"id": f"l{i}", "x": {"a": i % 7}, "y": i % 7 > 3})
    producer.flush()
    daemon = DaemonProcess(tmp_path / "daemon", str(path)).wait_ready()
    scorer = DaemonProcess(tmp_path / "scorer", str(path), command="score")
    try:
        scorer.wait_ready()
        for i in range(400):
            send("events", {"id": f"e{i}", "x": {"a": i % 7}})
        producer.flush()
        until(lambda: daemon.metrics().get('streamlearn_queries_issued_total{reason="score"}'), "a query")
        assert 0 == daemon.drain()
        daemon = DaemonProcess(tmp_path / "daemon", str(path), "--rebuild").wait_ready()
        assert 0 == daemon.drain()
        assert 0 == scorer.drain()
    finally:
        daemon.kill()
        scorer.kill()
        producer.close()
