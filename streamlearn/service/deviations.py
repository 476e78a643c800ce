"""Users' deviations at hand while events are scored: found when an event of theirs comes, kept as long as nothing moved.

A deviation follows from the fit and the user's examples alone (`learner/deviation.py`), so this is a cache and no state: what
is dropped is found again, to the last bit, and nothing of it is committed. When the shared model has moved all are stale; one
is when a label of its user has come. The newest `most` are kept, fewer where they are long, so memory does not grow with
users, and those who have no labels take none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.users import personal
from streamlearn.core.users.deviation import Deviation, deviating
from streamlearn.core.users.unknown import Unknown, Unsure
from streamlearn.learner import deviation
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries.sight import Sight
from streamlearn.service.outlook import stacked

Value = TypeVar("Value")
DEVIATIONS_MOST = 20_000_000  # numbers in memory, of users' deviations: those of a network's parameters may be long
TOLD_MOST = 5_000_000  # and in what their labels have told

Mark = tuple[int, int, int, int]  # of examples: how many, the last, from which on, and up to which they were learned


@final
class _Newest(Generic[Value]):
    """What was found of users, as long as its mark holds: of those looked at last, as many as there is room for."""

    def __init__(self, most: int, numbers_most: int, size: Callable[[Value], int]) -> None:
        self._most, self._numbers_most, self._size = most, numbers_most, size
        self._kept: dict[str, tuple[object, Value]] = {}  # the one used last is the last
        self._numbers = 0  # in these

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        self._kept, self._numbers = {}, 0

    def drop(self, user: str) -> tuple[object, Value] | None:
        kept = self._kept.pop(user, None)
        self._numbers -= self._size(kept[1]) if kept else 0
        return kept

    def of(self, user: str, mark: object, find: Callable[[], Value]) -> Value:
        kept = self.drop(user)
        if kept is None or kept[0] != mark:
            kept = mark, find()
        self._kept[user] = kept
        self._numbers += self._size(kept[1])
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._numbers > self._numbers_most):
            self.drop(next(iter(self._kept)))
        return kept[1]


@final
class Deviations:
    def __init__(self, settings: Settings, most: int) -> None:
        self._settings = settings
        self._everybody = settings.together  # who has no labels has a deviation too: θ₀ is another
        self._fit: Fit | None = None
        self._own = _Newest[Deviation | None](
            most, DEVIATIONS_MOST, lambda own: 0 if own is None else 2 * own.delta.size
        )
        self._told = _Newest[Array | None](most, TOLD_MOST, lambda root: 0 if root is None else root.size)

    def __len__(self) -> int:
        return len(self._own)

    def touched(self, user: str) -> None:
        """An example of this user is not what it was."""
        self._own.drop(user)
        self._told.drop(user)

    def of(self, state: State, user: str) -> Deviation | None:
        """The user's deviation from the model served, found anew where it is stale."""
        fit, mark = state.published, _mark(state, user)
        if fit is not self._fit:
            self._fit = fit
            self._own.clear()
            self._told.clear()
        if fit is None or (mark is None and not self._everybody):
            return None
        if mark is None:
            return deviation.of_user(state, self._settings, fit, user)
        return self._own.of(user, mark, lambda: deviation.of_user(state, self._settings, fit, user))

    def carried(
        self,
        seen: Sight,
        X: Array,
        state: State,
        users: Sequence[str],
        place: int,
        asked: Callable[[str], list[bytes]] | None = None,
    ) -> tuple[Sight, Array]:
        """What strategies see of design rows X (n, D), and these rows with what their users add.

        users: of the rows from `place` on, the others are nobody's. asked: features of what a user is asked about; None: it
        is not looked at what is not known of them.
        """
        fit, names = state.published, ["", *dict.fromkeys(filter(None, users))]
        assert fit is not None, "what users deviate from"
        own = {i: each for i, name in enumerate(names) if (each := self.of(state, name)) is not None}
        unsure = None if asked is None else deviation.unsure(state, self._settings, fit, names)
        if not own and (unsure is None or names == [""]):
            return seen, X
        number = {name: i for i, name in enumerate(names)}
        whose = np.zeros(len(X), dtype=np.intp)
        whose[place : place + len(users)] = [number[user] for user in users]
        table = np.zeros((len(names), 2, deviating(fit.model)))
        for i, each in own.items():
            each.add_to(table[i])
        unknown = None
        if unsure is not None and asked is not None:
            told: list[Array | None] = [None]
            for i, name in enumerate(names[1:], start=1):
                told.append(self._told_of(state, fit, unsure.of([i]), name, own.get(i), asked(name)))
            unknown = Unknown(unsure.of(whose), whose, told)
        return added(seen, fit, X, table, whose, unknown)

    def _told_of(
        self, state: State, fit: Fit, unsure: Unsure, user: str, own: Deviation | None, asked: list[bytes]
    ) -> Array | None:
        """What this user's labels say of them, with those that they are asked for."""
        mark = _mark(state, user), tuple(asked)
        return self._told.of(user, mark, lambda: deviation.told(state, fit, unsure, user, own, stacked(state, asked)))


def _mark(state: State, user: str) -> Mark | None:
    """None: this user has no labels."""
    serials = state.examples.by_user.get(user)
    if not serials:
        return None
    last = serials[-1]
    return len(serials), last, state.examples.first, min(last + 1, state.refined)


def added(
    seen: Sight, fit: Fit, X: Array, table: Array, whose: NDArray[np.intp], unknown: Unknown | None = None
) -> tuple[Sight, Array]:
    """Of users' δ and δ̇, table (u, 2, d), whose (n,) of each row; of a network by one forward pass for all."""
    last, part = fit.model.last_layer, fit.model.part
    if part is not None:
        return seen.by_user(), personal.rows(X, *part.added(fit.theta, fit.log_tangent, X, table, whose))
    rows, rows_dot, by_output = X, None, table[whose].reshape(len(X), 2, fit.model.outputs_count, -1)
    if last is not None:
        _, _, rows, rows_dot = last.response(fit.theta, fit.log_tangent, X)
    delta, dot = np.einsum("nd,npkd->pnk", rows, by_output)
    if rows_dot is not None:
        dot += np.einsum("nd,nkd->nk", rows_dot, by_output[:, 0])
    return seen.by_user(), personal.rows(X, delta, dot, unknown and unknown.moved(rows))
