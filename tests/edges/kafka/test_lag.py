"""How old what is read is, by the times that Kafka tells of its records."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaProducer

from streamlearn.edges.system import SystemClock
from streamlearn.service.lag import Lag
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, POLL_RECORDS
from tests.edges.kafka.world import PATIENCE_S, World

pytestmark = pytest.mark.kafka
AGE_S = 3600.0


def test_while_there_is_more_the_lag_is_the_age_of_the_last_record_and_then_0(world: World, closing) -> None:
    written = time.time() - AGE_S
    producer = KafkaProducer(bootstrap_servers=world.address)
    for _ in range(POLL_RECORDS + 200):
        producer.send(world.topics.events, b"{}", partition=0, timestamp_ms=int(1000 * written))
    producer.flush(PATIENCE_S)
    producer.close(PATIENCE_S)
    source, clock, measured = closing(world.source()), SystemClock(), Measurements()
    lag, read, seen = Lag(measured, clock), 0, list[tuple[float, float]]()
    source.open({})
    while read < POLL_RECORDS + 200:
        records = source.poll(0.5)
        read += len(records)
        assert all(abs((record.time or 0.0) - written) < 0.002 for record in records)
        if records:
            lag.read(records)
            lag.tell(source.lag())
            measured.age(clock.monotonic())
            told = measured.snapshot()
            seen.append((told["streamlearn_lag"][EVENTS, "0"], told["streamlearn_lag_seconds"][EVENTS, "0"]))
    behind, (*_, last) = [age for unread, age in seen if unread], seen
    assert behind
    assert all(AGE_S <= age < AGE_S + PATIENCE_S for age in behind)
    assert last == (0.0, 0.0)
