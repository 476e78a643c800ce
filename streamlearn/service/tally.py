"""What a scorer has seen of each partition: how many events, and the moments of their features.

Whoever adds them up must not count an event twice, though it may be delivered to two scorers, and scored by both. So tallies
are of fixed stretches of a partition, `STRETCH` offsets each, whoever reads it, and the group never goes on within one.
A scorer that is handed a partition reads its stretch from the beginning, and says of it again and again how far it has come.
Of all that was said of a stretch, that which goes farthest counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import msgspec

from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.learner import columns
from streamlearn.service.ports import Record

STRETCH = 1000  # offsets


@final
@dataclass(frozen=True)
class Tally:
    """Of the records of a partition from offset `begin` up to `through`: events that were scored, events that were rejected,
    and the moments of those that were scored, under the columns that there were at the beginning.
    """

    partition: int
    begin: int
    through: int
    events: int
    rejected: int
    columns: columns.State
    features: moments.State

    @property
    def stretch(self) -> int:
        return self.begin // STRETCH


@final
class Tallies:
    """Those that are open, one a partition."""

    def __init__(self) -> None:
        self._open: dict[int, Tally] = {}
        self._said: dict[int, Tally] = {}

    def forget(self) -> None:
        """Partitions were handed out anew: all is read from where the group has come to."""
        self._open, self._said = {}, {}

    def take(self, record: Record, rows: Array, rejected: int, known: columns.State) -> list[Tally]:
        """The next record of its partition, of whose events those with raw rows (n, columns) were scored. What that ends."""
        number, stretch = record.partition, record.offset // STRETCH
        before, ended = self._open.pop(number, None), list[Tally]()
        if before is not None and before.stretch < stretch:
            ended.append(replace(before, through=(before.stretch + 1) * STRETCH))
            before = None
        if before is None or not _grown(before.columns, known):
            before = Tally(number, record.offset, record.offset, 0, 0, known, moments.init(len(known.columns)))
        tally = replace(
            before,
            through=record.next,
            events=before.events + len(rows),
            rejected=before.rejected + rejected,
            features=moments.step(before.features, rows[:, : len(before.columns.columns)]),
        )
        if tally.through >= (stretch + 1) * STRETCH:
            ended.append(replace(tally, through=(stretch + 1) * STRETCH))
        else:
            self._open[number] = tally
        for each in ended:
            self._said.pop(each.partition, None)
        return ended

    def news(self) -> list[Tally]:
        """Open ones that have grown since they were told last."""
        grown = [each for number, each in sorted(self._open.items()) if self._said.get(number) is not each]
        self._said = dict(self._open)
        return grown


def _grown(before: columns.State, now: columns.State) -> bool:
    """Whether columns were at most added; of another store's model they are in another order."""
    return before.kind == now.kind and before.columns == now.columns[: len(before.columns)]


@final
class _Said(msgspec.Struct):
    partition: int
    begin: int
    through: int
    events: int
    rejected: int
    columns: tuple[tuple[str, str | None], ...]
    count: list[float]
    mean: list[float]
    square: list[float]


@final
class _Line(msgspec.Struct):
    tally: _Said


def encode(tally: Tally) -> bytes:
    """A line of JSON."""
    features = moments.closed(tally.features)
    parts = (part.tolist() for part in (features.count, features.mean, features.square))
    counted = (tally.partition, tally.begin, tally.through, tally.events, tally.rejected)
    return msgspec.json.encode(_Line(_Said(*counted, tally.columns.columns, *parts)))
