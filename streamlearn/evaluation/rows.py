"""Rows: what a data set is, and how a stream and an evaluation set that the daemon never sees are made of it.

A data set is classes (labels are texts) or values (labels are numbers). One whose rows have no order is shuffled by the seed,
and the first 30 % are set aside. One whose rows stand in the order of time keeps it: of every three rows that follow each
other one, drawn by the seed, is set aside at its place. One whose rows are of users says itself which are set aside: so many
of each user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

Cell = float | str | None
Features = Sequence[float] | Mapping[str, Cell]
Answer = float | str

EVALUATION_SHARE, EVALUATION_EVERY = 0.3, 3
ROWS_MOST = 3000  # of a data set: a trial takes a second or so


@final
@dataclass(frozen=True)
class Dataset:
    """xs, ys: a row each; values: labels are numbers and not classes; notes: what a user should know, a line each.

    ordered: rows stand in the order of time, and what is to be learned may change; imbalanced: classes count alike in the
    score, however rare. users: whose each row is, (): nobody's; aside: the rows to test on, where these are given.
    """

    name: str
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]
    values: bool
    notes: tuple[str, ...] = ()
    ordered: bool = False
    imbalanced: bool = False
    users: tuple[str, ...] = ()
    aside: tuple[int, ...] = ()

    @property
    def score_name(self) -> str:
        return "R²" if self.values else "balanced accuracy" if self.imbalanced else "accuracy"

    @property
    def cells(self) -> int:
        """Rows times features."""
        return sum(map(len, self.xs))


@final
@dataclass(frozen=True)
class Part:
    """Some rows of a data set, in an order: places are row numbers, ids the same as text."""

    places: tuple[int, ...]
    ids: tuple[str, ...]
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]
    users: tuple[str, ...] = ()


def split(dataset: Dataset, seed: int) -> tuple[Part, Part]:
    """(the stream, the evaluation set) of this seed."""
    generator, count = np.random.default_rng([seed, len(dataset.ys)]), len(dataset.ys)
    if dataset.ordered:
        whole = count - count % EVALUATION_EVERY
        begins = np.arange(0, whole, EVALUATION_EVERY)
        aside = begins + generator.integers(0, EVALUATION_EVERY, size=len(begins))
        return _part(dataset, np.setdiff1d(np.arange(whole), aside).tolist()), _part(dataset, aside.tolist())
    if dataset.aside:
        rest = np.setdiff1d(np.arange(count), dataset.aside)
        return _part(dataset, generator.permutation(rest).tolist()), _part(dataset, list(dataset.aside))
    order = generator.permutation(count)
    first = round(EVALUATION_SHARE * count)
    return _part(dataset, order[first:].tolist()), _part(dataset, order[:first].tolist())


def taken(count: int) -> list[int]:
    """Which of so many rows a data set keeps: all, or ROWS_MOST of them by chance, in their order."""
    if count <= ROWS_MOST:
        return list(range(count))
    return sorted(np.random.default_rng(0).permutation(count)[:ROWS_MOST].tolist())


def _part(dataset: Dataset, rows: list[int]) -> Part:
    xs, ys = tuple(dataset.xs[i] for i in rows), tuple(dataset.ys[i] for i in rows)
    users = tuple(dataset.users[i] for i in rows) if dataset.users else ()
    return Part(tuple(rows), tuple(f"row-{i}" for i in rows), xs, ys, users)
