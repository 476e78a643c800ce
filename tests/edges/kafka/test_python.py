"""What kafka-python 3.0.12 is guarded against: each test fails where the guard is taken away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from streamlearn.edges.kafka import clients, python
from streamlearn.edges.kafka.client import Outgoing
from streamlearn.errors import Unavailable
from streamlearn.service.ports import EVENTS
from tests.edges.kafka.world import PATIENCE_S, POSITIONS, STORE, World, commit, read, until_available
from tests.end_to_end.daemon_process import until
from tests.kafka_broker import LocalBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def client() -> str:
    return "kafka-python"


def test_a_producer_that_is_fenced_while_sending_leaves_its_successors_open_transaction_alone(world: World, closing):
    older, newer = closing(world.sink()), closing(world.sink())
    older.open(STORE, 0)
    producer = older._writer.producer
    producer.begin_transaction()
    producer.send(world.topics.queries, b"one").get(PATIENCE_S)
    newer.open(STORE, 0)
    successor = newer._writer.producer
    successor.begin_transaction()
    successor.send(world.topics.queries, b"newer").get(PATIENCE_S)
    late = producer.send(world.topics.queries, b"two")  # to a partition that the broker had let it write to
    producer.flush(PATIENCE_S)
    assert "InvalidProducerEpochError" == type(late.exception).__name__
    successor.commit_transaction()
    assert [b"newer"] == world.visible(world.topics.queries)
    newer.publish(commit(1, []))


def test_offsets_of_an_aborted_transaction_are_not_committed_by_the_next_one(world: World, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    stale = sink._writer.producer
    stale.begin_transaction()
    offsets = {TopicPartition(world.topics.events, 0): OffsetAndMetadata(99, "store-a:99", -1)}
    stale.send_offsets_to_transaction(offsets, world.name)
    assert 0 == sink.open(STORE, 1)  # aborts it
    sink.publish(commit(1, [b"a"]))
    assert {position: (offset, "store-a:1") for position, offset in POSITIONS.items()} == world.committed()


def test_a_commit_with_a_message_that_has_expired_fails(own_broker: LocalBroker, own_world: World, closing):
    """kafka-python's own commit would succeed, without the message."""
    writer = clients.client(own_world.kafka).writer(own_world.name, PATIENCE_S)
    writer.producer._accumulator.config["delivery_timeout_ms"] = (
        1000  # before a request would, or the commit's deadline
    )
    writer.take_over()
    assert writer.knows(own_world.topics.queries, PATIENCE_S)

    def messages() -> Iterator[Outgoing]:
        waiting = writer.producer._accumulator
        yield Outgoing(own_world.topics.queries, b"k", b"sent")
        until(
            lambda: not waiting.has_incomplete,
            "its acknowledgement, and with it the partition's place in the transaction",
        )
        own_broker.pause()
        yield Outgoing(own_world.topics.queries, b"k", b"expired")
        until(lambda: not waiting.has_incomplete, "that it expires")
        own_broker.resume()

    with pytest.raises(KafkaTimeoutError):
        writer.publish(messages(), {(own_world.topics.events, 0): 5}, "store-a:1")
    writer.close()
    sink = closing(own_world.sink())
    assert 0 == until_available(lambda: sink.open(STORE, 1))
    assert [] == own_world.visible(own_world.topics.queries)


def test_a_transaction_whose_coordinator_refuses_the_connection_goes_on_when_it_is_back(
    own_broker: LocalBroker, own_world: World, closing
):
    """kafka-python's own sender would forget what it was about to send, and spin."""
    writer = closing(clients.client(own_world.kafka).writer(own_world.name, PATIENCE_S))
    writer.take_over()
    offsets = {(own_world.topics.events, 0): 5}
    before, message = (Outgoing(own_world.topics.queries, b"k", value) for value in (b"before", b"kept"))
    writer.publish([before], offsets, "store-a:1")
    own_broker.stop()
    with ThreadPoolExecutor(1) as elsewhere:
        published = elsewhere.submit(writer.publish, [message], offsets, "store-a:2")
        own_broker.start()
        published.result(PATIENCE_S)
    assert [b"before", b"kept"] == own_world.visible(own_world.topics.queries)


def test_what_a_poll_has_read_that_was_not_over_in_time_is_handed_out_by_the_next(world: World, closing, monkeypatch):
    """As where the process was stopped amid a poll, and went on later than the poll may take."""
    source = closing(world.source())
    source.open({})
    consumer = source._readers[EVENTS]._consumer
    poll = consumer.poll

    def late(**how: int) -> object:
        fetched = poll(**how)
        time.sleep(1.0 if fetched else 0.0)
        return fetched

    monkeypatch.setattr(consumer, "poll", late)
    monkeypatch.setattr(python, "POLL_LATE_S", 0.2)
    values = [b"%d" % i for i in range(10)]
    world.produce(world.topics.events, values)
    with pytest.raises(Unavailable, match="no answer"):
        read(source, 10)
    monkeypatch.undo()
    assert values == [each.value for each in read(source, 10)]
