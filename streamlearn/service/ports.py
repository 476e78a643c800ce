"""The daemon's ports: what it needs from the outside, in nouns. Adapters live in `edges/`.

Every port may raise `errors.Unavailable` (the world's fault: the daemon backs off and calls again). Nothing here does I/O.
The commit order that these ports carry is numbered in `service/daemon.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

from streamlearn.service.stored import AskedOf as AskedOf
from streamlearn.service.stored import Changes as Changes
from streamlearn.service.stored import Commit as Commit
from streamlearn.service.stored import Earlier as Earlier
from streamlearn.service.stored import Example as Example
from streamlearn.service.stored import Message as Message
from streamlearn.service.stored import Pending as Pending
from streamlearn.service.stored import Position as Position
from streamlearn.service.stored import Remembered as Remembered
from streamlearn.service.stored import Saved as Saved
from streamlearn.service.stored import Waiting as Waiting
from streamlearn.service.tally import Tally

EVENTS, LABELS = "events", "labels"  # input roles
QUERIES, PREDICTIONS, REJECTED, MODELS = "queries", "predictions", "rejected", "models"  # output roles
CANDIDATES = "candidates"  # what scorers pass on

POLL_RECORDS = 1000  # a commit closes at this many records, or events and labels in them ...
POLL_BYTES = 4 << 20  # ... or at this many bytes
RECORD_BYTES = 256 << 10  # a record above this is rejected unread: what is published of it must fit Kafka's 1 MB
MODEL_BYTES = 1_000_000  # a model's largest message: what a topic of Kafka's takes unless it is told otherwise


class Record(NamedTuple):
    """One record as read. `role` is `events` or `labels`, whatever the topic is called.

    `value` is None for a tombstone. A record over `RECORD_BYTES` has its first bytes in `value` and `oversize` set to its
    size in bytes. `next` is the position to store once the record is dealt with. `place` is set where this is one event or
    label taken out of a batch: which one, from 0. `skipped`: there is nothing to deal with but its position. `time`: when the
    log got it, in s since 1970; None where it does not say.
    """

    role: str
    partition: int
    offset: int
    next: int
    key: bytes | None
    value: bytes | None
    oversize: int = 0
    place: int | None = None
    skipped: bool = False
    time: float | None = None


class Skip(NamedTuple):
    """Reading goes on at `next`, without what the log no longer held: `lost` records at most; None: nobody knows how many."""

    next: int
    lost: int | None


class Passed(NamedTuple):
    """How an event came by a scorer: the stretch of a partition that it is of, how many of it were scored so far, this one
    included, and whether chance has drawn it: an audit, or one of the rest of the sample, which is not asked about."""

    partition: int
    stretch: int
    events: int
    audit: bool
    sample: bool = False


class Event(NamedTuple):
    """An event as decoded: x an array or a map of names; time in s since 1970 where the event carries it; user: whose it is,
    "": nobody's."""

    id: str
    x: Sequence[float | bool | None] | Mapping[str, float | bool | str | None]
    time: float | None
    passed: Passed | None = None
    user: str = ""


class Label(NamedTuple):
    """A label as decoded. y None forgets the example; x None: to be joined to the event of that id."""

    id: str
    y: bool | int | float | str | None
    x: Sequence[float | bool | None] | Mapping[str, float | bool | str | None] | None
    weight: float
    time: float | None
    user: str = ""


@final
@dataclass(frozen=True)
class Shadow:
    """What a strategy that does not act says of an event: its score, and whether it would have asked about it."""

    strategy: str
    score: float | None
    asks: bool


class Query(NamedTuple):
    """A query to publish; see the README's table of topics. time, expires: s since 1970.

    trusted: False where the score rests on a tangent whose certificate fails. threshold: the score from which events were
    asked about just then; None: whatever the score. user: whose event it is; "": nobody's.
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
    threshold: float | None = None
    shadows: tuple[Shadow, ...] = ()
    user: str = ""


class Prediction(NamedTuple):
    """A prediction to publish, with the event's score."""

    id: str
    prediction: bool | int | float | str | None
    score: float | None
    trusted: bool
    model_version: int
    shadows: tuple[Shadow, ...] = ()


class Asked(NamedTuple):
    """A query as read back from the log; see `Query`. time 0, expires inf: not said."""

    id: str
    x: Sequence[float | bool | None] | Mapping[str, float | bool | str | None]
    reason: str
    model_version: int
    time: float
    expires: float
    user: str = ""


class Inherited(NamedTuple):
    """Whose commits the log holds ("": nobody's), and the positions up to which those have dealt with it."""

    store_id: str
    positions: dict[Position, int]


class Codec(ABC):
    """The wire format: bytes to values and back. A record holds one event or label, or a batch of them in order; in the
    place of each that cannot be decoded stands the reason, a string. Among events that scorers pass on are their tallies."""

    @abstractmethod
    def events(self, record: Record) -> Sequence[Event | Tally | str]: ...

    @abstractmethod
    def labels(self, record: Record) -> Sequence[Label | str]: ...

    @abstractmethod
    def one(self, record: Record, index: int) -> Record:
        """The record that would hold this event or label alone; the same record where it is no batch."""

    @abstractmethod
    def query(self, query: Query) -> bytes: ...

    @abstractmethod
    def asked(self, record: Record) -> Asked | str:
        """A query that was published."""

    @abstractmethod
    def prediction(self, prediction: Prediction) -> bytes: ...

    @abstractmethod
    def rejected(self, record: Record, reason: str) -> bytes: ...


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
    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        """Fence other writers and say which commit of this store was published last.

        None: publishing again is harmless, so it need not be known. Raises `CannotStart` where the outside was written by
        a foreign store or is ahead or without a trace of a store that has commits; `Fenced` when fenced itself.
        replaces: see `Saved`; until the first commit of this store is published, the traces of that one are its own.
        """

    @abstractmethod
    def inherit(self) -> Inherited:
        """Fence other writers and say whose log this is, for a store that is built from it."""

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
    def of_user(self, user: str) -> list[str]:
        """The ids of a user's remembered events (committed ones)."""

    @abstractmethod
    def clear_outbox(self) -> None:
        """Empty the outbox of the last commit: it was published."""

    @abstractmethod
    def close(self) -> None: ...


class Command(NamedTuple):
    """What an operator wants of a running daemon. commit: of a rollback, else 0; user: who is to be forgotten, else ""."""

    number: int
    action: str
    commit: int
    user: str = ""


class Control(ABC):
    """Where operators leave commands; each is obeyed once, in order."""

    @abstractmethod
    def after(self, number: int) -> list[Command]:
        """Those with a higher number."""


class Clock(ABC):
    """Time, as the daemon sees it."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds, never backwards."""
