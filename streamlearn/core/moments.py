"""Running mean and variance of every column, the same to the last bit however the rows were cut into batches.

Rows are counted one by one; sums are taken over blocks of `BLOCK` rows and merged into the total (Chan, Golub and
LeVeque) when a block is full. The rows of the open block are kept and merged only in the answer, so that what is
computed depends on the rows and their order alone. NaN is "missing": it does not count, column by column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array

BLOCK = 128


@final
@dataclass(frozen=True)
class State:
    """count, mean, square (sum of squared deviations): (d,); rows (at most BLOCK − 1, d): the open block."""

    count: Array
    mean: Array
    square: Array
    rows: Array


@final
@dataclass(frozen=True)
class Scaling:
    """x ↦ (x − shift)/scale, each (d,)."""

    shift: Array
    scale: Array


def init(columns: int) -> State:
    return State(np.zeros(columns), np.zeros(columns), np.zeros(columns), np.empty((0, columns)))


def step(state: State, rows: Array) -> State:
    """Count these rows (n, d)."""
    # In C order whatever the layout of `rows`: the order of a sum, and so its last bit, follows the layout.
    waiting = np.ascontiguousarray(np.concatenate([state.rows, rows]))
    full = len(waiting) // BLOCK * BLOCK
    for start in range(0, full, BLOCK):
        state = _merge(state, waiting[start : start + BLOCK])
    return State(state.count, state.mean, state.square, waiting[full:].copy())


def extend(state: State, rows: Array) -> State:
    """More columns, which nobody has seen before; `rows` is the open block in the wider form."""
    more = rows.shape[1] - len(state.count)
    count, mean, square = (np.concatenate([part, np.zeros(more)]) for part in (state.count, state.mean, state.square))
    return State(count, mean, square, rows)


def closed(state: State) -> State:
    """With the rows of the open block counted."""
    return replace(_merge(state, state.rows), rows=state.rows[:0])


def scaling(state: State) -> Scaling:
    """Mean and standard deviation; a column that does not vary is left at scale 1."""
    total = closed(state)
    variance = total.square / np.maximum(total.count, 1.0)
    # Rounding leaves a constant column with a tiny variance, which must not be blown up. Tiny is relative to the mean:
    # a column in small units varies as well as any other.
    varies = variance > 1e-20 * total.mean**2
    return Scaling(total.mean, np.where(varies, np.sqrt(variance), 1.0))


def _merge(state: State, rows: Array) -> State:
    present = ~np.isnan(rows)
    count = present.sum(axis=0).astype(float)
    mean = np.where(present, rows, 0.0).sum(axis=0) / np.maximum(count, 1.0)
    square = (np.where(present, rows - mean, 0.0) ** 2).sum(axis=0)
    return merge(state, State(count, mean, square, rows[:0]))


def merge(state: State, more: State) -> State:
    """With the rows of another, which has none open."""
    total = state.count + more.count
    delta, share = more.mean - state.mean, more.count / np.maximum(total, 1.0)
    new_mean = state.mean + delta * share
    return State(total, new_mean, state.square + more.square + delta**2 * state.count * share, state.rows)


def since(before: State, now: State) -> State:
    """The rows that have come from `before` to `now`, neither of which has any open; none where there are fewer."""
    count = np.maximum(now.count - before.count, 0.0)
    mean = (now.count * now.mean - before.count * before.mean) / np.maximum(count, 1.0)
    apart = (mean - before.mean) ** 2 * before.count * count / np.maximum(now.count, 1.0)
    square = np.maximum(now.square - before.square - apart, 0.0)
    return State(count, np.where(count, mean, 0.0), np.where(count, square, 0.0), now.rows[:0])
