"""What every sink promises, on every adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamlearn.config import Topics
from streamlearn.edges.files import FilesSink
from streamlearn.edges.memory import MemoryLog, MemorySink
from streamlearn.errors import StreamlearnError
from streamlearn.service.ports import PREDICTIONS, QUERIES, REJECTED, Changes, Commit, Message, Sink
from tests.edges.kafka.world import CLIENTS, World

STORE_ID = "a-store"


@dataclass
class Outputs:
    """Outputs under test: how to make a sink that writes them, and how to read them."""

    sink: Callable[[], Sink]
    values: Callable[[str], list[bytes]]


def memory_outputs(folder: Path) -> Outputs:
    log = MemoryLog()
    return Outputs(lambda: MemorySink(log, Topics()), log.values)


def files_outputs(folder: Path) -> Outputs:
    def values(role: str) -> list[bytes]:
        path = folder / f"{role}.jsonl"
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    return Outputs(lambda: FilesSink(folder, Topics()), values)


def kafka_outputs(address: str, prefix: str, client: str, opened: list[Sink]) -> Outputs:
    world = World(address, prefix, client)

    def sink() -> Sink:
        opened.append(world.sink())
        return opened[-1]

    def values(role: str) -> list[bytes]:
        topic = getattr(world.topics, role)
        return world.visible(topic) if topic else []

    return Outputs(sink, values)


@pytest.fixture(params=["memory", "files", *(pytest.param(each, marks=pytest.mark.kafka) for each in CLIENTS)])
def outputs(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Outputs]:
    if request.param not in CLIENTS:
        yield memory_outputs(tmp_path) if request.param == "memory" else files_outputs(tmp_path)
        return
    made: list[Sink] = []
    yield kafka_outputs(request.getfixturevalue("kafka"), prefix, request.param, made)
    for each in made:
        each.close()


def opened(outputs: Outputs, saved_number: int = 0) -> Sink:
    sink = outputs.sink()
    sink.open(STORE_ID, saved_number)
    return sink


def a_commit(number: int, sink: Sink, outbox: Sequence[Message]) -> Commit:
    return Commit(number, {("events", 0): number}, b"", Changes(), sink.ends(), outbox)


def query(value: bytes) -> Message:
    return Message(QUERIES, b"key", value)


def test_what_is_published_is_there_in_order(outputs: Outputs) -> None:
    sink = opened(outputs)
    sink.publish(a_commit(1, sink, [query(b"1"), Message(REJECTED, None, b"2"), query(b"3")]))
    sink.publish(a_commit(2, sink, []))
    sink.publish(a_commit(3, sink, [query(b"4")]))
    assert [b"1", b"3", b"4"] == outputs.values(QUERIES)
    assert [b"2"] == outputs.values(REJECTED)


def test_a_role_that_is_switched_off_is_dropped(outputs: Outputs) -> None:
    sink = opened(outputs)
    sink.publish(a_commit(1, sink, [Message(PREDICTIONS, None, b"1"), query(b"2")]))
    assert [] == outputs.values(PREDICTIONS)
    assert [b"2"] == outputs.values(QUERIES)


def test_a_commit_that_is_published_again_after_a_restart_is_there_once(outputs: Outputs) -> None:
    sink = opened(outputs)
    sink.publish(a_commit(1, sink, [query(b"1")]))
    commit = a_commit(2, sink, [query(b"2"), query(b"3")])
    sink.publish(commit)
    sink.close()
    again = outputs.sink()
    if again.open(STORE_ID, saved_number=2) != 2:  # as the daemon does
        again.publish(commit)
    assert [b"1", b"2", b"3"] == outputs.values(QUERIES)


def test_a_commit_that_was_stored_and_not_published_is_published_after_a_restart(outputs: Outputs) -> None:
    sink = opened(outputs)
    sink.publish(a_commit(1, sink, [query(b"1")]))
    commit = a_commit(2, sink, [query(b"2")])
    sink.close()
    again = outputs.sink()
    assert again.open(STORE_ID, saved_number=2) in (None, 1)
    again.publish(commit)
    assert [b"1", b"2"] == outputs.values(QUERIES)


def test_two_sinks_cannot_both_write(outputs: Outputs) -> None:
    first = opened(outputs)
    with pytest.raises(StreamlearnError):  # noqa: PT012 - the second is refused, or the first is fenced
        opened(outputs)
        first.publish(a_commit(1, first, [query(b"1")]))


def test_a_sink_that_is_closed_leaves_room_for_the_next(outputs: Outputs) -> None:
    opened(outputs).close()
    sink = opened(outputs)
    sink.publish(a_commit(1, sink, [query(b"1")]))
    assert [b"1"] == outputs.values(QUERIES)
