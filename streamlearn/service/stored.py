"""What a store keeps, and what one commit writes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Position = tuple[str, int]  # (role, partition)


class Message(NamedTuple):
    """One message to publish. `role` is `queries`, `predictions`, `rejected` or `models`."""

    role: str
    key: bytes | None
    value: bytes


@dataclass(frozen=True)
class Remembered:
    """An event that labels may still join.

    id: the event's; ordinal: its number among distinct valid events, from 0;
    x: float64 row of features as encoded then (shorter than today's when columns were added since), NaN = missing;
    user: whose it is, "": nobody's.
    """

    id: str
    ordinal: int
    x: bytes
    user: str = ""


@dataclass(frozen=True)
class Pending:
    """A query that has been issued and not yet answered. `reason` is `score` or `audit`; `expires` in s since 1970."""

    id: str
    ordinal: int
    x: bytes
    reason: str
    expires: float
    user: str = ""


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
    user: str = ""


class AskedOf(NamedTuple):
    """When (s since 1970) a user was asked something."""

    user: str
    time: float


@dataclass(frozen=True)
class Earlier:
    """A fit of the commit `number`, to go back to; labels: the serial behind the last label there was then; time: s since
    1970; value: see `service/fits.py`."""

    number: int
    labels: int
    time: float
    value: bytes


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
    fits_removed: list[int] = field(default_factory=list)  # numbers
    fits_added: list[Earlier] = field(default_factory=list)
    asked_horizon: float = -math.inf  # what users were asked up to then is dropped; inf: all of it
    asked_added: list[AskedOf] = field(default_factory=list)
    erases: bool = False  # somebody wanted something forgotten: nothing of it is to be left anywhere in the store


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

    @property
    def size(self) -> int:
        """Bytes that it carries: the snapshot, rows of changes and messages, without what a store adds."""
        changes = self.changes
        rows = (changes.events_added, changes.pending_added, changes.examples_put)
        return (
            len(self.snapshot)
            + sum(len(entry.x) + len(entry.id) for added in rows for entry in added)
            + sum(len(example.y) for example in changes.examples_put)
            + sum(len(entry.label) + len(entry.id) for entry in changes.waiting_added)
            + sum(len(fit.value) for fit in changes.fits_added)
            + sum(len(message.value) + len(message.key or b"") for message in self.outbox)
        )


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
    fits: list[Earlier] = field(default_factory=list)
    asked: list[AskedOf] = field(default_factory=list)
    replaces: str | None = None  # of a store that was built from the log: the id of the one before, "" if unknown
