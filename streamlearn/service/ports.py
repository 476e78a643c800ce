"""The daemon's ports: what it needs from the outside, in nouns. Adapters live in `edges/`.

Every port may raise `errors.Unavailable` (the world's fault: the daemon backs off and calls again). Nothing here does I/O.
The commit order that these ports carry is numbered in `service/daemon.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

EVENTS, LABELS = "events", "labels"  # input roles
QUERIES, PREDICTIONS, REJECTED = "queries", "predictions", "rejected"  # output roles

POLL_RECORDS = 1000  # a commit closes at this many records ...
POLL_BYTES = 4 << 20  # ... or at this many bytes
RECORD_BYTES = 256 << 10  # a record above this is rejected unread: what is published of it must fit Kafka's 1 MB

Position = tuple[str, int]  # (role, partition)


class Record(NamedTuple):
    """One record as read. `role` is `events` or `labels`, whatever the topic is called.

    `value` is None for a tombstone. A record over `RECORD_BYTES` has its first bytes in `value` and `oversize` set to its
    size in bytes. `next` is the position to store once the record is dealt with.
    """

    role: str
    partition: int
    offset: int
    next: int
    key: bytes | None
    value: bytes | None
    oversize: int = 0


class Skip(NamedTuple):
    """Reading goes on at `next`, without what the log no longer held: `lost` records at most; None: nobody knows how many."""

    next: int
    lost: int | None


class Message(NamedTuple):
    """One message to publish. `role` is `queries`, `predictions` or `rejected`."""

    role: str
    key: bytes | None
    value: bytes


@dataclass(frozen=True)
class Remembered:
    """An event that labels may still join.

    id: the event's; ordinal: its number among distinct valid events, from 0;
    x: float64 row of features as encoded then (shorter than today's when columns were added since), NaN = missing.
    """

    id: str
    ordinal: int
    x: bytes


@dataclass(frozen=True)
class Pending:
    """A query that has been issued and not yet answered. `reason` is `score` or `audit`; `expires` in s since 1970."""

    id: str
    ordinal: int
    x: bytes
    reason: str
    expires: float


@dataclass(frozen=True)
class Waiting:
    """A label that was read before its event: the label as JSON, and the number of events seen when it came."""

    id: str
    ordinal: int
    label: bytes


@dataclass(frozen=True)
class Example:
    """A labeled example as stored. `serial` counts labels from 0; `y` as JSON; `fold` it is held out with, 0: never."""

    serial: int
    id: str
    x: bytes
    y: bytes
    weight: float
    fold: int
    audit: bool


@dataclass
class Changes:
    """What one commit writes: cost follows what changed, not what is kept. Deletions are carried out before additions."""

    events_added: list[Remembered] = field(default_factory=list)
    events_forgotten: list[str] = field(default_factory=list)  # ids
    events_horizon: int = 0  # remembered events with a smaller ordinal are dropped
    pending_removed: list[str] = field(default_factory=list)  # ids
    pending_added: list[Pending] = field(default_factory=list)
    waiting_removed: list[str] = field(default_factory=list)  # ids
    waiting_added: list[Waiting] = field(default_factory=list)
    examples_removed: list[int] = field(default_factory=list)  # serials
    examples_put: list[Example] = field(default_factory=list)  # new, or in the place of the same serial


@dataclass(frozen=True)
class Commit:
    """Everything that commit `number` makes durable, in one transaction.

    positions: next offset of every source partition. snapshot: the learner's state (one value, replaced as a whole).
    outputs: where each output begins (embedded log: role → byte; empty on Kafka). outbox: replaces the one before.
    """

    number: int
    positions: dict[Position, int]
    snapshot: bytes
    changes: Changes
    outputs: dict[str, int]
    outbox: Sequence[Message]


@dataclass(frozen=True)
class Saved:
    """What a store holds, as of its last commit. Lists are in the order in which they were added; examples by serial."""

    store_id: str
    number: int  # 0: nothing was committed yet
    positions: dict[Position, int]
    snapshot: bytes
    outputs: dict[str, int]
    outbox: list[Message]
    event_ids: list[tuple[str, int]]  # (id, ordinal) of remembered events, by ordinal
    pending: list[Pending]
    waiting: list[Waiting]
    examples: list[Example]


class Event(NamedTuple):
    """An event as decoded: x an array or a map of names; time in s since 1970 where the event carries it."""

    id: str
    x: Sequence[float | bool | None] | Mapping[str, float | bool | str | None]
    time: float | None


class Label(NamedTuple):
    """A label as decoded. y None forgets the example; x None: to be joined to the event of that id."""

    id: str
    y: bool | int | float | str | None
    x: Sequence[float | bool | None] | Mapping[str, float | bool | str | None] | None
    weight: float
    time: float | None


class Query(NamedTuple):
    """A query to publish; see the README's table of topics. time, expires: s since 1970.

    trusted: False where the score rests on a tangent whose certificate fails.
    """

    id: str
    x: object
    score: float | None
    trusted: bool
    strategy: str
    reason: str
    probability: float
    prediction: bool | int | float | str | None
    model_version: int
    time: float
    expires: float


class Prediction(NamedTuple):
    """A prediction to publish, with the event's score."""

    id: str
    prediction: bool | int | float | str | None
    score: float | None
    trusted: bool
    model_version: int


class Codec(ABC):
    """The wire format: bytes to values and back. What cannot be decoded comes back as the reason, a string."""

    @abstractmethod
    def event(self, record: Record) -> Event | str: ...

    @abstractmethod
    def label(self, record: Record) -> Label | str: ...

    @abstractmethod
    def query(self, query: Query) -> bytes: ...

    @abstractmethod
    def prediction(self, prediction: Prediction) -> bytes: ...

    @abstractmethod
    def rejected(self, record: Record, reason: str) -> bytes: ...

    @abstractmethod
    def waiting(self, record: Record) -> bytes:
        """A label's record as stored while it waits."""

    @abstractmethod
    def waited(self, stored: bytes) -> Record: ...


class Source(ABC):
    """Where records come from."""

    @abstractmethod
    def open(self, positions: dict[Position, int]) -> None:
        """Start reading at these positions (a partition that is not named: from its beginning)."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """At most `POLL_RECORDS` records and about `POLL_BYTES`; labels before events when both wait; [] after `timeout_s`."""

    @abstractmethod
    def lag(self) -> dict[Position, int]:
        """How much is unread per partition: records (Kafka) or bytes (files). Partitions unknown as yet are left out."""

    def skipped(self) -> dict[Position, Skip]:
        """Where reading was moved since the last call, by the operator's leave. Ask after `open` and after each `poll`."""
        return {}

    @abstractmethod
    def close(self) -> None: ...


class Sink(ABC):
    """Where messages go. A role whose topic is switched off is dropped silently."""

    @abstractmethod
    def open(self, store_id: str, saved_number: int) -> int | None:
        """Fence other writers and say which commit of this store was published last.

        None: publishing again is harmless, so it need not be known. Raises `CannotStart` where the outside was written by
        a foreign store or is ahead or without a trace of a store that has commits; `Fenced` when fenced itself.
        """

    @abstractmethod
    def ends(self) -> dict[str, int]:
        """Where the next output of each role begins, for `Commit.outputs` (embedded log); {} where that has no meaning."""

    @abstractmethod
    def publish(self, commit: Commit) -> None:
        """Make the outbox of `commit` visible, once, together with its positions. After `Unavailable`: `open` again, then
        publish again unless `open` says that it was published."""

    @abstractmethod
    def close(self) -> None: ...


class Store(ABC):
    """Durable state: one writer."""

    @abstractmethod
    def load(self) -> Saved:
        """All that was committed (a new store: `number` 0, an own random `store_id`)."""

    @abstractmethod
    def commit(self, commit: Commit) -> None:
        """All of it or nothing, durable on return. `commit.number` is the last number + 1."""

    @abstractmethod
    def recall(self, ids: Sequence[str]) -> dict[str, Remembered]:
        """The remembered events (committed ones) among these ids."""

    @abstractmethod
    def clear_outbox(self) -> None:
        """Empty the outbox of the last commit: it was published."""

    @abstractmethod
    def close(self) -> None: ...


class Clock(ABC):
    """Time, as the daemon sees it."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds, never backwards."""
