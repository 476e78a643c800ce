"""The store: one SQLite file, every commit one transaction.

WAL with `synchronous=FULL`: a commit is one append and one fsync, readers (`inspect`) never wait for it, and what is
durable is durable when `commit` returns. Clearing the outbox need not be durable by itself, because publishing again is
harmless or known to be done (see `Sink.open`), so it goes without an fsync and becomes durable with the next commit.

What is read back must be what was written: the snapshot carries a sha256, every other row a CRC of its columns, and on
load the file's structure is checked, indices against tables. What fails this is refused rather than learned from.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from streamlearn.edges.sqlite.changes import log_cut, write_changes
from streamlearn.edges.sqlite.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    SCHEMA_VERSION,
    Row,
    crc,
    create,
    migrate,
    refuse_version,
    sealed,
    set_aside_foreign_wal,
)
from streamlearn.edges.system import beside, disk_errors, lock, sync_folder
from streamlearn.errors import REBUILD, CannotStart, ConfigurationError, StreamlearnError, Unavailable
from streamlearn.service.ports import (
    AskedOf,
    Commit,
    Earlier,
    Example,
    Message,
    Pending,
    Remembered,
    Saved,
    Store,
    Waiting,
)

BUSY_TIMEOUT_S = 5.0  # a backup tool may hold the file for a moment
WAL_BYTES = 64 << 20  # the WAL is cut back to this after a burst

log = logging.getLogger("streamlearn")
WORLDS_FAULT = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}


@final
class SqliteStore(Store):
    """The durable state in one file. `read_only` leaves it and its writer alone, for `inspect` beside a daemon."""

    def __init__(
        self,
        path: Path,
        read_only: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        replaces: str | None = None,
    ) -> None:
        """replaces: of a new store, see `Saved`."""
        self._path, self._replaces = path, replaces
        self._read_only = read_only
        self._lock, self._erasing = -1, True  # erasing: the write-ahead log may hold what was forgotten
        self._connection: sqlite3.Connection | None = None
        with disk_errors(path):
            if read_only and not path.is_file():
                raise ConfigurationError(f"there is no store at {path}: name the file that `streamlearn run` writes")
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = lock(path.with_name(path.name + ".lock"), path)
        try:
            with disk_errors(path):
                set_aside_foreign_wal(path, read_only)
            with self._faults(), disk_errors(path):
                self._open(busy_timeout_s)
                self._number = int(self._meta()["number"])
        except BaseException:
            self.close()
            raise

    def _open(self, busy_timeout_s: float) -> None:
        self._connection = connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode={'ro' if self._read_only else 'rwc'}",
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,  # transactions are begun here, by name
            check_same_thread=False,
        )
        new = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if new and not self._read_only:
            self._create(connection)
        elif new:
            raise ConfigurationError(f"the store {self._path} holds nothing yet: `streamlearn run` fills it")
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise CannotStart(f"{self._path} is not a store of streamlearn: set store.path to another file")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION and (self._read_only or version not in MIGRATIONS):
            refuse_version(self._path, version)
        if not self._read_only:
            self._set_durable(connection)
        if version != SCHEMA_VERSION:
            self._migrate(version)

    def _migrate(self, version: int) -> None:
        """All of it or nothing; first a copy of the file as it is, since an older streamlearn reads no other."""
        copy = beside(self._path, f"version-{version}")
        part = copy.with_name(copy.name + ".part")
        part.unlink(missing_ok=True)
        self.copy_to(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.rename(copy)
        sync_folder(copy.absolute().parent)
        with self._transaction() as database:
            migrate(database, version)
        text = "the store %s was of schema %d and is of %d now; as it was it is %s"
        log.info(text, self._path, version, SCHEMA_VERSION, copy, extra={"action": "migrate", "schema": SCHEMA_VERSION})

    def _create(self, connection: sqlite3.Connection) -> None:
        self._set_durable(connection)
        with self._transaction() as database:
            create(database, self._replaces)

    @staticmethod
    def _set_durable(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is not to be found in free pages
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")

    def load(self) -> Saved:
        with self._faults(), self._transaction("DEFERRED") as database:  # one view, whatever a daemon commits meanwhile
            for (finding,) in database.execute("PRAGMA integrity_check(1)"):
                if finding != "ok":
                    raise self._damaged(finding)
            meta = self._meta()
            snapshot, sha256 = database.execute("SELECT value, sha256 FROM snapshot").fetchone() or (b"", b"")
            if hashlib.sha256(snapshot).digest() != sha256:
                raise self._damaged("the snapshot does not match its checksum")
            positions = self._rows("SELECT role, partition, next, crc FROM positions")
            examples = self._rows(
                "SELECT serial, id, x, y, weight, fold, audit, user, crc FROM examples ORDER BY serial"
            )
            return Saved(
                store_id=str(meta["store_id"]),
                number=int(meta["number"]),
                positions={(role, partition): next for role, partition, next in positions},
                snapshot=snapshot,
                outputs=dict(self._rows("SELECT role, begin, crc FROM outputs")),
                outbox=[
                    Message(*row) for row in self._rows("SELECT role, key, value, crc FROM outbox ORDER BY serial")
                ],
                # The CRCs of events are compared on recall; ids and ordinals have been, with their indices.
                event_ids=database.execute("SELECT id, ordinal FROM events ORDER BY ordinal").fetchall(),
                pending=[
                    Pending(*row)
                    for row in self._rows(
                        "SELECT id, ordinal, x, reason, expires, user, crc FROM pending ORDER BY serial"
                    )
                ],
                waiting=[
                    Waiting(*row) for row in self._rows("SELECT id, ordinal, label, crc FROM waiting ORDER BY serial")
                ],
                examples=[
                    Example(*row) for row in ((*columns, bool(audit), user) for *columns, audit, user in examples)
                ],
                fits=[
                    Earlier(*row)
                    for row in self._rows("SELECT number, labels, time, value, crc FROM fits ORDER BY number")
                ],
                asked=[AskedOf(*row) for row in self._rows("SELECT user, time, crc FROM asked ORDER BY serial")],
                replaces=meta["replaces"],
            )

    def commit(self, commit: Commit) -> None:
        assert not self._read_only, "this store was opened for reading"
        assert commit.number == self._number + 1, f"commit {commit.number} after {self._number}"
        with self._faults(), self._transaction() as database:
            write_changes(database, commit.changes)
            positions = [(role, int(number), int(next)) for (role, number), next in commit.positions.items()]
            database.execute("DELETE FROM positions")
            database.executemany("INSERT INTO positions VALUES (?, ?, ?, ?)", sealed(positions))
            database.execute("DELETE FROM outputs")
            outputs = [(role, int(begin)) for role, begin in commit.outputs.items()]
            database.executemany("INSERT INTO outputs VALUES (?, ?, ?)", sealed(outputs))
            database.execute("DELETE FROM outbox")
            outbox = [(message.role, message.key, message.value) for message in commit.outbox]
            database.executemany("INSERT INTO outbox (role, key, value, crc) VALUES (?, ?, ?, ?)", sealed(outbox))
            sha256 = hashlib.sha256(commit.snapshot).digest()
            database.execute(
                "UPDATE snapshot SET value = ?, sha256 = ? WHERE sha256 <> ?", (commit.snapshot, sha256, sha256)
            )
            database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", sealed([("number", commit.number)]))
        self._number = commit.number
        self._erasing |= commit.changes.erases

    def recall(self, ids: Sequence[str]) -> dict[str, Remembered]:
        with self._faults():
            query = "SELECT id, ordinal, x, user, crc FROM events WHERE id = ?"
            return {id: Remembered(*row) for id in ids for row in self._rows(query, (id,))}

    def of_user(self, user: str) -> list[str]:
        with self._faults():
            found = self._database().execute("SELECT id FROM events WHERE user = ? ORDER BY ordinal", (user,))
            return [id for (id,) in found]

    def clear_outbox(self) -> None:
        assert not self._read_only, "this store was opened for reading"
        with self._faults():
            database = self._database()
            database.execute("PRAGMA synchronous = NORMAL")
            try:
                database.execute("DELETE FROM outbox")
            finally:
                database.execute("PRAGMA synchronous = FULL")
            self._erasing = self._erasing and not log_cut(database)

    def copy_to(self, path: Path) -> None:
        """Write what the file holds at this moment to a new one, which has no write-ahead log."""
        with self._faults(), closing(sqlite3.connect(path, isolation_level=None)) as target:
            self._database().backup(target)
            target.execute("PRAGMA journal_mode = DELETE")

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):  # closing folds the WAL into the file; left undone, the next start does it
                self._connection.close()
            self._connection = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _database(self) -> sqlite3.Connection:
        assert self._connection is not None, "this store is closed"
        return self._connection

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        database = self._database()
        database.execute(f"BEGIN {kind}")
        try:
            yield database
            database.execute("COMMIT")
        finally:
            if database.in_transaction:  # something failed, and SQLite has not rolled back by itself
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")

    def _meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = dict(self._rows("SELECT key, value, crc FROM meta"))
        if meta.keys() != {"store_id", "number", "replaces"}:
            raise self._damaged("its number is missing")
        return meta

    def _rows(self, query: str, parameters: Row = ()) -> Iterator[Row]:
        """The rows of a query whose last column is the CRC of the others, without it."""
        for *columns, seal in self._database().execute(query, parameters):
            if crc(columns) != seal:
                raise self._damaged("a row does not match its checksum")
            yield tuple(columns)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """SQLite's errors by whose fault they are."""
        try:
            yield
        except (StreamlearnError, AssertionError, sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except UnicodeDecodeError as error:  # text, or a message of SQLite's that quotes it, is no longer text
            raise self._damaged("text in it is not UTF-8") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension that says which call failed
            if code in WORLDS_FAULT:
                raise Unavailable(f"{self._path}: {error}") from error
            raise self._damaged(str(error)) from error

    def _damaged(self, finding: str) -> CannotStart:
        finding = " ".join(finding.split())
        return CannotStart(f"the store {self._path} is damaged: {finding}; {REBUILD}")
