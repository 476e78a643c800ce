"""The census: how many events there were, by what scorers say of them, each counted once.

Scorers (`tally.py`) count by stretches of a partition, from its beginning, whoever reads it; each candidate and each tally says
how many of its stretch were scored by then. So of a stretch the largest number counts, and what is said again, by the same
scorer or by another that was handed the partition, adds nothing: what is new is the difference. The moments of the features are
taken from tallies in the same way, column by column.

A trainer that has fallen behind reads the partitions of `candidates` one after the other, so stretches come in any order.
Those that are not whole are kept until they are, of whole ones their numbers, as ranges. Of one that lies `FAR` stretches back
nothing more is taken, or one that the log lost before a scorer had read it would be kept for ever. So the count may be too
small, and is never too large.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core import moments
from streamlearn.learner import columns
from streamlearn.service import tally
from streamlearn.service.ports import Passed
from streamlearn.service.tally import Tally

FAR = 1000

NO_FEATURES = moments.init(0)


@final
@dataclass(frozen=True)
class Stretch:
    """What is counted of one that is not whole: events, and the moments of their features up to offset `through`."""

    partition: int
    number: int
    events: int = 0
    through: int = 0
    features: moments.State = NO_FEATURES


@final
@dataclass(frozen=True)
class Kept:
    """What a commit holds of it. events: of all stretches; whole: of each partition, from which to which, and so on."""

    events: int = 0
    stretches: tuple[Stretch, ...] = ()
    whole: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = ()


NOTHING = Kept()


@final
class Census:
    def __init__(self) -> None:
        self.events = 0
        self._open: dict[int, dict[int, Stretch]] = {}  # by partition and number
        self._whole: dict[int, list[tuple[int, int]]] = {}  # by partition, in order

    def restore(self, kept: Kept) -> None:
        """Go on where another process was."""
        self.events, self._open = kept.events, {}
        for each in kept.stretches:
            self._open.setdefault(each.partition, {})[each.number] = each
        self._whole = {partition: list(ranges) for partition, ranges in kept.whole}

    def kept(self) -> Kept:
        open_ = tuple(each for _, of in sorted(self._open.items()) for _, each in sorted(of.items()))
        return Kept(self.events, open_, tuple((number, tuple(each)) for number, each in sorted(self._whole.items())))

    def passed(self, told: Passed) -> int:
        """A candidate has come: how many events are new."""
        return self._count(told.partition, told.stretch, told.events)

    def tallied(self, told: Tally, known: columns.State) -> tuple[int, moments.State]:
        """A tally has come: how many events are new, and what is new of their features by these columns."""
        earned, none = self._count(told.partition, told.stretch, told.events), moments.init(len(known.columns))
        at = self._open[told.partition].get(told.stretch)
        if at is None or told.through <= at.through:
            return earned, none
        ours = told.columns.columns == known.columns[: len(told.columns.columns)]
        features = told.features if ours else at.features
        new = moments.since(_widened(at.features, known), _widened(features, known))
        self._open[told.partition][told.stretch] = replace(at, through=told.through, features=features)
        if told.through >= (told.stretch + 1) * tally.STRETCH:
            self._close(told.partition, told.stretch)
        return earned, new

    def _count(self, partition: int, number: int, events: int) -> int:
        of_partition, whole = self._open.setdefault(partition, {}), self._whole.setdefault(partition, [])
        newest = max(max(of_partition, default=0), whole[-1][1] if whole else 0)
        if number <= newest - FAR or any(first <= number <= last for first, last in whole):
            return 0
        at = of_partition.get(number) or Stretch(partition, number)
        earned = max(0, events - at.events)
        of_partition[number] = replace(at, events=at.events + earned)
        if at.events == 0:
            for old in [each for each in of_partition if each <= number - FAR]:
                del of_partition[old]
        self.events += earned
        return earned

    def _close(self, partition: int, number: int) -> None:
        """It is whole: one more of a range, or between two, or the first of a new one."""
        del self._open[partition][number]
        ranges = sorted([*self._whole[partition], (number, number)])
        joined = ranges[:1]
        for first, last in ranges[1:]:
            if first == joined[-1][1] + 1:
                joined[-1] = joined[-1][0], last
            else:
                joined.append((first, last))
        self._whole[partition] = [each for each in joined if each[1] > number - FAR]


def _widened(features: moments.State, known: columns.State) -> moments.State:
    """By columns that have come since: of a new category there was none, wherever its name held anything."""
    more = len(known.columns) - len(features.count)
    wide = moments.extend(features, np.empty((0, len(known.columns)))) if more else features
    return replace(wide, count=columns.sibling_counts(known, features.count)) if more else wide
