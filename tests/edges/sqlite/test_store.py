"""What is particular to the SQLite store: damage, a second process, a full disk, a reader beside the writer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import CannotStart, ConfigurationError, Unavailable
from streamlearn.service.ports import Changes, Commit, Example, Message, Pending, Remembered, Waiting
from tests.edges.disk import no_room_above

SNAPSHOT = b"the state of the learner" * 300


def a_commit(number: int, snapshot: bytes = SNAPSHOT) -> Commit:
    changes = Changes(
        events_added=[Remembered(f"e{number}-{at}", 100 * number + at, b"features" * 8) for at in range(100)],
        pending_added=[Pending(f"e{number}-1", 100 * number + 1, b"features" * 8, "score", 1.5)],
        waiting_added=[Waiting(f"w{number}", number, b"a label that waits")],
        examples_put=[Example(number, f"e{number}-0", b"features" * 8, b"the answer", 1.0, 0, False)],
    )
    return Commit(
        number, {("events", 0): number}, snapshot, changes, {"queries": 7}, [Message("queries", b"", b"a query")]
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of three commits, closed."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    for number in [1, 2, 3]:
        store.commit(a_commit(number))
    store.close()
    return path


def flip(path: Path, value: bytes) -> None:
    """Flip a bit where `value` stands in the file."""
    content = bytearray(path.read_bytes())
    content[content.rindex(value) + 1] ^= 1
    path.write_bytes(content)


def test_a_store_that_is_closed_is_one_file_and_equal_when_reopened(path: Path) -> None:
    assert {"store.db", "store.db.lock"} == {entry.name for entry in path.parent.iterdir()}
    first = SqliteStore(path)
    saved = first.load()
    first.close()
    assert 3 == saved.number
    assert saved == SqliteStore(path).load()


def test_what_is_committed_is_there_though_the_process_ends_without_closing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    child = os.fork()
    if child == 0:
        store = SqliteStore(path)
        store.commit(a_commit(1))
        os._exit(0)
    assert (child, 0) == os.waitpid(child, 0)
    assert (1, SNAPSHOT) == (SqliteStore(path).load().number, SqliteStore(path, read_only=True).load().snapshot)


@pytest.mark.parametrize("value", [SNAPSHOT[:30], b"a label that waits", b"the answer", b"a query", b"number"])
def test_a_flipped_bit_is_refused(path: Path, value: bytes) -> None:
    flip(path, value)
    with pytest.raises(
        CannotStart, match=rf"the store {path} is damaged: .*; put the store of before back, or .* --rebuild"
    ):
        SqliteStore(path).load()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    ids = [f"e{number}-{at}" for number in [1, 2, 3] for at in range(100)]
    store = SqliteStore(path)
    expected = store.load(), store.recall(ids)
    store.close()
    flipped = bytearray(content)
    flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        with suppress(CannotStart):
            store = SqliteStore(path)
            assert expected == (store.load(), store.recall(ids))
    finally:
        store.close()
        for beside in path.parent.glob("store.db-*"):
            beside.unlink()
        path.write_bytes(content)


def test_a_flipped_bit_in_an_event_is_refused_when_it_is_recalled(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE events SET x = x || ? WHERE id = 'e2-5'", (b"damage",))
    database.close()
    store = SqliteStore(path)
    assert ["e2-4"] == list(store.recall(["e2-4"]))
    with pytest.raises(CannotStart, match="is damaged"):
        store.recall(["e2-5"])


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def no_database(path: Path) -> None:
    path.write_bytes(b'{"this is": "not a database"}\n' * 200)


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE meta (key, value)")
    database.close()


def of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def without_its_number(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM meta WHERE key = 'number'")
    database.close()


def without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE pending")
    database.close()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (truncated, "is damaged"),
        (no_database, "is damaged: file is not a database"),
        (of_another_program, "not a store of streamlearn"),
        (of_another_version, "has schema 99 .*: run the version that wrote it, or a later one"),
        (without_its_number, "is damaged"),
        (without_a_table, "is damaged: no such table"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_whole_store_is_refused_in_one_line(
    path: Path, spoil: Callable[[Path], None], told: str, read_only: bool
) -> None:
    spoil(path)
    with pytest.raises(CannotStart, match=told) as refused:
        SqliteStore(path, read_only=read_only).load()
    assert 1 == len(str(refused.value).splitlines())


def test_a_store_that_is_refused_is_not_left_locked(path: Path) -> None:
    content = path.read_bytes()
    no_database(path)
    with pytest.raises(CannotStart):
        SqliteStore(path)
    path.write_bytes(content)
    assert 3 == SqliteStore(path).load().number


def test_a_second_writer_is_told_who_the_first_is(path: Path) -> None:
    first = SqliteStore(path)
    with pytest.raises(CannotStart, match=rf"another streamlearn is running on {path} \(pid {os.getpid()}\)"):
        SqliteStore(path)
    first.close()
    SqliteStore(path).close()


def test_a_reader_beside_the_writer_sees_each_commit(path: Path) -> None:
    writer, reader = SqliteStore(path), SqliteStore(path, read_only=True)
    assert 3 == reader.load().number
    writer.commit(a_commit(4))
    assert writer.load() == reader.load()
    with pytest.raises(AssertionError):
        reader.commit(a_commit(5))


def test_a_reader_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no store at .*missing\.db"):
        SqliteStore(tmp_path / "missing.db", read_only=True)
    assert [] == list(tmp_path.iterdir())


def test_a_full_disk_is_the_worlds_fault_and_the_same_commit_succeeds_when_there_is_room(path: Path) -> None:
    store = SqliteStore(path)
    before = store.load()
    commit = a_commit(4, snapshot=os.urandom(200_000))
    with no_room_above(100_000):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"store\.db: "):
                store.commit(commit)
    assert before == store.load()
    store.commit(commit)
    store.close()
    saved = SqliteStore(path).load()
    assert (4, commit.snapshot) == (saved.number, saved.snapshot)


def test_a_disk_without_room_for_a_new_store_is_the_worlds_fault_and_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with no_room_above(10_000), pytest.raises(Unavailable):
        SqliteStore(tmp_path / "store.db")
    assert 0 == SqliteStore(tmp_path / "store.db").load().number


def test_a_store_that_another_program_holds_is_unavailable_and_can_be_tried_again(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        store.commit(a_commit(4))
    other.close()
    store.commit(a_commit(4))
    assert 4 == store.load().number


def test_a_commit_that_our_own_fault_stops_leaves_no_trace(path: Path) -> None:
    store = SqliteStore(path)
    before = store.load()
    with pytest.raises(TypeError):
        store.commit(a_commit(4, snapshot=None))  # type: ignore[arg-type]
    assert before == store.load()
    store.commit(a_commit(4))
