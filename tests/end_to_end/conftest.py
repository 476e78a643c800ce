"""Fixtures of tests with whole daemons on Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.edges.kafka.world import CLIENTS
from tests.end_to_end.traffic import KafkaLog

ROLES = ("events", "labels", "queries", "rejected")


@pytest.fixture
def log(kafka: str, fresh_topics: Callable[..., dict[str, str]]) -> Iterator[KafkaLog]:
    """Topics of the test's own, of one partition each."""
    log = KafkaLog(kafka, fresh_topics(**dict.fromkeys(ROLES, 1)))
    yield log
    log.close()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Each client library."""
    name: str = request.param
    return name
