"""What is particular to the embedded log: half lines, torn outputs, files that other programs change."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.config import Topics
from streamlearn.edges.files import FilesSink, FilesSource
from streamlearn.errors import CannotStart, Unavailable
from streamlearn.service.ports import (
    EVENTS,
    POLL_BYTES,
    QUERIES,
    RECORD_BYTES,
    REJECTED,
    Changes,
    Commit,
    Message,
    Position,
    Record,
)
from tests.edges.disk import no_room_above


def opened(folder: Path, positions: dict[Position, int] | None = None) -> FilesSource:
    source = FilesSource(folder, Topics())
    source.open(positions or {})
    return source


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_a_missing_folder_is_made_with_the_files_to_append_to(tmp_path: Path) -> None:
    opened(tmp_path / "new" / "log")
    assert {"events.jsonl", "labels.jsonl"} == {path.name for path in (tmp_path / "new" / "log").iterdir()}


def test_a_half_written_line_is_waited_for(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    for part in [b'{"id"', b': "1', b'"}']:
        append(events, part)
        assert [] == source.poll(0)
    append(events, b'\n{"id": "2"}\n{"i')
    assert [b'{"id": "1"}', b'{"id": "2"}'] == values(source.poll(0))
    assert {EVENTS: 3} == {role: left for (role, _), left in source.lag().items() if left}


def test_a_half_written_line_that_its_writer_takes_back_is_forgotten(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    append(events, b"first\ntorn by a cra")
    assert [b"first"] == values(source.poll(0))
    os.truncate(events, len(b"first\n"))
    assert [] == source.poll(0)
    append(events, b"written anew, and longer than what was torn\n")
    assert [b"written anew, and longer than what was torn"] == values(source.poll(0))


def test_blank_lines_are_passed_over_and_line_ends_of_other_systems_are_cut_off(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    append(events, b"\n\r\n1\r\n   \n\n2\n\n")
    first, second = source.poll(0)
    assert [b"1", b"2"] == values([first, second])
    assert (3, 6) == (first.offset, first.next)
    assert 0 == source.lag()[EVENTS, 0]
    assert [] == source.poll(0)
    assert [b"2"] == values(opened(tmp_path, {(EVENTS, 0): first.next}).poll(0))


def test_a_line_of_ten_megabytes_is_never_held_and_comes_with_its_size(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    size = 10 << 20
    append(events, b"x" * size)
    tracemalloc.start()
    assert [] == source.poll(0)  # one poll scans part of it ...
    assert [] == source.poll(0.2)  # ... or, given time, all of it, and waits for its end
    assert size == source.lag()[EVENTS, 0]
    append(events, b"yz\nnext\n")
    oversize, following = source.poll(0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert Record(EVENTS, 0, 0, size + 3, None, b"x" * 4096, size + 2) == oversize
    assert Record(EVENTS, 0, size + 3, size + 8, None, b"next", 0) == following
    assert peak < 6 * RECORD_BYTES


def test_an_oversize_line_before_its_end_is_read_again_after_a_restart(tmp_path: Path, events: Path) -> None:
    append(events, b"1\n" + b"x" * POLL_BYTES)
    source = opened(tmp_path)
    (record,) = source.poll(0)
    append(events, b"\n2\n")
    again = opened(tmp_path, {(EVENTS, 0): record.next})
    assert [(b"x" * 4096, POLL_BYTES), (b"2", 0)] == [
        (one.value, one.oversize) for one in again.poll(1) + again.poll(0)
    ]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60).map(lambda data: bytes(b"ab\n\r"[byte % 4] for byte in data)), st.data())
def test_any_cut_of_the_writes_gives_the_lines_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, written: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    source = opened(folder)
    read: list[bytes | None] = []
    left = written
    while left:
        size = data.draw(st.integers(1, len(left)))
        append(folder / "events.jsonl", left[:size])
        left = left[size:]
        read += values(source.poll(0))
    complete = [line.removesuffix(b"\r") for line in written.split(b"\n")[:-1]]
    assert [line for line in complete if line.strip()] == read


def test_a_file_shorter_than_the_stored_position_cannot_be_read_on(tmp_path: Path, events: Path) -> None:
    append(events, b"1\n")
    with pytest.raises(CannotStart, match=r"shorter .* put the file back, or start once with --rebuild"):
        opened(tmp_path, {(EVENTS, 0): 3})


def test_a_position_amid_a_line_means_another_file(tmp_path: Path, events: Path) -> None:
    append(events, b"12345\n")
    with pytest.raises(CannotStart, match="not the file that was read before"):
        opened(tmp_path, {(EVENTS, 0): 3})


def test_a_file_that_is_cut_while_it_is_read_is_noticed_after_what_is_left_was_delivered(
    tmp_path: Path, events: Path
) -> None:
    source = opened(tmp_path)
    append(events, b"1\n")
    assert [b"1"] == values(source.poll(0))
    append(tmp_path / "labels.jsonl", b"label\n")
    os.truncate(events, 0)
    assert [b"label"] == values(source.poll(0))
    with pytest.raises(CannotStart, match="shorter"):
        source.poll(0)


def test_a_file_that_an_editor_replaces_is_read_on(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    append(events, b"1\nhal")
    assert [b"1"] == values(source.poll(0))
    (tmp_path / "edited").write_bytes(b"1\n2\n")
    (tmp_path / "edited").replace(events)
    assert [b"2"] == values(source.poll(0))


def test_a_file_that_is_away_makes_the_log_unavailable_until_it_is_back(tmp_path: Path, events: Path) -> None:
    source = opened(tmp_path)
    append(events, b"1\n")
    events.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match=r"events\.jsonl"):
        source.poll(0)
    (tmp_path / "away").rename(events)
    assert [b"1"] == values(source.poll(0))


def a_sink(folder: Path) -> FilesSink:
    sink = FilesSink(folder, Topics())
    sink.open("a-store", 0)
    return sink


def a_commit(sink: FilesSink, *lines: bytes) -> Commit:
    return Commit(1, {}, b"", Changes(), sink.ends(), [Message(QUERIES, None, line) for line in lines])


@settings(deadline=None)
@given(there=st.integers(0, 12), garbage=st.binary(max_size=5))
def test_a_torn_output_is_completed_without_touching_what_is_right(
    tmp_path_factory: pytest.TempPathFactory, there: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("log")
    queries = folder / "queries.jsonl"
    queries.write_bytes(b"before\n")
    sink = a_sink(folder)
    commit = a_commit(sink, b"first", b"second")
    append(queries, b"first\nsecond\n"[:there] + garbage)
    sink.publish(commit)
    sink.publish(commit)
    assert b"before\nfirst\nsecond\n" == queries.read_bytes()
    sink.close()


def test_a_reader_who_follows_the_queries_sees_each_once_though_they_are_published_again(tmp_path: Path) -> None:
    sink = a_sink(tmp_path)
    reader = FilesSource(tmp_path, Topics(events="queries"))
    reader.open({})
    commit = a_commit(sink, b"first", b"second")
    append(tmp_path / "queries.jsonl", b"first\nsec")
    assert [b"first"] == values(reader.poll(0))
    sink.publish(commit)
    assert [b"second"] == values(reader.poll(0))
    sink.publish(commit)
    assert [] == reader.poll(0)


def test_a_half_line_of_another_writer_is_closed_off(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_bytes(b"not ou")
    sink = a_sink(tmp_path)
    commit = a_commit(sink, b"ours")
    sink.publish(commit)
    sink.publish(commit)
    assert b"not ou\nours\n" == (tmp_path / "queries.jsonl").read_bytes()


def test_an_output_that_its_reader_moved_away_is_begun_again(tmp_path: Path) -> None:
    sink = a_sink(tmp_path)
    sink.publish(a_commit(sink, b"first"))
    (tmp_path / "queries.jsonl").rename(tmp_path / "read")
    sink.publish(a_commit(sink, b"second"))
    assert b"second\n" == (tmp_path / "queries.jsonl").read_bytes()


def test_an_output_that_was_switched_on_after_the_commit_stays_empty(tmp_path: Path) -> None:
    sink = a_sink(tmp_path)
    sink.publish(Commit(1, {}, b"", Changes(), {QUERIES: 0}, [Message(REJECTED, None, b"1")]))
    assert b"" == (tmp_path / "rejected.jsonl").read_bytes()


def test_a_value_on_several_lines_is_published_on_one(tmp_path: Path) -> None:
    sink = a_sink(tmp_path)
    sink.publish(a_commit(sink, b'{\n"id": 1\n}'))
    assert b'{ "id": 1 }\n' == (tmp_path / "queries.jsonl").read_bytes()


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    first = a_sink(tmp_path)
    first.open("a-store", 0)  # again, as after `Unavailable`
    with pytest.raises(CannotStart, match=rf"another streamlearn is running on {tmp_path} \(pid {os.getpid()}\)"):
        a_sink(tmp_path)
    first.close()
    a_sink(tmp_path)


def test_a_full_disk_is_the_worlds_fault_and_publishing_goes_on_when_there_is_room(tmp_path: Path) -> None:
    sink = a_sink(tmp_path)
    commit = a_commit(sink, b"x" * 5000, b"y" * 5000)
    with no_room_above(7000), pytest.raises(Unavailable, match="File too large"):
        sink.publish(commit)
    sink.publish(commit)
    assert b"x" * 5000 + b"\n" + b"y" * 5000 + b"\n" == (tmp_path / "queries.jsonl").read_bytes()
