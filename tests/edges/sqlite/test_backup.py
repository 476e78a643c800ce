"""A backup is one commit, whole, whatever is written meanwhile; put in the store's place it is that store."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from streamlearn.edges.sqlite.backup import backup
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import CannotStart, ConfigurationError, Unavailable
from streamlearn.service.ports import Saved
from tests.edges.disk import no_room_above
from tests.edges.sqlite.test_store import a_commit, flip


def loaded(path: Path) -> Saved:
    store = SqliteStore(path)
    try:
        return store.load()
    finally:
        store.close()


def test_a_copy_beside_a_writer_is_one_commit_whole(tmp_path: Path) -> None:
    """Each commit's snapshot names it, and its rows are counted: half of a commit would show."""
    path, written, stop = tmp_path / "store.db", [0], threading.Event()
    writer = SqliteStore(path)

    def write() -> None:
        while not stop.is_set():
            written[0] += 1
            writer.commit(a_commit(written[0], b"commit %d " % written[0] * 20_000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        numbers = []
        for i in range(8):
            while written[0] < 3 * (i + 1):
                pass
            before = written[0] - 1
            numbers.append(backup(path, tmp_path / f"{i}.db"))
            assert before <= numbers[-1] <= written[0]
    finally:
        stop.set()
        thread.join()
        writer.close()
    for i, number in enumerate(numbers):
        saved = loaded(tmp_path / f"{i}.db")
        assert (number, b"commit %d " % number * 20_000) == (saved.number, saved.snapshot)
        assert list(range(1, number + 1)) == [example.serial for example in saved.examples]
        assert 100 * number == len(saved.event_ids)
    assert len(set(numbers)) > 2, "the writer wrote meanwhile"


def test_a_copy_in_the_stores_place_is_the_store_of_then_though_the_log_of_the_other_lies_beside_it(
    tmp_path: Path,
) -> None:
    """As after kill −9: the write-ahead log is still there, and SQLite would replay it into the copy."""
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    store = SqliteStore(path)
    store.commit(a_commit(1))
    assert 1 == backup(path, copy)
    child = os.fork()
    if child == 0:
        for number in (2, 3):
            store.commit(a_commit(number))
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "store.db-wal").stat().st_size > 0
    reader = SqliteStore(copy, read_only=True)
    expected = reader.load()
    reader.close()
    beside = tmp_path / "elsewhere"
    beside.mkdir()
    for name in ("store.db-wal", "store.db-shm"):
        shutil.copy(tmp_path / name, beside / name)
    shutil.copy(copy, beside / "store.db")
    with pytest.raises(CannotStart, match="was left by another store"):
        SqliteStore(beside / "store.db", read_only=True)
    assert expected == loaded(beside / "store.db")
    assert {"store.db", "store.db.lock", "store.db-wal.stale"} == {each.name for each in beside.iterdir()}
    store.close()


def test_a_copy_overwrites_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    store = SqliteStore(path)
    store.commit(a_commit(1, os.urandom(300_000)))
    copy.write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already"):
        backup(path, copy)
    assert "mine" == copy.read_text()
    copy.unlink()
    with no_room_above(100_000), pytest.raises(Unavailable):
        backup(path, copy)
    with pytest.raises(ConfigurationError, match=f"there is no folder {tmp_path / 'none'}"):
        backup(path, tmp_path / "none/copy.db")
    with pytest.raises(ConfigurationError, match="there is no store"):
        backup(tmp_path / "none.db", copy)
    store.close()
    assert {"store.db", "store.db.lock"} == {each.name for each in tmp_path.iterdir()}
    assert 1 == backup(path, copy)


def test_a_damaged_store_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.commit(a_commit(1))
    store.close()
    flip(path, b"a label that waits")
    with pytest.raises(CannotStart, match=rf"{path} cannot be copied: the store {path} is damaged"):
        backup(path, tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy*"))
