"""Rows: what a data set of the demo is, and how a stream is made of it.

A data set is classes (labels are texts) or values (labels are numbers). `split` makes a stream: the rows shuffled by a
seed, the first 30 % set aside as an evaluation set that the daemon never sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

Cell = float | str | None
Features = Sequence[float] | Mapping[str, Cell]
Answer = float | str

EVALUATION_SHARE = 0.3


@final
@dataclass(frozen=True)
class Dataset:
    """xs, ys: a row each; values: labels are numbers and not classes; notes: what a user should know, a line each."""

    name: str
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]
    values: bool
    notes: tuple[str, ...] = ()

    @property
    def score_name(self) -> str:
        return "R²" if self.values else "accuracy"

    @property
    def cells(self) -> int:
        """Rows times features."""
        return sum(map(len, self.xs))


@final
@dataclass(frozen=True)
class Part:
    """Some rows of a data set, in an order: ids are row numbers as text."""

    ids: tuple[str, ...]
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]


def split(dataset: Dataset, seed: int) -> tuple[Part, Part]:
    """(the stream, the evaluation set) of this seed."""
    order = np.random.default_rng([seed, len(dataset.ys)]).permutation(len(dataset.ys))
    aside = round(EVALUATION_SHARE * len(order))
    return _part(dataset, order[aside:].tolist()), _part(dataset, order[:aside].tolist())


def _part(dataset: Dataset, rows: list[int]) -> Part:
    return Part(tuple(f"row-{i}" for i in rows), tuple(dataset.xs[i] for i in rows), tuple(dataset.ys[i] for i in rows))
