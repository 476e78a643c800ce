"""What every source promises, on every adapter that needs no server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.config import Topics
from streamlearn.edges.files import FilesSource
from streamlearn.edges.memory import MemoryLog, MemorySource
from streamlearn.service.ports import EVENTS, LABELS, POLL_BYTES, POLL_RECORDS, RECORD_BYTES, Position, Record, Source


@dataclass
class Log:
    """A log under test: how to append to it and how to make a source that reads it."""

    append: Callable[[str, bytes], None]
    source: Callable[[], Source]


def memory_log(folder: Path) -> Log:
    log = MemoryLog()
    return Log(log.append, lambda: MemorySource(log))


def files_log(folder: Path) -> Log:
    def append(role: str, value: bytes) -> None:
        with (folder / f"{role}.jsonl").open("ab") as file:
            file.write(value + b"\n")

    return Log(append, lambda: FilesSource(folder, Topics()))


LOGS = pytest.mark.parametrize("make_log", [memory_log, files_log])
MakeLog = Callable[[Path], Log]


def drain(source: Source) -> list[Record]:
    """Everything there is, in the order of the polls."""
    records: list[Record] = []
    while polled := source.poll(0):
        records += polled
    return records


def opened(log: Log, positions: dict[Position, int] | None = None) -> Source:
    source = log.source()
    source.open(positions or {})
    return source


@LOGS
def test_an_empty_log_gives_nothing(make_log: MakeLog, tmp_path: Path) -> None:
    source = opened(make_log(tmp_path))
    assert source.poll(0.01) == []
    assert set(source.lag().values()) <= {0}


@LOGS
def test_records_come_in_order_and_labels_first(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    source = opened(log)
    for role, value in [(EVENTS, b"1"), (LABELS, b"2"), (EVENTS, b"3")]:
        log.append(role, value)
    expected = [(LABELS, b"2"), (EVENTS, b"1"), (EVENTS, b"3")]
    assert expected == [(record.role, record.value) for record in source.poll(0)]


@LOGS
def test_a_record_that_is_appended_while_poll_waits_is_delivered(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    source = opened(log)
    writer = threading.Thread(target=log.append, args=(EVENTS, b"late"))
    writer.start()
    assert [b"late"] == [record.value for record in source.poll(30)]
    writer.join()


@LOGS
def test_a_poll_is_bounded_in_records(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    source = opened(log)
    for number in range(POLL_RECORDS):
        log.append(LABELS, b"label %d" % number)
    for number in range(5):
        log.append(EVENTS, b"event %d" % number)
    assert [LABELS] * POLL_RECORDS == [record.role for record in source.poll(0)]
    assert [EVENTS] * 5 == [record.role for record in source.poll(0)]


@LOGS
def test_a_poll_is_bounded_in_bytes(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    source = opened(log)
    values = [b"%d" % number * 200_000 for number in range(10)] * 4
    for value in values:
        log.append(EVENTS, value)
    first = source.poll(0)
    assert sum(len(record.value or b"") for record in first) < POLL_BYTES + RECORD_BYTES
    assert values == [record.value for record in first + drain(source)]


@LOGS
def test_next_is_where_to_go_on(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    values = [b"%d" % number for number in range(20)]
    for value in values:
        log.append(EVENTS, value)
    for number, record in enumerate(drain(opened(log))):
        again = drain(opened(log, {(EVENTS, record.partition): record.next}))
        assert values[number + 1 :] == [later.value for later in again]


@LOGS
def test_what_was_appended_after_the_last_poll_is_read_by_the_next_source(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    log.append(EVENTS, b"before")
    source = opened(log)
    (record,) = drain(source)
    source.close()
    log.append(EVENTS, b"after")
    again = opened(log, {(EVENTS, record.partition): record.next})
    assert [b"after"] == [record.value for record in drain(again)]


@LOGS
def test_an_oversize_record_comes_as_its_head_and_size(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    source = opened(log)
    allowed, oversize = b"a" * RECORD_BYTES, b"b" * (RECORD_BYTES + 1)
    for value in [b"1", oversize, allowed, b"2"]:
        log.append(EVENTS, value)
    expected = [(b"1", 0), (oversize[:4096], len(oversize)), (allowed, 0), (b"2", 0)]
    assert expected == [(record.value, record.oversize) for record in drain(source)]


@LOGS
def test_the_lag_falls_to_zero(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(tmp_path)
    for _ in range(POLL_RECORDS + 1):
        log.append(EVENTS, b"e")
    source = opened(log)
    lags = [source.lag()[EVENTS, 0]]
    while source.poll(0):
        lags.append(source.lag()[EVENTS, 0])
    assert lags == sorted(set(lags), reverse=True)
    assert lags[-1] == 0


@LOGS
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
def test_polls_and_restarts_anywhere_read_every_record_once(make_log: MakeLog, actions: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        log = make_log(Path(folder))
        source = opened(log)
        appended: dict[str, list[bytes]] = {EVENTS: [], LABELS: []}
        read: dict[str, list[bytes | None]] = {EVENTS: [], LABELS: []}
        positions: dict[Position, int] = {}
        for action, value in [*actions, ("poll", "")]:
            if action == "poll":
                for record in source.poll(0):
                    read[record.role].append(record.value)
                    positions[record.role, record.partition] = record.next
            elif action == "restart":
                source.close()
                source = opened(log, positions)
            else:
                log.append(action, value.encode())
                appended[action].append(value.encode())
        assert appended == read
        source.close()
