"""Rows as numbers, for programs that take no others: texts become a column each, what is missing the mean of its column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.peers.peer import Array
from streamlearn.evaluation.rows import Cell, Features


def encoded(stream: Sequence[Features], aside: Sequence[Features]) -> tuple[Array, Array]:
    """(the stream's rows, those set aside), by columns and means of the stream."""
    columns = dict[tuple[object, str | None], int]()
    for x in stream:
        for name, cell in _cells(x).items():
            columns.setdefault((name, cell if isinstance(cell, str) else None), len(columns))
    rows, others = (_rows(each, columns) for each in (stream, aside))
    known = ~np.isnan(rows)
    means = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    return np.where(known, rows, means), np.where(np.isnan(others), means, others)


def _rows(xs: Sequence[Features], columns: Mapping[tuple[object, str | None], int]) -> Array:
    rows = np.zeros((len(xs), len(columns)))
    for row, x in zip(rows, xs, strict=True):
        for name, cell in _cells(x).items():
            at = columns.get((name, cell if isinstance(cell, str) else None))
            if at is not None:
                row[at] = 1.0 if isinstance(cell, str) else np.nan if cell is None else cell
    return rows


def _cells(x: Features) -> Mapping[object, Cell]:
    return dict(x) if isinstance(x, Mapping) else dict(enumerate(x))
