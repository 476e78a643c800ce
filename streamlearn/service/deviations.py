"""Users' deviations at hand while events are scored: found when an event of theirs comes, kept as long as nothing moved.

A deviation follows from the fit and the user's examples alone (`learner/deviation.py`), so this is a cache and no state: what
is dropped is found again, to the last bit, and nothing of it is committed. When the shared model has moved all are stale; one
is when a label of its user has come. The newest `most` are kept, so memory does not grow with users, and those who have no
labels take none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.users import personal
from streamlearn.core.users.deviation import Deviation, deviating
from streamlearn.learner import deviation
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries.sight import Sight


class _Kept(NamedTuple):
    """mark: of the examples that it is of, how many, the last, from which on, and up to which they were learned."""

    mark: tuple[int, int, int, int]
    own: Deviation | None


@final
class Deviations:
    def __init__(self, settings: Settings, most: int) -> None:
        self._settings, self._most = settings, most
        self._everybody = settings.together  # who has no labels has a deviation too: θ₀ is another
        self._fit: Fit | None = None
        self._kept: dict[str, _Kept] = {}  # the one used last is the last

    def __len__(self) -> int:
        return len(self._kept)

    def touched(self, user: str) -> None:
        """An example of this user is not what it was."""
        self._kept.pop(user, None)

    def of(self, state: State, user: str) -> Deviation | None:
        """The user's deviation from the model served, found anew where it is stale."""
        fit, serials = state.published, state.examples.by_user.get(user)
        if fit is not self._fit:
            self._fit, self._kept = fit, {}
        if fit is not None and self._everybody:  # a difference of two rows
            return deviation.of_user(state, self._settings, fit, user)
        if fit is None or not serials:
            return None
        last = serials[-1]
        mark = (len(serials), last, state.examples.first, min(last + 1, state.refined))
        kept = self._kept.pop(user, None)
        if kept is None or kept.mark != mark:
            kept = _Kept(mark, deviation.of_user(state, self._settings, fit, user))
        self._kept[user] = kept
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return kept.own

    def carried(self, seen: Sight, state: State, X: Array, users: Sequence[str], place: int) -> tuple[Sight, Array]:
        """What strategies see of design rows X (n, D), and these rows with what their users add.

        users: of the rows from `place` on, the others are nobody's.
        """
        having = state.examples.by_user
        found = {user: self.of(state, user) for user in dict.fromkeys(users) if self._everybody or user in having}
        own = {user: each for user, each in found.items() if each is not None}
        if not own:
            return seen, X
        fit = state.published
        assert fit is not None, "what users deviate from"
        number = dict(zip(own, range(1, 1 + len(own)), strict=True))
        table = np.zeros((1 + len(own), 2, deviating(fit.model)))
        for user, each in own.items():
            each.add_to(table[number[user]])
        whose = np.zeros(len(X), dtype=np.intp)
        whose[place : place + len(users)] = [number.get(user, 0) for user in users]
        return added(seen, fit, X, table[whose])


def added(seen: Sight, fit: Fit, X: Array, own: Array) -> tuple[Sight, Array]:
    """Of each row's own δ and δ̇: own (n, 2, d); of a network by one forward pass for all."""
    last, by_output = fit.model.last_layer, own.reshape(len(X), 2, fit.model.outputs_count, -1)
    rows, rows_dot = X, None
    if last is not None:
        _, _, rows, rows_dot = last.response(fit.theta, fit.log_tangent, X)
    delta, dot = np.einsum("nd,npkd->pnk", rows, by_output)
    if rows_dot is not None:
        dot += np.einsum("nd,nkd->nk", rows_dot, by_output[:, 0])
    return seen.by_user(), personal.rows(X, delta, dot)
