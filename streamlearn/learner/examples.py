"""The labeled set: what training draws on again and again, since labels are scarce and compute is not.

Rows are appended; a forgotten one keeps its place with weight 0 and no features. Arrays grow by doubling and are shared
between a state and its successors: an append writes behind the end that older states see, so it costs what it adds. When
only the newest are kept, the oldest are dropped by moving the beginning. Where examples are of users, an index says which are
of whom: it grows with them, not with how many users there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.learner.problem import Label


@final
@dataclass(frozen=True)
class State:
    """Serials first … end − 1 are kept, at rows 0 … end − first − 1 (capacity may be more).

    X: features as encoded, NaN = missing; y: labels as given; target: as the loss takes them; weight: 0 = forgotten;
    fold: with which of the others it is held out; 0: never. user: whose it is, "": nobody's; by_user: the serials of each, in
    order, and maybe of such as are gone or come later.
    """

    first: int
    end: int
    X: Array
    y: list[Label]
    target: Array
    weight: Array
    fold: NDArray[np.int64]
    user: list[str] = field(default_factory=list)
    by_user: dict[str, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.end - self.first


def init(columns: int = 0, serial: int = 0) -> State:
    return State(serial, serial, np.empty((0, columns)), [], np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))


def append(state: State, x: Array, y: Label, target: float, weight: float, fold: int, user: str = "") -> State:
    """One more example with features x (columns,)."""
    n = len(state)
    if len(state.y) != n or n >= len(state.X):
        state = _grown(state, max(64, 2 * n))
    state.X[n], state.target[n], state.weight[n], state.fold[n] = x, target, weight, fold
    state.y.append(y)
    state.user.append(user)
    if user:
        state.by_user.setdefault(user, []).append(state.end)
    return replace(state, end=state.end + 1)


def replaced(state: State, serial: int, x: Array, y: Label, target: float, weight: float, user: str = "") -> State:
    """The same example with other contents; weight 0 forgets it."""
    state = _grown(state, max(64, len(state)))
    row = serial - state.first
    state.X[row], state.target[row], state.weight[row] = x, target, weight
    if weight == 0.0:
        state.fold[row] = 0
    state.y[row] = y
    if user != state.user[row]:
        state.user[row] = user
        state = replace(state, by_user=_index(state))
    return state


def without(state: State, rows: NDArray[np.intp]) -> State:
    """The same with these forgotten, all at once: what it costs grows with all examples, not with how many of them go."""
    state = _grown(state, max(64, len(state)))
    state.X[rows], state.target[rows], state.weight[rows], state.fold[rows] = 0.0, 0.0, 0.0, 0
    for row in rows:
        state.y[row], state.user[row] = 0, ""
    return replace(state, by_user=_index(state))


def of_user(state: State, user: str) -> NDArray[np.intp]:
    """The rows of a user's examples, in order, without forgotten ones."""
    serials = [serial for serial in state.by_user.get(user, ()) if state.first <= serial < state.end]
    rows = np.array(serials, dtype=np.intp) - state.first
    return rows[state.weight[rows] > 0.0]


def members(state: State, fold: int) -> NDArray[np.bool_]:
    """Which examples are of this fold, (len,); of fold 0, none."""
    return np.asarray((state.fold[: len(state)] == fold) & (fold > 0))


def widened(state: State, X: Array) -> State:
    """The same examples with more columns; X (len, columns)."""
    return replace(_part(state, 0), X=X)


def retargeted(state: State, target: Array) -> State:
    """The same examples under a problem that has just been decided; target (len,)."""
    return replace(_part(state, 0), target=target)


def newest(state: State, keep: int) -> State:
    """Only the newest `keep` examples (0: all)."""
    return _part(state, len(state) - keep) if 0 < keep < len(state) else state


def _part(state: State, start: int) -> State:
    part, X = slice(start, len(state)), state.X
    return State(
        state.first + start,
        state.end,
        X[part],
        state.y[part],
        state.target[part],
        state.weight[part],
        state.fold[part],
        state.user[part],
        state.by_user,
    )


def _grown(state: State, capacity: int) -> State:
    n = len(state)
    X, target, weight = np.zeros((capacity, state.X.shape[1])), np.zeros(capacity), np.zeros(capacity)
    fold = np.zeros(capacity, dtype=np.int64)
    X[:n], target[:n], weight[:n], fold[:n] = state.X[:n], state.target[:n], state.weight[:n], state.fold[:n]
    return State(state.first, state.end, X, state.y[:n], target, weight, fold, state.user[:n], _index(state))


def _index(state: State) -> dict[str, list[int]]:
    """Anew, of what there is."""
    index: dict[str, list[int]] = {}
    for serial, user in enumerate(state.user[: len(state)], state.first):
        if user:
            index.setdefault(user, []).append(serial)
    return index
