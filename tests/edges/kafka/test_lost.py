"""Partitions that are added, and positions that the log no longer holds: on a real broker, by each client library."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient, TopicPartition

from streamlearn import config
from streamlearn.edges.kafka.lost import resume
from streamlearn.edges.kafka.source import WATCH_S, KafkaSource
from streamlearn.errors import CannotStart
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, Changes, Commit, Message, Record, Skip
from tests.edges.kafka.world import PATIENCE_S, POSITIONS, STORE, World, commit, read
from tests.kafka_fixtures import make_topics


@contextmanager
def admin(world: World) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=world.address)
    yield client
    client.close()


def grow(world: World, topic: str, count: int) -> None:
    with admin(world) as client:
        client.create_partitions({topic: count})


def delete_before(world: World, topic: str, offset: int) -> None:
    """As retention does. An offset of -1: all."""
    with admin(world) as client:
        client.delete_records({TopicPartition(topic, 0): offset})


def until(source: KafkaSource, look: Callable[[], bool]) -> list[Record]:
    """Poll until something is the case."""
    records: list[Record] = []
    limit = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < limit
        records += source.poll(0.5)
    return records


def told(world: World, lost: str) -> World:
    world.kafka = replace(world.kafka, lost=lost)
    return world


# Partitions that are added.


@pytest.mark.kafka
def test_partitions_that_are_added_while_it_reads_are_read_from_their_beginning(world: World, closing):
    source, sink = closing(world.source()), closing(world.sink())
    world.produce(world.topics.events, [b"a", b"b"])
    source.open({})
    sink.open(STORE, 0)
    before = read(source, 2)
    grow(world, world.topics.events, 4)
    grow(world, world.topics.labels, 2)
    world.produce(world.topics.events, [b"c"], partition=3)
    world.produce(world.topics.labels, [b"l"], partition=1)
    world.produce(world.topics.events, [b"d"])
    began = time.monotonic()
    after = read(source, 3)
    assert time.monotonic() - began < WATCH_S + 8.0
    assert [(0, b"a"), (0, b"b")] == [(each.partition, each.value) for each in before]
    places = {(LABELS, 1, b"l"), (EVENTS, 0, b"d"), (EVENTS, 3, b"c")}
    assert (3, places) == (len(after), {(each.role, each.partition, each.value) for each in after})
    assert {(EVENTS, 0): 0, (EVENTS, 1): 0, (EVENTS, 2): 0, (EVENTS, 3): 0, (LABELS, 0): 0, (LABELS, 1): 0} == (
        source.lag()
    )
    positions = {(each.role, each.partition): each.next for each in before + after}
    sink.publish(Commit(1, positions, b"", Changes(), {}, [Message(QUERIES, b"id", b"q")]))
    places = POSITIONS.keys() | {(EVENTS, 3), (LABELS, 1)}
    committed = {each: (positions.get(each, 0), "store-a:1") for each in places}
    assert committed == world.committed(places)


@pytest.mark.kafka
def test_partitions_that_were_added_while_it_was_down_are_read_from_their_beginning(world: World, closing):
    world.produce(world.topics.events, [b"a", b"b"])
    first = closing(world.source())
    first.open({})
    (one, _) = read(first, 2)
    sink = closing(world.sink())
    sink.open(STORE, 0)
    sink.publish(commit(1, []))
    sink.close()
    grow(world, world.topics.events, 3)
    world.produce(world.topics.events, [b"c"], partition=2)
    second = closing(world.source())
    second.open({(EVENTS, 0): one.next})
    assert {b"b", b"c"} == {each.value for each in read(second, 2)}
    assert 1 == sink.open(STORE, 1)
    sink.publish(commit(2, [], {(EVENTS, 2): 1}))
    assert {(EVENTS, 2): (1, "store-a:2")} == world.committed([(EVENTS, 2)])


# Positions that are lost.


def test_a_position_that_the_log_holds_stays():
    assert [None] * 3 == [resume("stop", "p", offset, 2, 4) for offset in (2, 3, 4)]


@pytest.mark.parametrize(
    ("policy", "offset", "expected"),
    [
        ("earliest", 1, Skip(2, 1)),
        ("latest", 1, Skip(4, 3)),
        ("earliest", 5, Skip(2, None)),
        ("latest", 5, Skip(4, None)),
    ],
)
def test_a_lost_position_is_gone_on_from_where_the_operator_says(policy: str, offset: int, expected: Skip):
    assert expected == resume(policy, "p", offset, 2, 4)


@pytest.mark.parametrize(
    ("offset", "why"), [(1, "records were deleted unread"), (5, "the topic was cut short or made anew")]
)
def test_a_lost_position_stops_with_one_line_and_the_fix(offset: int, why: str):
    with pytest.raises(CannotStart) as caught:
        resume("stop", "topic 'e' partition 0", offset, 2, 4)
    assert str(caught.value) == (
        f"topic 'e' partition 0 holds offsets 2 to 4, and the store goes on at {offset}: {why}; set kafka.lost ="
        ' "earliest" or "latest" to go on without them, or start once with `streamlearn run --rebuild`, which builds a'
        " store from what the log holds"
    )


@pytest.mark.kafka
def test_records_that_retention_has_removed_while_it_was_down(world: World, closing):
    topic = world.topics.events
    world.produce(topic, [b"%d" % i for i in range(10)])
    delete_before(world, topic, 7)
    positions = {(EVENTS, 0): 4, (EVENTS, 1): 0}
    with pytest.raises(CannotStart, match=f"topic '{topic}' partition 0 holds offsets 7 to 10, and .* goes on at 4"):
        world.source().open(positions)
    for lost, expected, left in (("earliest", Skip(7, 3), 3), ("latest", Skip(10, 6), 0)):
        source = closing(told(world, lost).source())
        source.open(positions)
        assert {(EVENTS, 0): expected} == source.skipped()
        assert {} == source.skipped()
        assert [b"7", b"8", b"9"][:left] == [each.value for each in read(source, left)]
        assert {0} == set(source.lag().values())


@pytest.mark.kafka
@pytest.mark.parametrize("lost", ["stop", "earliest", "latest"])
def test_records_that_retention_removes_while_it_reads(world: World, closing, lost: str):
    """What was fetched is still handed out; all else is either read or told to be lost."""
    topic, count = world.topics.events, 160
    world.produce(topic, [b"%3d" % i + b"x" * 200_000 for i in range(count)])
    source = closing(told(world, lost).source())
    source.open({})
    records = source.poll(0.5)
    world.produce(topic, [b"other"], partition=1)
    delete_before(world, topic, count - 1)
    skips: dict[object, Skip] = {}

    def skipped() -> bool:
        skips.update(source.skipped())
        return bool(skips)

    if lost == "stop":
        with pytest.raises(CannotStart, match=f"partition 0 holds offsets {count - 1} to {count}, and the store goes"):
            until(source, skipped)
        return
    records += until(source, skipped)
    world.produce(topic, [b"after"])
    while b"after" not in [each.value for each in records]:
        records += read(source, 1)
    values = [each.value for each in records if each.partition == 0]
    numbers = [int(value[:3]) for value in values if value != b"after"]
    ((position, skip),) = skips.items()
    assert (EVENTS, 0) == position
    assert skip.lost is not None
    gone = range(skip.next - skip.lost, skip.next)
    assert len(gone) > 20
    assert list(range(count)) == sorted([*numbers, *gone])
    assert b"after" == values[-1]
    assert [b"other"] == [each.value for each in records if each.partition == 1]


@pytest.mark.kafka
def test_a_topic_that_was_made_anew(world: World, closing):
    names = {role: f"{world.name}-{role}-anew" for role in ("events", "labels")}
    world.topics = config.Topics(**names)
    make_topics(world.address, dict.fromkeys(names.values(), 1))
    world.produce(names["events"], [b"%d" % i for i in range(5)])
    with admin(world) as client:
        client.delete_topics([names["events"]])
    make_topics(world.address, {names["events"]: 1})
    world.produce(names["events"], [b"new"])
    with pytest.raises(
        CannotStart, match=r"holds offsets 0 to 1, .* goes on at 5: the topic was cut short or made anew"
    ):
        world.source().open({(EVENTS, 0): 5})
    for lost, expected, left in (("earliest", Skip(0, None), 1), ("latest", Skip(1, None), 0)):
        source = closing(told(world, lost).source())
        source.open({(EVENTS, 0): 5})
        assert {(EVENTS, 0): expected} == source.skipped()
        assert [b"new"][:left] == [each.value for each in read(source, left)]
