"""Topics on a real broker: created as each has to be, and looked at where they are there already."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACLOperation, ConfigResource, ConfigResourceType, ResourceType

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka import topics as kafka_topics
from streamlearn.edges.kafka.admin import Topic
from streamlearn.edges.kafka.sink import KafkaSink
from streamlearn.edges.kafka.topics import prepare
from streamlearn.errors import ConfigurationError, StreamlearnError, Unavailable
from streamlearn.service.ports import EVENTS, REJECTED
from tests.kafka_fixtures import make_topics
from tests.kafka_security import CLIENTS, SecureBroker, named

pytestmark = pytest.mark.kafka
every_client = pytest.mark.parametrize("client", CLIENTS)


def topics_of(prefix: str) -> config.Topics:
    return config.Topics(**{role: f"{prefix}-{role}" for role in ("events", "labels", "queries", "rejected")})


@pytest.fixture
def admin(kafka: str) -> Iterator[KafkaAdminClient]:
    made = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        yield made
    finally:
        made.close()


def settings_of(admin: KafkaAdminClient, name: str) -> dict[str, str]:
    told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    return {key: str(each["value"]) for key, each in told["topic"][name].items()}


@every_client
def test_what_is_missing_is_created_as_it_has_to_be(
    kafka: str, prefix: str, admin: KafkaAdminClient, client: str
) -> None:
    told = config.Kafka(kafka, client, create_topics=True, partitions=3, replication=1)
    topics = replace(topics_of(prefix), models=f"{prefix}-models")
    make_topics(kafka, {topics.queries: 1})
    sink = KafkaSink(prefix, told, topics)
    assert 0 == sink.open("store", 0)  # at once: what was created can be used
    sink.close()
    found = {
        each["name"]: each
        for each in admin.describe_topics([f"{prefix}-{role}" for role in ("events", "labels", "queries", "rejected")])
    }
    assert {name.removeprefix(f"{prefix}-"): len(each["partitions"]) for name, each in found.items()} == {
        "events": 3, "labels": 3, "queries": 1, "rejected": 3,
    }  # fmt: skip
    labels = settings_of(admin, topics.labels)
    assert ("delete", "-1", "-1") == (labels["cleanup.policy"], labels["retention.ms"], labels["retention.bytes"])
    assert "compact" == settings_of(admin, topics.models)["cleanup.policy"]
    assert "604800000" == settings_of(admin, topics.events)["retention.ms"]


@every_client
def test_without_being_told_to_nothing_is_created(
    kafka: str, prefix: str, admin: KafkaAdminClient, client: str
) -> None:
    topics = topics_of(prefix)
    with pytest.raises(Unavailable, match=f"topic '{topics.events}' does not exist on .*topics.events"):
        KafkaSink(prefix, config.Kafka(kafka, client), topics).open("store", 0)
    assert not any(name.startswith(prefix) for name in admin.list_topics())


@every_client
def test_several_that_create_at_once_do_not_meet(kafka: str, prefix: str, client: str) -> None:
    told, failed = config.Kafka(kafka, client, create_topics=True), list[Exception]()
    together = threading.Barrier(4)

    def start() -> None:
        made = clients.client(told)
        together.wait()
        try:
            prepare(topics_of(prefix), made)
        except StreamlearnError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [] == failed


@every_client
def test_more_replicas_than_brokers_are_refused_by_key(kafka: str, prefix: str, client: str) -> None:
    told = config.Kafka(kafka, client, create_topics=True, replication=7)
    with pytest.raises(
        ConfigurationError, match=r"topic '.*' cannot be created: .*; set kafka\.replication to at most"
    ):
        prepare(topics_of(prefix), clients.client(told))


@every_client
def test_what_may_do_harm_is_a_line_in_the_log_with_the_fix(
    kafka: str, prefix: str, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    topics = topics_of(prefix)
    models = f"{prefix}-models"
    topics = replace(topics, models=models)
    make_topics(kafka, {topics.events: 1}, **{"cleanup.policy": "compact"})
    make_topics(kafka, {topics.labels: 1})
    queries = {"max.message.bytes": "1000", "cleanup.policy": "compact,delete", "retention.ms": "-1"}
    make_topics(kafka, {topics.queries: 1}, **queries)
    make_topics(kafka, {topics.rejected: 1}, **{"min.insync.replicas": "2"})
    make_topics(kafka, {models: 1})
    told = config.Kafka(kafka, client)
    with caplog.at_level(logging.WARNING, "streamlearn"):
        prepare(topics, clients.client(told))
    lines = [each.getMessage() for each in caplog.records if each.name == "streamlearn"]
    alter = "kafka-configs.sh --alter --topic"
    unread = "records of one key replace each other unread"
    assert [
        f"topic '{topics.events}' has cleanup.policy=compact: {unread}; {alter} {topics.events} --add-config "
        "cleanup.policy=delete",
        f"topic '{topics.labels}' has retention.ms=604800000: labels beyond 604800000 ms are gone when a store is "
        f"rebuilt; {alter} {topics.labels} --add-config retention.ms=-1",
        f"topic '{topics.queries}' has cleanup.policy=compact,delete: {unread}; {alter} {topics.queries} --add-config "
        "cleanup.policy=delete",
        f"topic '{topics.queries}' has max.message.bytes=1000: larger messages cannot be written and stop the daemon; "
        f"{alter} {topics.queries} --add-config max.message.bytes=1048576",
        f"topic '{topics.rejected}' has min.insync.replicas=2 and 1 replicas: nothing can be written; "
        f"{alter} {topics.rejected} --add-config min.insync.replicas=1",
        f"topic '{models}' has cleanup.policy=delete: models add up, or the newest is gone when it is old; "
        f"{alter} {models} --add-config cleanup.policy=compact",
    ] == lines


@every_client
def test_what_was_created_does_no_harm(kafka: str, prefix: str, client: str, caplog: pytest.LogCaptureFixture) -> None:
    told = config.Kafka(kafka, client, create_topics=True)
    with caplog.at_level(logging.INFO, "streamlearn"):
        prepare(topics_of(prefix), clients.client(told))
    lines = [each.getMessage() for each in caplog.records if each.name == "streamlearn"]
    assert [f"created the topic '{prefix}-{role}'" for role in ("events", "labels", "queries", "rejected")] == lines


@every_client
def test_who_may_not_create_is_told_so_in_one_line(secure: SecureBroker, prefix: str, client: str) -> None:
    """A topic that we may not see looks to the broker like one that is not there, and is not created either."""
    login = named(client, secure.sasl(user="nobody"))
    told = config.Kafka(secure.addresses["SASL"], client, create_topics=True, settings=login)
    with pytest.raises(ConfigurationError, match=r"topic '.*-events': this user may not read it, or it does not exist"):
        prepare(topics_of(prefix), clients.client(told))
    for role in ("events", "labels", "queries", "rejected"):
        secure.grant(ResourceType.TOPIC, f"{prefix}-{role}", ACLOperation.DESCRIBE, user="nobody")
    with pytest.raises(ConfigurationError, match=r"topic '.*-events' cannot be created: .*; grant Create on it or on"):
        prepare(topics_of(prefix), clients.client(told))


def test_every_role_has_settings() -> None:
    assert set(config.Topics.__dataclass_fields__) == set(kafka_topics.SETTINGS)


def test_events_that_are_kept_for_less_than_a_day_are_warned_of():
    def said(role: str, kept_ms: str) -> list[str]:
        topic = Topic(1, 1, None, {"retention.ms": kept_ms})
        return [problem.text for problem in kafka_topics.problems(role, "t", topic) if not problem.fatal]

    assert ["topic 't' keeps events for 3600 s: a daemon that is down or behind for longer never sees them"] == said(
        EVENTS, "3600000"
    )
    assert [[]] * 3 == [said(EVENTS, kept_ms) for kept_ms in ("86400000", "604800000", "-1")]
    assert [] == said(REJECTED, "3600000")
