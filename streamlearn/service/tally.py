"""What a scorer has seen of a stretch of a partition: how many events, and the moments of their features.

Whoever adds them up must not count an event twice, though it may be delivered to two scorers, and scored by both. So tallies
are of fixed stretches of a partition, `STRETCH` offsets each, whoever reads it, and the group never goes on within one.
A scorer that is handed a partition reads its stretch from the beginning, and says of it again and again how far it has come.
Of all that was said of a stretch, that which goes farthest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import msgspec
import numpy as np

from streamlearn.core import moments
from streamlearn.learner import columns

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
class Said(msgspec.Struct):
    """As on the wire."""

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
    tally: Said


def encode(tally: Tally) -> bytes:
    """A line of JSON."""
    features = moments.closed(tally.features)
    parts = (part.tolist() for part in (features.count, features.mean, features.square))
    counted = (tally.partition, tally.begin, tally.through, tally.events, tally.rejected)
    return msgspec.json.encode(_Line(Said(*counted, tally.columns.columns, *parts)))


def decode(said: Said) -> Tally:
    """Raises ValueError where it cannot be meant."""
    parts = [np.array(part, dtype=float) for part in (said.count, said.mean, said.square)]
    sizes = {len(said.columns), *(len(part) for part in parts)}
    if len(sizes) > 1 or min(said.partition, said.begin, said.events, said.rejected) < 0:
        raise ValueError("a tally's parts do not belong together")
    features = moments.State(parts[0], parts[1], parts[2], np.empty((0, len(parts[0]))))
    known = columns.State(columns=tuple(said.columns))
    return Tally(said.partition, said.begin, said.through, said.events, said.rejected, known, features)
