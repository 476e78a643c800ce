"""The ledger: which ids are known, pending, waiting or labeled; every entry is noted as a change for the next commit.

    known     recent events that a label may still join: the last `remember` ones
    pending   queries not yet answered (never dropped but by answer or expiry)
    waiting   labels whose event has not come: at most `wait`, for at most `wait` events
    labeled   examples, by serial
    quotas    when each user was asked, as long as that counts

Whether an id is still known depends on the count of events alone, not on when the dictionary was last cleaned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import RECENT_MOST
from streamlearn.service.blocks import BLOCK, bounds
from streamlearn.service.ports import Changes, Example, Pending, Remembered, Saved, Waiting
from streamlearn.service.quotas import Quotas

NEWEST_KEPT = BLOCK + RECENT_MOST

Recall = Callable[[Sequence[str]], dict[str, Remembered]]


@final
class Ledger:
    def __init__(
        self,
        remember: int,
        wait: int,
        fair: Callable[[Sequence[str]], list[bool]] | None = None,
        queries_per_day: int = 0,
    ) -> None:
        """fair: which events are a fair sample of the stream, where not all of it comes; None: all are.

        queries_per_day: that one user is asked at most; 0: any number.
        """
        # The newest event is always known: a label that waited for it is joined then.
        self._remember, self._wait, self._fair = max(1, remember), wait, fair
        self.known: dict[str, int] = {}
        self.pending: dict[str, Pending] = {}
        self._asked: dict[str, dict[str, Pending]] = {}  # the same by user
        self.waiting: dict[str, Waiting] = {}
        self.labeled: dict[str, int] = {}
        self.count = 0  # events so far: the ordinal of the next one
        self.quotas = Quotas(queries_per_day)
        self.changes = Changes()
        self._fresh: dict[str, Remembered] = {}  # events that the store does not hold yet
        self._newest: list[Remembered] = []  # at least those that `recent` may be asked for

    def restore(self, saved: Saved, count: int, recall: Recall) -> None:
        """recall: the store's look-up, for the newest events."""
        self.count = count
        newest = [id for id, ordinal in saved.event_ids if self._fair or ordinal >= count - NEWEST_KEPT]
        newest = self._fairly(newest)[-NEWEST_KEPT:]
        self._newest = sorted(recall(newest).values(), key=lambda entry: entry.ordinal) if newest else []
        self.known = dict(saved.event_ids)
        for entry in saved.pending:
            self._ask(entry)
        self.waiting = {entry.id: entry for entry in saved.waiting}
        self.labeled = {example.id: example.serial for example in saved.examples}
        self.quotas.restore(saved.asked)

    def take_changes(self) -> Changes:
        """The changes since the last call; the caller commits them."""
        changes, self.changes, self._fresh = self.changes, Changes(), {}
        changes.events_horizon = max(0, self.count - self._remember)
        # Deletions come before additions in a commit, so what came and went within it must not be added.
        changes.pending_added = [entry for entry in changes.pending_added if self.pending.get(entry.id) is entry]
        changes.waiting_added = [entry for entry in changes.waiting_added if self.waiting.get(entry.id) is entry]
        changes.events_added = [entry for entry in changes.events_added if self.known.get(entry.id) == entry.ordinal]
        latest = {entry.serial: entry for entry in changes.examples_put}
        changes.examples_put = [entry for entry in latest.values() if self.labeled.get(entry.id) == entry.serial]
        self._forget_old(changes.events_horizon)
        self.quotas.take(changes)
        return changes

    def knows(self, id: str) -> bool:
        """Whether an event of this id is remembered."""
        return self._remembers(id, 0) or id in self.pending

    def knowledge_lasts(self, id: str, ahead: int) -> bool:
        """Whether `knows` says the same all the while `ahead` more events are counted and queries expire."""
        if id not in self.known:
            return id not in self.pending
        later = self._remembers(id, ahead)
        return later if id in self.pending else later == self._remembers(id, 0)

    def _remembers(self, id: str, ahead: int) -> bool:
        ordinal = self.known.get(id)
        return ordinal is not None and ordinal >= self.count + ahead - self._remember

    def _forget_old(self, horizon: int) -> None:
        """Drop known ids below the horizon: in one look from the front, since a dictionary keeps the places of the deleted."""
        old = []
        for id, ordinal in self.known.items():
            if ordinal >= horizon:
                break
            old.append(id)
        for id in old:
            del self.known[id]

    def has_label(self, id: str, ordinal: int) -> bool:
        """Whether the event of this id and ordinal comes with its label already here."""
        entry = self.waiting.get(id)
        return id in self.labeled or (entry is not None and ordinal < entry.ordinal + self._wait)

    def fresh(self, id: str) -> Remembered | Pending | None:
        """What there is of a pending or just read event; others are in the store."""
        if id in self.pending:
            return self.pending[id]
        return self._fresh.get(id) if self._remembers(id, 0) else None

    def add_events(self, ids: list[str], rows: Array, users: Sequence[str] | None = None) -> None:
        """Count events, with encoded rows (n, columns) and whose they are; None: nobody's."""
        ordinals = range(self.count, self.count + len(ids))
        data, size = rows.tobytes(), rows.shape[1] * rows.itemsize
        features = (
            [data[start : start + size] for start in range(0, len(ids) * size, size)] if size else [b""] * len(ids)
        )
        self.known.update(zip(ids, ordinals, strict=True))
        added = [Remembered(*entry) for entry in zip(ids, ordinals, features, users or [""] * len(ids), strict=True)]
        self._fresh.update(zip(ids, added, strict=True))
        self.changes.events_added += added
        fairly = set(self._fairly(ids))
        self._newest = self._newest[-NEWEST_KEPT:] + [entry for entry in added if entry.id in fairly]
        self.count += len(ids)

    def _fairly(self, ids: list[str]) -> list[str]:
        if self._fair is None or not ids:
            return ids
        return [id for id, drawn in zip(ids, self._fair(ids), strict=True) if drawn]

    def recent(self, ordinal: int) -> list[bytes]:
        """Features of the last events before the block of this ordinal, at most RECENT_MOST.

        Only of those that are remembered until the block is full, so that a restart in the middle of it finds the same.
        """
        begin, end = bounds(ordinal)
        first = end - self._remember if self._fair else max(begin - RECENT_MOST, end - self._remember)
        return [entry.x for entry in self._newest if first <= entry.ordinal < begin][-RECENT_MOST:]

    def fair_sample(self) -> list[Remembered]:
        """The last of those that chance has drawn, or of all where all come, at most RECENT_MOST."""
        return [entry for entry in self._newest if entry.ordinal >= self.count - self._remember][-RECENT_MOST:]

    def ask(self, entry: Pending) -> None:
        self._ask(entry)
        self.changes.pending_added.append(entry)

    def _ask(self, entry: Pending) -> None:
        self.pending[entry.id] = entry
        if entry.user:
            self._asked.setdefault(entry.user, {})[entry.id] = entry

    def asked_of(self, user: str) -> list[Pending]:
        """The queries of this user's events, as they were asked."""
        return list(self._asked.get(user, {}).values())

    def settle_query(self, id: str) -> Pending | None:
        """The query of this id was answered, forgotten or has expired."""
        entry = self.pending.pop(id, None)
        if entry is not None:
            self.changes.pending_removed.append(id)
            asked = self._asked.get(entry.user, {})
            if asked.pop(id, None) and not asked:
                del self._asked[entry.user]
        return entry

    def hasten(self, latest: float) -> bool:
        """No query expires later than this; whether one would have. Those count as the last that were asked."""
        late = [entry for entry in self.pending.values() if entry.expires > latest]
        for entry in late:
            self.settle_query(entry.id)
            self.ask(replace(entry, expires=latest))
        return bool(late)

    def wait_for_event(self, id: str, label: bytes) -> Waiting | None:
        """Keep a label until its event comes; gives back the one that has to go for it, if any."""
        dropped = None
        if id not in self.waiting and len(self.waiting) >= self._wait:
            dropped = self.stop_waiting(next(iter(self.waiting)))
        self.stop_waiting(id)
        self.waiting[id] = Waiting(id, self.count, label)
        self.changes.waiting_added.append(self.waiting[id])
        return dropped

    def stop_waiting(self, id: str) -> Waiting | None:
        entry = self.waiting.pop(id, None)
        if entry is not None:
            self.changes.waiting_removed.append(id)
        return entry

    def overdue(self) -> list[Waiting]:
        """Labels that have waited for more than `wait` events; they wait no longer."""
        gone = []
        while self.waiting:
            oldest = self.waiting[next(iter(self.waiting))]
            if self.count - oldest.ordinal <= self._wait:
                break
            self.stop_waiting(oldest.id)
            gone.append(oldest)
        return gone

    def add_example(self, example: Example) -> None:
        self.labeled[example.id] = example.serial
        self.changes.examples_put.append(example)

    def drop_examples(self, first: int) -> None:
        """Examples with a smaller serial are no longer kept."""
        old = []
        for id, serial in self.labeled.items():
            if serial >= first:
                break
            old.append(id)
        self.changes.examples_removed += [self.labeled.pop(id) for id in old]

    def of_user(self, user: str, of_store: Sequence[str]) -> list[str]:
        """Ids of the user's events and queries; of_store: of those that the store remembers."""
        ids = [id for id in of_store if id in self.known]
        ids += [entry.id for entry in self._fresh.values() if entry.user == user]
        ids += [entry.id for entry in self.asked_of(user)]
        return list(dict.fromkeys(ids))

    def forget(self, id: str) -> int | None:
        """Remove all that is kept under this id; the serial of its example, if there was one."""
        self.changes.erases = True
        self.stop_waiting(id)
        self.forget_event(id)
        serial = self.labeled.pop(id, None)
        if serial is not None:
            self.changes.examples_removed.append(serial)
        return serial

    def forget_event(self, id: str) -> None:
        """Remove the event of this id, though not its label."""
        self.changes.erases = True
        if self.known.pop(id, None) is not None:
            self.changes.events_forgotten.append(id)
            self._fresh.pop(id, None)
            self._newest = [entry for entry in self._newest if entry.id != id]


def row(features: bytes) -> Array:
    """Stored features as a row (1, columns)."""
    return np.frombuffer(features, dtype=float)[None, :]
