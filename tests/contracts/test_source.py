"""What every source promises, on every adapter."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from confluent_kafka import Producer
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.config import Topics
from streamlearn.edges.files import FilesSource
from streamlearn.edges.memory import MemoryLog, MemorySource
from streamlearn.service.ports import EVENTS, LABELS, POLL_BYTES, POLL_RECORDS, RECORD_BYTES, Position, Record, Source
from tests.edges.kafka.world import CLIENTS, PATIENCE_S, World


@dataclass
class Log:
    """A log under test: how to append values to it, how to make a source that reads it, how long a poll may wait."""

    append: Callable[..., None]
    source: Callable[[], Source]
    wait_s: float = 0.0
    opened: list[Source] = field(default_factory=list)


def memory_log(folder: Path) -> Log:
    log = MemoryLog()

    def append(role: str, *values: bytes) -> None:
        for value in values:
            log.append(role, value)

    return Log(append, lambda: MemorySource(log))


def files_log(folder: Path) -> Log:
    def append(role: str, *values: bytes) -> None:
        with (folder / f"{role}.jsonl").open("ab") as file:
            file.writelines(value + b"\n" for value in values)

    return Log(append, lambda: FilesSource(folder, Topics()))


def kafka_log(address: str, prefix: str, client: str) -> Log:
    world = World(address, prefix, client)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 0, "enable.idempotence": True})  # keeps the order

    def append(role: str, *values: bytes) -> None:
        for value in values:
            producer.produce(getattr(world.topics, role), value, partition=0)
        assert producer.flush(PATIENCE_S) == 0

    return Log(append, world.source, wait_s=0.5)


@pytest.fixture(params=["memory", "files", *(pytest.param(each, marks=pytest.mark.kafka) for each in CLIENTS)])
def log(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Log]:
    if request.param in CLIENTS:
        made = kafka_log(request.getfixturevalue("kafka"), prefix, request.param)
    else:
        made = memory_log(tmp_path) if request.param == "memory" else files_log(tmp_path)
    yield made
    for source in made.opened:
        source.close()


def opened(log: Log, positions: dict[Position, int] | None = None) -> Source:
    source = log.source()
    source.open(positions or {})
    log.opened.append(source)
    return source


def polls(log: Log, source: Source, count: int) -> list[list[Record]]:
    """So many records, as they were polled; what waits already comes at once on logs that need no server."""
    found: list[list[Record]] = []
    limit = time.monotonic() + PATIENCE_S
    while sum(map(len, found)) < count and time.monotonic() < limit:
        found.append(source.poll(log.wait_s))
        assert found[-1] or log.wait_s, "nothing came"
    assert sum(map(len, found)) == count
    return found


def read(log: Log, source: Source, count: int) -> list[Record]:
    """So many records, and there are no more."""
    records = [each for polled in polls(log, source, count) for each in polled]
    assert (0, []) == (sum(source.lag().values()), source.poll(0))
    return records


def test_an_empty_log_gives_nothing(log: Log) -> None:
    source = opened(log)
    assert source.poll(0.01) == []
    assert set(source.lag().values()) <= {0}


def test_records_come_in_order_and_labels_first(log: Log) -> None:
    for role, value in [(EVENTS, b"1"), (LABELS, b"2"), (EVENTS, b"3")]:
        log.append(role, value)
    expected = [(LABELS, b"2"), (EVENTS, b"1"), (EVENTS, b"3")]
    assert expected == [(record.role, record.value) for record in read(log, opened(log), 3)]


def test_a_record_that_is_appended_while_poll_waits_is_delivered(log: Log) -> None:
    source = opened(log)
    writer = threading.Thread(target=log.append, args=(EVENTS, b"late"))
    writer.start()
    limit = time.monotonic() + PATIENCE_S
    while not (polled := source.poll(30)):
        assert log.wait_s, "it did not wait"  # Kafka's waits for half a second at most
        assert time.monotonic() < limit
    assert [b"late"] == [record.value for record in polled]
    writer.join()


def test_a_poll_is_bounded_in_records_and_labels_come_before_events(log: Log) -> None:
    labels, events = [b"label %d" % number for number in range(POLL_RECORDS)], [b"event %d" % i for i in range(5)]
    log.append(LABELS, *labels)
    log.append(EVENTS, *events)
    found = polls(log, opened(log), POLL_RECORDS + 5)
    assert max(map(len, found)) <= POLL_RECORDS
    for polled in found:
        roles = [record.role for record in polled]
        assert roles == sorted(roles, reverse=True)
    for role, values in ((LABELS, labels), (EVENTS, events)):
        assert values == [record.value for polled in found for record in polled if record.role == role]


def test_a_poll_is_bounded_in_bytes(log: Log) -> None:
    values = [b"%d" % number * 200_000 for number in range(10)] * 4
    log.append(EVENTS, *values)
    found = polls(log, opened(log), len(values))
    sizes = [sum(len(record.value or b"") for record in polled) for polled in found]
    assert max(sizes) < POLL_BYTES + RECORD_BYTES
    assert values == [record.value for polled in found for record in polled]


def test_next_is_where_to_go_on(log: Log) -> None:
    values = [b"%d" % number for number in range(20)]
    log.append(EVENTS, *values)
    for number, record in enumerate(read(log, opened(log), 20)):
        again = opened(log, {(EVENTS, record.partition): record.next})
        assert values[number + 1 :] == [later.value for later in read(log, again, 19 - number)]
        again.close()


def test_what_was_appended_after_the_last_poll_is_read_by_the_next_source(log: Log) -> None:
    log.append(EVENTS, b"before")
    source = opened(log)
    (record,) = read(log, source, 1)
    source.close()
    log.append(EVENTS, b"after")
    again = opened(log, {(EVENTS, record.partition): record.next})
    assert [b"after"] == [record.value for record in read(log, again, 1)]


def test_an_oversize_record_comes_as_its_head_and_size(log: Log) -> None:
    allowed, oversize = b"a" * RECORD_BYTES, b"b" * (RECORD_BYTES + 1)
    log.append(EVENTS, b"1", oversize, allowed, b"2")
    expected = [(b"1", 0), (oversize[:4096], len(oversize)), (allowed, 0), (b"2", 0)]
    assert expected == [(record.value, record.oversize) for record in read(log, opened(log), 4)]


def test_the_lag_falls_to_zero(log: Log) -> None:
    log.append(EVENTS, *[b"e"] * (POLL_RECORDS + 1))
    source = opened(log)
    lags = [source.lag()[EVENTS, 0]]
    while lags[-1]:
        if source.poll(log.wait_s):
            lags.append(source.lag()[EVENTS, 0])
    assert lags == sorted(set(lags), reverse=True)
    assert len(lags) > 2


Action = tuple[str, str]


def every_record_is_read_once(log: Log, actions: list[Action]) -> None:
    """Append (role, value), poll or restart, in this order; then read what is left."""
    source = opened(log)
    appended: dict[str, list[bytes]] = {EVENTS: [], LABELS: []}
    found: dict[str, list[bytes | None]] = {EVENTS: [], LABELS: []}
    positions: dict[Position, int] = {}

    def take(records: list[Record]) -> None:
        for record in records:
            found[record.role].append(record.value)
            positions[record.role, record.partition] = record.next

    for action, value in actions:
        if action == "poll":
            take(source.poll(0))
        elif action == "restart":
            source.close()
            source = opened(log, positions)
        else:
            log.append(action, value.encode())
            appended[action].append(value.encode())
    take(read(log, source, sum(map(len, appended.values())) - sum(map(len, found.values()))))
    assert appended == found
    source.close()


@pytest.mark.parametrize("make_log", [memory_log, files_log])
@settings(max_examples=60, deadline=None)
@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.sampled_from([EVENTS, LABELS]), st.binary(min_size=1, max_size=5).map(bytes.hex)),
            st.sampled_from([("poll", ""), ("restart", "")]),
        ),
        max_size=30,
    )
)
def test_polls_and_restarts_anywhere_read_every_record_once(
    make_log: Callable[[Path], Log], actions: list[Action]
) -> None:
    with TemporaryDirectory() as folder:
        every_record_is_read_once(make_log(Path(folder)), actions)


@pytest.mark.kafka
@pytest.mark.parametrize("client", CLIENTS)
def test_polls_and_restarts_anywhere_read_every_record_of_kafka_once(kafka: str, prefix: str, client: str) -> None:
    chance = random.Random(1)
    kinds = chance.choices([EVENTS, LABELS, "poll", "restart"], [6, 2, 6, 1], k=120)
    every_record_is_read_once(kafka_log(kafka, prefix, client), [(kind, str(i)) for i, kind in enumerate(kinds)])


def test_a_record_says_when_the_log_got_it_where_that_knows(log: Log) -> None:
    began = time.time()
    log.append(EVENTS, b"{}")
    (record,) = read(log, opened(log), 1)
    if log.wait_s:
        assert record.time is not None
        assert began - 1.0 < record.time < time.time() + 1.0
    else:
        assert record.time is None
