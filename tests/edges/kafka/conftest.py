"""A world of topics for each test and client library."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from streamlearn.edges.kafka.sink import KafkaSink
from streamlearn.edges.kafka.source import KafkaSource
from tests.edges.kafka.world import CLIENTS, World
from tests.kafka_broker import LocalBroker


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def world(kafka: str, prefix: str, client: str) -> World:
    return World(kafka, prefix, client)


@pytest.fixture
def own_world(own_broker: LocalBroker, prefix: str, client: str) -> World:
    return World(own_broker.address, prefix, client)


@pytest.fixture
def closing() -> Iterator[Callable[..., KafkaSource | KafkaSink]]:
    """Closes at the end what it is given."""
    opened: list[KafkaSource | KafkaSink] = []

    def remember(each: KafkaSource | KafkaSink) -> KafkaSource | KafkaSink:
        opened.append(each)
        return each

    yield remember
    for each in opened:
        each.close()
