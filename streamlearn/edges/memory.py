"""Every port in memory: for tests, for `replay`, and for whoever embeds the daemon in a program of their own.

These are no mocks: each passes the same contract as the adapters that write to disk. What is committed or published
outlives the objects that wrote it (`MemoryLog` and `MemoryStore` are the disk), so a test can drop a daemon and start
another over the same log and store.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Sequence
from threading import Condition
from typing import final

from streamlearn.config import Topics
from streamlearn.errors import Fenced
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    MODELS,
    POLL_BYTES,
    POLL_RECORDS,
    PREDICTIONS,
    QUERIES,
    RECORD_BYTES,
    REJECTED,
    AskedOf,
    Changes,
    Clock,
    Commit,
    Earlier,
    Example,
    Inherited,
    Message,
    Pending,
    Position,
    Record,
    Remembered,
    Saved,
    Sink,
    Source,
    Store,
    Waiting,
)

PARTITION = 0
HEAD_BYTES = 4096  # what is delivered of an oversize value


@final
class MemoryLog:
    """Topics as lists; an offset is an index. `inputs` and `outputs` are by role."""

    def __init__(self) -> None:
        self.inputs: dict[str, list[tuple[bytes | None, bytes | None]]] = {EVENTS: [], LABELS: []}
        self.outputs: dict[str, list[Message]] = {QUERIES: [], PREDICTIONS: [], REJECTED: [], MODELS: []}
        self.writer: object = None  # the sink that was opened last
        self.changed = Condition()

    def append(self, role: str, value: bytes | None, key: bytes | None = None) -> None:
        """Add one record to `events` or `labels`; a value of None is a tombstone."""
        with self.changed:
            self.inputs[role].append((key, value))
            self.changed.notify_all()

    def values(self, role: str) -> list[bytes]:
        """What was published to an output."""
        return [message.value for message in self.outputs[role]]


@final
class MemorySource(Source):
    """Reads a `MemoryLog`. With `waits=False` an empty poll returns at once, whatever its timeout."""

    def __init__(self, log: MemoryLog, waits: bool = True) -> None:
        self._log = log
        self._waits = waits
        self._next: dict[str, int] = {}

    def open(self, positions: dict[Position, int]) -> None:
        self._next = {role: positions.get((role, PARTITION), 0) for role in (LABELS, EVENTS)}

    def poll(self, timeout_s: float) -> list[Record]:
        with self._log.changed:
            if self._waits:
                self._log.changed.wait_for(lambda: any(self.lag().values()), timeout_s)
            return self._take()

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        room = POLL_BYTES
        for role, offset in self._next.items():
            entries = self._log.inputs[role][offset : offset + POLL_RECORDS - len(taken)]
            for number, (key, value) in enumerate(entries, offset):
                if room <= 0:
                    break
                size = 0 if value is None else len(value)
                oversize = size if size > RECORD_BYTES else 0
                value = value[:HEAD_BYTES] if value is not None and oversize else value
                taken.append(Record(role, PARTITION, number, number + 1, key, value, oversize))
                self._next[role] = number + 1
                room -= size
        return taken

    def lag(self) -> dict[Position, int]:
        return {(role, PARTITION): len(self._log.inputs[role]) - offset for role, offset in self._next.items()}

    def close(self) -> None:
        self._next = {}


@final
class MemorySink(Sink):
    """Writes to a `MemoryLog`; the sink that was opened last fences the ones before."""

    def __init__(self, log: MemoryLog, topics: Topics | None = None) -> None:
        self._log = log
        topics = topics or Topics()
        names = {
            QUERIES: topics.queries,
            PREDICTIONS: topics.predictions,
            REJECTED: topics.rejected,
            MODELS: topics.models,
        }
        self._roles = [role for role, name in names.items() if name]

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        self._log.writer = self
        return None

    def inherit(self) -> Inherited:
        self._log.writer = self
        return Inherited("", {})

    def ends(self) -> dict[str, int]:
        return {role: len(self._log.outputs[role]) for role in self._roles}

    def publish(self, commit: Commit) -> None:
        if self._log.writer is not self:
            raise Fenced("another sink was opened on this log")
        for role in self._roles:
            messages = [message for message in commit.outbox if message.role == role]
            if messages and role in commit.outputs:
                self._log.outputs[role][commit.outputs[role] :] = messages

    def close(self) -> None:
        if self._log.writer is self:
            self._log.writer = None


@final
class MemoryStore(Store):
    """What a store holds, in dictionaries; a commit costs what it changes, not what is kept."""

    def __init__(self, store_id: str = "") -> None:
        self._store_id = store_id or uuid.uuid4().hex
        self._last = Commit(0, {}, b"", Changes(), {}, ())
        self._outbox: list[Message] = []
        self._events: dict[str, Remembered] = {}
        self._oldest: list[tuple[int, str]] = []  # a heap of (ordinal, id); forgotten events leave it late
        self._pending: dict[str, Pending] = {}
        self._waiting: dict[str, Waiting] = {}
        self._examples: dict[int, Example] = {}
        self._fits: dict[int, Earlier] = {}
        self._asked: list[AskedOf] = []

    def load(self) -> Saved:
        last = self._last
        return Saved(
            self._store_id,
            last.number,
            dict(last.positions),
            last.snapshot,
            dict(last.outputs),
            list(self._outbox),
            [(event.id, event.ordinal) for event in sorted(self._events.values(), key=lambda event: event.ordinal)],
            list(self._pending.values()),
            list(self._waiting.values()),
            [example for _, example in sorted(self._examples.items())],
            [fit for _, fit in sorted(self._fits.items())],
            list(self._asked),
        )

    def commit(self, commit: Commit) -> None:
        assert commit.number == self._last.number + 1, f"commit {commit.number} after {self._last.number}"
        self._change_events(commit.changes)
        changes = commit.changes
        for id in changes.pending_removed:
            self._pending.pop(id, None)
        for pending in changes.pending_added:
            self._pending.pop(pending.id, None)  # added again: last in order
            self._pending[pending.id] = pending
        for id in changes.waiting_removed:
            self._waiting.pop(id, None)
        for waiting in changes.waiting_added:
            self._waiting.pop(waiting.id, None)
            self._waiting[waiting.id] = waiting
        for serial in changes.examples_removed:
            self._examples.pop(serial, None)
        for example in changes.examples_put:
            self._examples[example.serial] = example
        for number in changes.fits_removed:
            self._fits.pop(number, None)
        self._fits |= {fit.number: fit for fit in changes.fits_added}
        self._asked = [each for each in self._asked if each.time > changes.asked_horizon] + changes.asked_added
        self._outbox = list(commit.outbox)
        self._last = Commit(
            commit.number, dict(commit.positions), commit.snapshot, Changes(), dict(commit.outputs), ()
        )  # without its changes: they would keep alive what later commits remove

    def _change_events(self, changes: Changes) -> None:
        for id in changes.events_forgotten:
            self._events.pop(id, None)
        for event in changes.events_added:
            self._events[event.id] = event
            heapq.heappush(self._oldest, (event.ordinal, event.id))
        while self._oldest and self._oldest[0][0] < changes.events_horizon:
            ordinal, id = heapq.heappop(self._oldest)
            if id in self._events and self._events[id].ordinal == ordinal:
                del self._events[id]

    def recall(self, ids: Sequence[str]) -> dict[str, Remembered]:
        return {id: self._events[id] for id in ids if id in self._events}

    def of_user(self, user: str) -> list[str]:
        whole = [event for event in self._events.values() if event.user == user]
        return [event.id for event in sorted(whole, key=lambda event: event.ordinal)]

    def clear_outbox(self) -> None:
        self._outbox = []

    def close(self) -> None: ...


@final
class ManualClock(Clock):
    """Time that moves when it is told to."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self._now += seconds
        self._monotonic += seconds

    def set(self, now: float) -> None:
        """Put the wall clock right, forwards or backwards, as an operator does; no time passes."""
        self._now = now
