"""The rows that a commit writes and deletes: as many as have changed, however many are kept."""

from __future__ import annotations

import sqlite3

from streamlearn.edges.sqlite.schema import sealed
from streamlearn.service.ports import Changes


def write_changes(database: sqlite3.Connection, changes: Changes) -> None:
    """Deletions first. Adding an id again replaces it and puts it last. The horizon holds for what is added, too."""
    fits = [(fit.number, int(fit.labels), float(fit.time), fit.value) for fit in changes.fits_added]
    database.executemany("DELETE FROM fits WHERE number = ?", [(number,) for number in changes.fits_removed])
    database.executemany("INSERT OR REPLACE INTO fits VALUES (?, ?, ?, ?, ?)", sealed(fits))
    events = [(event.id, int(event.ordinal), event.x, event.user) for event in changes.events_added]
    pending = [
        (query.id, int(query.ordinal), query.x, query.reason, float(query.expires), query.user)
        for query in changes.pending_added
    ]
    waiting = [(label.id, int(label.ordinal), label.label) for label in changes.waiting_added]
    database.executemany("DELETE FROM events WHERE id = ?", [(id,) for id in changes.events_forgotten])
    database.executemany("DELETE FROM pending WHERE id = ?", [(id,) for id in changes.pending_removed])
    database.executemany("DELETE FROM waiting WHERE id = ?", [(id,) for id in changes.waiting_removed])
    database.executemany("DELETE FROM examples WHERE serial = ?", [(serial,) for serial in changes.examples_removed])
    database.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)", sealed(events))
    database.execute("DELETE FROM events WHERE ordinal < ?", (changes.events_horizon,))
    database.executemany(
        "INSERT OR REPLACE INTO pending (id, ordinal, x, reason, expires, user, crc) VALUES (?, ?, ?, ?, ?, ?, ?)",
        sealed(pending),
    )
    database.executemany(
        "INSERT OR REPLACE INTO waiting (id, ordinal, label, crc) VALUES (?, ?, ?, ?)", sealed(waiting)
    )
    examples = [
        (int(one.serial), one.id, one.x, one.y, float(one.weight), int(one.fold), int(one.audit), one.user)
        for one in changes.examples_put
    ]
    database.executemany("INSERT OR REPLACE INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", sealed(examples))
    database.execute("DELETE FROM asked WHERE time <= ?", (changes.asked_horizon,))
    asked = [(each.user, float(each.time)) for each in changes.asked_added]
    database.executemany("INSERT INTO asked (user, time, crc) VALUES (?, ?, ?)", sealed(asked))


def log_cut(database: sqlite3.Connection) -> bool:
    """Whether the write-ahead log, which holds pages as they were, is empty now: while others read it is kept for them."""
    (patience_ms,) = database.execute("PRAGMA busy_timeout").fetchone()
    database.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, *_) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        database.execute(f"PRAGMA busy_timeout = {patience_ms}")
    return not busy
