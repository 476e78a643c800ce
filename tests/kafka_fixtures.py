"""Fixtures that give a Kafka broker: the one named by STREAMLEARN_TEST_KAFKA, else a container, else a local one.

Without any of the three the tests are skipped, saying why; where CI is set they fail, so that nobody believes that they
ran. A broker is started only when a test asks for it, once a session (a worker of pytest-xdist is a session).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient

from tests.kafka_broker import BrokerError, LocalBroker
from tests.kafka_security import SecureBroker

DOCKER_S = 5  # an engine that does not answer in this time is none


def container() -> Iterator[str]:
    """The address of a broker in a container; raises BrokerError where no engine answers."""
    try:
        import docker
        from testcontainers.community.kafka import KafkaContainer

        docker.from_env(timeout=DOCKER_S).ping()
        broker = KafkaContainer().with_kraft().with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false").start()
    except Exception as error:  # a client library has many ways of not finding an engine, or an image
        raise BrokerError(f"no broker in a container ({type(error).__name__})") from error
    try:
        yield broker.get_bootstrap_server()
    finally:
        broker.stop()


def local() -> Iterator[str]:
    """The address of a local broker; raises BrokerError where it cannot run."""
    broker = LocalBroker()
    try:
        yield broker.start().address
    finally:
        broker.discard()


def without_broker(why: str) -> None:
    """Fail in CI, skip elsewhere."""
    text = f"these tests need a Kafka broker: {why}; or set STREAMLEARN_TEST_KAFKA to a broker's address"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real broker, shared by the session's tests."""
    given = os.environ.get("STREAMLEARN_TEST_KAFKA")
    if given:
        yield given
        return
    reasons = []
    for way in (container, local):
        brokers = way()
        try:
            address = next(brokers)
        except BrokerError as error:
            reasons.append(str(error))
            continue
        yield address
        brokers.close()
        return
    without_broker("; ".join(reasons))


@contextmanager
def started_broker() -> Iterator[LocalBroker]:
    """One that may be stopped, killed and paused; without what it takes tests are skipped, or fail."""
    try:
        broker = LocalBroker()
    except BrokerError as error:
        without_broker(str(error))
        raise
    try:
        yield broker.start()
    finally:
        broker.discard()


@pytest.fixture
def own_broker() -> Iterator[LocalBroker]:
    """A started broker of the test's own."""
    with started_broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """A broker with every kind of security, shared by the session's tests."""
    try:
        broker = SecureBroker(tmp_path_factory.mktemp("secure"))
    except BrokerError as error:
        without_broker(str(error))
        raise
    try:
        broker.broker.start()
        yield broker
    finally:
        broker.discard()


def make_topics(address: str, partitions: dict[str, int], **configs: str) -> None:
    """Create topics; return when they can be used."""
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        wanted = {
            name: {"num_partitions": count, "replication_factor": 1, "configs": configs}
            for name, count in partitions.items()
        }
        admin.create_topics(wanted, timeout_ms=30_000, wait_for_metadata=True)
    finally:
        admin.close()


@pytest.fixture
def prefix() -> str:
    """A name that no other test uses, for topics, groups and transactional ids."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def fresh_topics(kafka: str, prefix: str) -> Callable[..., dict[str, str]]:
    """`fresh_topics(events=2, labels=1)` creates topics with so many partitions and returns role → topic name."""

    def create(**partitions: int) -> dict[str, str]:
        names = {role: f"{prefix}-{role}" for role in partitions}
        make_topics(kafka, {names[role]: count for role, count in partitions.items()})
        return names

    return create
