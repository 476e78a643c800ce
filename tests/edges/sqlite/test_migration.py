"""A store of schema 2, dumped with the code that wrote it, is brought up to date: all of it or nothing, and a copy kept."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streamlearn import settings
from streamlearn.commands.check import check
from streamlearn.edges.sqlite import schema as sqlite_schema
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import CannotStart
from tests.end_to_end.kills import restored

DUMP = Path(__file__).with_name("store_of_version_2.sql")
THETA = [-0.1474267183127734, -0.520516161076466, 0.7249639081108061]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMP.read_text())
        database.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        database.execute("PRAGMA user_version = 2")
        database.execute("PRAGMA journal_mode = WAL")
    return path


def rows(path: Path) -> list[str]:
    """Everything in a file, as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return [*database.iterdump(), str(database.execute("PRAGMA user_version").fetchone())]


def copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob("store.db.version-2-*"))


def test_an_older_store_is_brought_up_to_date_and_holds_what_it_held(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = rows(path)
    with caplog.at_level(logging.INFO, "streamlearn"):
        store = SqliteStore(path)
    saved = store.load()
    store.close()
    (copy,) = copies(path)
    assert before == rows(copy)
    assert [f"the store {path} was of schema 2 and is of 4 now; as it was it is {copy}"] == caplog.messages
    assert (1, 40, 14, 3, None) == (
        saved.number,
        len(saved.event_ids),
        len(saved.examples),
        len(saved.pending),
        saved.replaces,
    )
    _, pipeline = restored(path)
    assert pipeline.state.published is not None
    assert THETA == pipeline.state.published.theta.tolist()
    SqliteStore(path).close()
    assert [copy] == copies(path), "once"


def after_the_copy(patch: pytest.MonkeyPatch) -> None:
    copy_to = SqliteStore.copy_to

    def copied(store: SqliteStore, path: Path) -> None:
        copy_to(store, path)
        os._exit(9)

    patch.setattr(SqliteStore, "copy_to", copied)


def before_the_end(patch: pytest.MonkeyPatch) -> None:
    step = sqlite_schema.MIGRATIONS[2]

    def stepped(database: sqlite3.Connection) -> None:
        step(database)
        os._exit(9)

    patch.setitem(sqlite_schema.MIGRATIONS, 2, stepped)


def after_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.Logger, "info", lambda *args, **named: os._exit(9))


@pytest.mark.parametrize(
    ("moment", "version"), [(after_the_copy, "(2,)"), (before_the_end, "(2,)"), (after_the_end, "(4,)")]
)
def test_a_process_that_ends_in_the_middle_leaves_the_one_or_the_other(
    path: Path, moment: Callable[[pytest.MonkeyPatch], None], version: str
) -> None:
    before = rows(path)
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            moment(patch)
            SqliteStore(path)
        os._exit(0)
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = rows(path)
    assert version == found[-1]
    assert (found == before) == (version == "(2,)")
    store = SqliteStore(path)
    assert (1, 14) == (store.load().number, len(store.load().examples))
    store.close()
    assert all(before == rows(copy) for copy in copies(path))
    assert copies(path)


def test_who_only_reads_says_what_to_do_and_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = path.read_bytes()
    told = f"the store {path} has schema 2 and this streamlearn reads 4: `streamlearn run` on it brings it up to date"
    with pytest.raises(CannotStart) as refused:
        SqliteStore(path, read_only=True)
    assert str(refused.value).startswith(told)
    folder = path.parent / "log"
    assert 3 == check(settings.read(None, {}, (f"log.path={folder}", f"store.path={path}", "http.port=-1")))
    assert told in capsys.readouterr().out
    assert (content, []) == (path.read_bytes(), copies(path))


def test_a_store_that_is_too_old_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    with pytest.raises(CannotStart, match=r"has schema 1 .* --rebuild"):
        SqliteStore(path)
    assert [] == copies(path)
