"""`streamlearn check` on real brokers: each thing that is wrong with a cluster is one line with the fix, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ACLOperation, ResourceType

from streamlearn import config, settings
from streamlearn.commands.check import check
from streamlearn.edges.kafka.sink import KafkaSink
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service.ports import EVENTS, LABELS, Changes, Commit
from tests.end_to_end.daemon_process import running, until
from tests.kafka_broker import LocalBroker, free_ports
from tests.kafka_fixtures import make_topics
from tests.kafka_security import CLIENTS, SecureBroker, named

pytestmark = pytest.mark.kafka
every_client = pytest.mark.parametrize("client", CLIENTS)
ROLES = ("events", "labels", "queries", "rejected")
KEPT = {"retention.ms": "-1"}
Looked = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def looked(kafka: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Looked:
    """`check` of a daemon called `prefix`: its exit code, and the lines that are not ok."""

    def look(*overrides: str, client: str = "kafka-python", **told: Any) -> tuple[int, list[str]]:
        topics = [f"topics.{role}={prefix}-{role}" for role in ROLES]
        own = [f"kafka.settings.{key}={value}" for key, value in named(client, told).items()]
        given = (
            f"name={prefix}", "log.kind=kafka", f"kafka.bootstrap_servers={kafka}", f"kafka.client={client}",
            f"store.path={tmp_path / 's.db'}", "http.port=-1", *topics, *own, *overrides,
        )  # fmt: skip
        code = check(settings.read(None, {}, given))
        return code, [line for line in capsys.readouterr().out.splitlines() if not line.startswith("ok   ")]

    return look


@pytest.fixture
def topics(kafka: str, prefix: str) -> config.Topics:
    make_topics(kafka, {f"{prefix}-{role}": 1 for role in ROLES}, **KEPT)
    return config.Topics(**{role: f"{prefix}-{role}" for role in ROLES})


def commit(kafka: str, name: str, topics: config.Topics, path: Path, count: int) -> None:
    """A store with so many commits, published as the daemon does it."""
    store = SqliteStore(path)
    sink = KafkaSink(name, config.Kafka(kafka), topics)
    try:
        saved = store.load()
        sink.open(saved.store_id, saved.number)
        for number in range(saved.number + 1, saved.number + count + 1):
            each = Commit(number, {(EVENTS, 0): 0, (LABELS, 0): 0}, b"", Changes(), {}, [])
            store.commit(each)
            sink.publish(each)
            store.clear_outbox()
    finally:
        sink.close()
        store.close()


@every_client
def test_a_cluster_with_which_nothing_is_wrong(looked: Looked, topics: config.Topics, client: str) -> None:
    assert (0, []) == looked(client=client)


@every_client
def test_a_mistyped_setting_is_named_as_that(looked: Looked, client: str) -> None:
    code, lines = looked("kafka.settings.security.protocl=SSL", client=client)
    assert (3, 1) == (code, len(lines))
    assert lines[0].startswith("FAIL kafka: kafka.settings.security.protocl is not a setting of")
    code, lines = looked(client=client, security_protocol="SLL")
    assert (3, 1) == (code, len(lines))
    assert "is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL" in lines[0]


@every_client
def test_a_broker_that_cannot_be_reached(looked: Looked, client: str) -> None:
    (port,) = free_ports(1)
    for address, says in {
        f"127.0.0.1:{port}": f"nothing listens on port {port} of 127.0.0.1 (Connection refused); start the broker, or correct",
        "no-such-host.invalid:9092": "the host name no-such-host.invalid is not known here; correct",
    }.items():
        expected = f"FAIL log: Kafka at {address}: cannot connect: {says} kafka.bootstrap_servers"
        code, lines = looked(f"kafka.bootstrap_servers={address}", client=client)
        assert (3, 1) == (code, len(lines))
        assert lines[0].startswith(expected)


@every_client
def test_a_secure_broker(looked: Looked, secure: SecureBroker, prefix: str, client: str) -> None:
    make_topics(secure.plain, {f"{prefix}-{role}": 1 for role in ROLES}, **KEPT)
    address = f"kafka.bootstrap_servers={secure.addresses['SASL']}"
    login = secure.sasl()
    code, lines = looked(address, client=client, **login | {"sasl_plain_password": "hunter2hunter2"})
    assert (3, 1) == (code, len(lines))
    assert "cannot connect: the broker does not accept the login; correct kafka.settings.sasl" in lines[0]
    assert "hunter2" not in lines[0]
    for role in ROLES:
        secure.grant(ResourceType.TOPIC, f"{prefix}-{role}", ACLOperation.DESCRIBE)
    code, lines = looked(address, client=client, **login)
    unpublished = (
        f"FAIL transactions: this user may not publish under the transactional id '{prefix}', which is the daemon's name"
        " - grant Write and Describe on it"
    )
    assert unpublished == lines.pop()
    assert [
        f"FAIL topic {role}: topic '{prefix}-{role}': this user may not {verb} it - grant {right} on it, or set "
        f"topics.{role}"
        for role, verb, right in zip(
            ROLES, ("read", "read", "write to", "write to"), ("Read", "Read", "Write", "Write"), strict=True
        )
    ] == lines
    for role in ROLES:
        right = ACLOperation.READ if role in ("events", "labels") else ACLOperation.WRITE
        secure.grant(ResourceType.TOPIC, f"{prefix}-{role}", right, ACLOperation.DESCRIBE_CONFIGS)
    secure.grant(ResourceType.TRANSACTIONAL_ID, prefix, ACLOperation.DESCRIBE)
    assert unpublished == looked(address, client=client, **login)[1][0]
    secure.grant(ResourceType.TRANSACTIONAL_ID, prefix, ACLOperation.WRITE)
    code, lines = looked(address, client=client, **login)
    assert (3, 1) == (code, len(lines))
    assert lines[0].startswith("FAIL store and log: ")
    assert lines[0].endswith("grant Read on the consumer group that is called as the daemon is (`name`)")
    secure.grant(ResourceType.GROUP, prefix, ACLOperation.READ)
    assert (0, []) == looked(address, client=client, **login)


@every_client
def test_topics_that_are_missing_or_wrong(looked: Looked, kafka: str, prefix: str, client: str) -> None:
    assert (0, []) == looked("kafka.create_topics=true", client=client)
    make_topics(kafka, {f"{prefix}-events": 1}, **{"cleanup.policy": "compact"})
    make_topics(kafka, {f"{prefix}-labels": 1})
    make_topics(kafka, {f"{prefix}-rejected": 1}, **{"max.message.bytes": "1000", "min.insync.replicas": "2"})
    code, lines = looked(client=client)
    harm = f"FAIL topic queries: '{prefix}-queries' does not exist - kafka-topics.sh --create --topic {prefix}-queries"
    assert (3, [f"{harm}, or set topics.queries or kafka.create_topics = true"]) == (
        code, [line for line in lines if line.startswith("FAIL")],
    )  # fmt: skip
    warned = [line for line in lines if line.startswith("warn")]
    keys = ("cleanup.policy=compact", "retention.ms=604800000", "min.insync.replicas=2", "max.message.bytes=1000")
    assert [True] * 4 == [key in line and "kafka-configs.sh" in line for key, line in zip(keys, warned, strict=True)]


@every_client
def test_a_store_and_a_log_that_are_of_one_history_or_not(
    looked: Looked, kafka: str, prefix: str, topics: config.Topics, tmp_path: Path, client: str
) -> None:
    path = tmp_path / "s.db"
    commit(kafka, prefix, topics, path, 2)
    assert (0, []) == looked(client=client)
    old = path.read_bytes()
    commit(kafka, prefix, topics, path, 3)
    assert (0, []) == looked(client=client)
    path.write_bytes(old)
    code, lines = looked(client=client)
    assert (3, 1) == (code, len(lines))
    assert lines[0].startswith("FAIL store and log: the store is at commit 2 and Kafka already at 5: an old copy; ")
    path.unlink()
    SqliteStore(path).close()
    code, lines = looked(client=client)
    assert (3, 1) == (code, len(lines))
    assert lines[0].startswith("FAIL store and log: this name's consumer group was written by another store ")


@every_client
def test_records_that_were_deleted_before_they_were_read(
    looked: Looked, kafka: str, prefix: str, topics: config.Topics, tmp_path: Path, client: str
) -> None:
    store = SqliteStore(tmp_path / "s.db")
    store.commit(Commit(1, {(EVENTS, 0): 7, (LABELS, 0): 0}, b"", Changes(), {}, []))
    store.close()
    code, lines = looked(client=client)
    assert (3, 1) == (code, len(lines))
    says = f"FAIL store and log: topic '{prefix}-events' partition 0 holds offsets 0 to 0, and the store goes on at 7"
    assert lines[0].startswith(says)


@every_client
def test_beside_a_running_daemon_nothing_is_wrong(
    looked: Looked, kafka: str, prefix: str, topics: config.Topics, tmp_path: Path, client: str
) -> None:
    """It commits all the time, so store and log are looked at while they move."""
    given = [f"topics.{role}={prefix}-{role}" for role in ROLES]
    given += [f"name={prefix}", "log.kind=kafka", f"kafka.bootstrap_servers={kafka}", f"store.path={tmp_path / 's.db'}"]
    arguments = [word for each in given for word in ("--set", each)]
    with running(tmp_path, *arguments) as daemon:
        producer = KafkaProducer(bootstrap_servers=kafka)
        for number in range(300):
            producer.send(topics.events, b'{"id": %d, "x": [1.0]}' % number)
            producer.flush(30)
            if number % 50 == 0:
                assert (0, []) == looked(client=client)
        producer.close()
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 300, "all events")
        assert daemon.metrics()["streamlearn_commits_total"] > 5


def test_a_broker_that_says_it_is_where_it_is_not(looked: Looked) -> None:
    """What `advertised.listeners` says reaches other brokers only: found is the cluster, and nothing can be read."""
    (port,) = free_ports(1)
    broker = LocalBroker(f"advertised.listeners=PLAINTEXT://no-such-host.invalid:{port}\n")
    try:
        code, lines = looked(f"kafka.bootstrap_servers={broker.start().address}")
    finally:
        broker.discard()
    assert 3 == code
    assert lines[0] == (
        f"FAIL broker 1: it says that it is at no-such-host.invalid:{port}, and the host name no-such-host.invalid is "
        "not known here; correct kafka.bootstrap_servers, or the DNS - correct advertised.listeners of that broker, or "
        "reach it by that name"
    )
