"""The file of a store: its tables, how a new one is made and an older one brought up to date, and what may lie beside it.

Every row carries a CRC of its other columns, the snapshot a sha256. In outbox, pending and waiting `serial` keeps the order
in which rows were added.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streamlearn.errors import REBUILD, CannotStart

SCHEMA_VERSION = 4
APPLICATION_ID = 0x736C726E  # "slrn": tells a store from any other SQLite file

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value, crc INTEGER);
CREATE TABLE positions (role TEXT, partition INTEGER, next INTEGER, crc INTEGER, PRIMARY KEY (role, partition));
CREATE TABLE snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB, sha256 BLOB);
CREATE TABLE outputs (role TEXT PRIMARY KEY, begin INTEGER, crc INTEGER);
CREATE TABLE outbox (serial INTEGER PRIMARY KEY, role TEXT, key BLOB, value BLOB, crc INTEGER);
CREATE TABLE events (id TEXT PRIMARY KEY, ordinal INTEGER, x BLOB, user TEXT, crc INTEGER);
CREATE INDEX events_by_ordinal ON events (ordinal);
CREATE TABLE pending (serial INTEGER PRIMARY KEY, id TEXT UNIQUE, ordinal INTEGER, x BLOB, reason TEXT, expires REAL,
    user TEXT, crc INTEGER);
CREATE TABLE waiting (serial INTEGER PRIMARY KEY, id TEXT UNIQUE, ordinal INTEGER, label BLOB, crc INTEGER);
CREATE TABLE fits (number INTEGER PRIMARY KEY, labels INTEGER, time REAL, value BLOB, crc INTEGER);
CREATE TABLE examples (serial INTEGER PRIMARY KEY, id TEXT, x BLOB, y BLOB, weight REAL, fold INTEGER, audit INTEGER,
    user TEXT, crc INTEGER);
CREATE TABLE asked (serial INTEGER PRIMARY KEY, user TEXT, time REAL, crc INTEGER);
"""

OF_USERS = ("events", "pending", "examples")  # tables that say whose a row is

JOURNAL_MODE_AT = 18  # bytes 18 and 19 of the file: 2 where there may be a write-ahead log, 1 where there is none

Row = tuple[Any, ...]


def create(database: sqlite3.Connection, replaces: str | None) -> None:
    """An empty store, inside a transaction of the caller's; replaces: see `Saved`."""
    for statement in SCHEMA.split(";\n"):
        database.execute(statement)
    meta = [("store_id", uuid.uuid4().hex), ("number", 0), ("replaces", replaces)]
    database.executemany("INSERT INTO meta VALUES (?, ?, ?)", sealed(meta))
    database.execute("INSERT INTO snapshot VALUES (1, ?, ?)", (b"", hashlib.sha256(b"").digest()))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _from_2(database: sqlite3.Connection) -> None:
    """3 keeps earlier fits, and whether the store was built from the log."""
    database.execute(
        "CREATE TABLE fits (number INTEGER PRIMARY KEY, labels INTEGER, time REAL, value BLOB, crc INTEGER)"
    )
    database.executemany("INSERT INTO meta VALUES (?, ?, ?)", sealed([("replaces", None)]))


def _from_3(database: sqlite3.Connection) -> None:
    """4 says whose events, queries and examples are. A row that did not match its checksum does not match the new one."""
    statements = {
        name: text for text in SCHEMA.split(";\n") for name in (*OF_USERS, "asked") if f"TABLE {name} " in text
    }
    database.create_function("resealed", -1, _resealed, deterministic=True)
    for name in OF_USERS:
        database.execute(f"ALTER TABLE {name} RENAME TO before")
        database.execute(statements[name])
        *columns, _ = (row[1] for row in database.execute("PRAGMA table_info(before)"))
        sealed_ = ", ".join(each for each in columns if not (each == "serial" and name == "pending"))
        database.execute(f"INSERT INTO {name} SELECT {', '.join(columns)}, '', resealed({sealed_}, crc) FROM before")
        database.execute("DROP TABLE before")
    database.execute("CREATE INDEX events_by_ordinal ON events (ordinal)")
    database.execute(statements["asked"])


def _resealed(*row: object) -> int | None:
    """The checksum with nobody's name behind; None where the one at hand is wrong."""
    *columns, seal = row
    return crc([*columns, ""]) if crc(columns) == seal else None


MIGRATIONS = {2: _from_2, 3: _from_3}  # from each version to the next


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring a store of an earlier version up to date, inside a transaction of the caller's."""
    for each in range(version, SCHEMA_VERSION):
        MIGRATIONS[each](database)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def refuse_version(path: Path, version: int) -> None:
    """Say what to do with a store of this version, which is not the one that is read."""
    text = f"the store {path} has schema {version} and this streamlearn reads {SCHEMA_VERSION}"
    if version in MIGRATIONS:
        raise CannotStart(f"{text}: `streamlearn run` on it brings it up to date, and keeps a copy of it as it is")
    if version > SCHEMA_VERSION:
        raise CannotStart(f"{text}: run the version that wrote it, or a later one")
    raise CannotStart(f"{text}: {REBUILD}")


def sealed(rows: Sequence[Row]) -> list[Row]:
    """The rows with their CRCs."""
    return [(*row, crc(row)) for row in rows]


def crc(columns: Sequence[object]) -> int:
    return zlib.crc32(msgspec.msgpack.encode(columns))


def set_aside_foreign_wal(path: Path, read_only: bool) -> None:
    """Move away a write-ahead log that was left by the store in whose place a copy was put; SQLite would replay it.

    A store says that it may have one before it has one, and a copy says that it has none.
    """
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or not path.is_file():
        return
    with path.open("rb") as file:
        mode = file.read(JOURNAL_MODE_AT + 2)[JOURNAL_MODE_AT:]
    if mode != b"\1\1":
        return
    if read_only:
        raise CannotStart(f"{wal} was left by another store than {path}: move it away, or start the daemon, which does")
    wal.rename(wal.with_name(wal.name + ".stale"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
