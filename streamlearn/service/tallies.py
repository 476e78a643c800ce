"""A scorer's tallies (`tally.py`) as they grow: one of each partition that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.learner import columns
from streamlearn.service import tally
from streamlearn.service.ports import Record
from streamlearn.service.tally import Tally


@final
class Tallies:
    """Those that are open, one a partition."""

    def __init__(self) -> None:
        self._open: dict[int, Tally] = {}
        self._said: dict[int, Tally] = {}

    def forget(self) -> None:
        """Partitions were handed out anew: all is read from where the group has come to."""
        self._open, self._said = {}, {}

    def take(self, record: Record, rows: Array, rejected: int, known: columns.State, through: int = 0) -> list[Tally]:
        """The next record of its partition, of whose events those with raw rows (n, columns) were scored. What that ends.

        through: with those behind it in the same stretch, up to this offset.
        """
        number, stretch = record.partition, record.offset // tally.STRETCH
        before, ended = self._open.pop(number, None), list[Tally]()
        if before is not None and before.stretch < stretch:
            ended.append(replace(before, through=(before.stretch + 1) * tally.STRETCH))
            before = None
        if before is None or not _grown(before.columns, known):
            before = Tally(number, record.offset, record.offset, 0, 0, known, moments.init(len(known.columns)))
        now = replace(
            before,
            through=max(record.next, through),
            events=before.events + len(rows),
            rejected=before.rejected + rejected,
            features=moments.step(before.features, rows[:, : len(before.columns.columns)]),
        )
        if now.through >= (stretch + 1) * tally.STRETCH:
            ended.append(replace(now, through=(stretch + 1) * tally.STRETCH))
        else:
            self._open[number] = now
        for each in ended:
            self._said.pop(each.partition, None)
        return ended

    def so_far(self, record: Record) -> int:
        """Events of this record's stretch that were scored before it."""
        before = self._open.get(record.partition)
        return before.events if before is not None and before.stretch == record.offset // tally.STRETCH else 0

    def news(self) -> list[Tally]:
        """Open ones that have grown since they were told last."""
        grown = [each for number, each in sorted(self._open.items()) if self._said.get(number) is not each]
        self._said = dict(self._open)
        return grown


def _grown(before: columns.State, now: columns.State) -> bool:
    """Whether columns were at most added; of another store's model they are in another order."""
    return before.kind == now.kind and before.columns == now.columns[: len(before.columns)]
