"""Users' deviations at hand while events are scored: found when an event of theirs comes, kept as long as nothing moved.

A deviation follows from the fit and the user's examples alone (`learner/deviation.py`), so this is a cache and no state: what
is dropped is found again, to the last bit, and nothing of it is committed. When the shared model has moved all are stale; one
is when a label of its user has come. The newest `most` are kept, fewer where they are long, so memory does not grow with
users, and those who have no labels take none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.users import personal
from streamlearn.core.users.deviation import Deviation, deviating
from streamlearn.core.users.unknown import Unsure
from streamlearn.learner import deviation
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries.sight import Sight
from streamlearn.service.outlook import stacked

NUMBERS_MOST = 5_000_000  # of what users' labels have told, in memory
DEVIATIONS_MOST = 20_000_000  # numbers in users' deviations, likewise: those of a network's parameters may be long


class _Kept(NamedTuple):
    """mark: of the examples that it is of, how many, the last, from which on, and up to which they were learned."""

    mark: tuple[int, int, int, int]
    own: Deviation | None

    @property
    def size(self) -> int:
        return 0 if self.own is None else 2 * self.own.delta.size


class _Told(NamedTuple):
    """mark: that of the deviation, and what the user was asked about besides."""

    mark: tuple[tuple[int, int, int, int] | None, tuple[bytes, ...]]
    root: Array | None

    @property
    def size(self) -> int:
        return 0 if self.root is None else self.root.size


@final
class Deviations:
    def __init__(self, settings: Settings, most: int) -> None:
        self._settings, self._most = settings, most
        self._everybody = settings.together  # who has no labels has a deviation too: θ₀ is another
        self._fit: Fit | None = None
        self._kept: dict[str, _Kept] = {}  # the one used last is the last
        self._held = 0  # numbers in these
        self._known: dict[str, _Told] = {}  # likewise
        self._numbers = 0  # in these

    def __len__(self) -> int:
        return len(self._kept)

    def touched(self, user: str) -> None:
        """An example of this user is not what it was."""
        kept = self._kept.pop(user, None)
        self._held -= kept.size if kept else 0
        known = self._known.pop(user, None)
        self._numbers -= known.size if known else 0

    def of(self, state: State, user: str) -> Deviation | None:
        """The user's deviation from the model served, found anew where it is stale."""
        fit, serials = state.published, state.examples.by_user.get(user)
        if fit is not self._fit:
            self._fit, self._kept, self._known, self._numbers = fit, {}, {}, 0
        if fit is None or not serials:
            return deviation.of_user(state, self._settings, fit, user) if fit and self._everybody else None
        last = serials[-1]
        mark = (len(serials), last, state.examples.first, min(last + 1, state.refined))
        kept = self._kept.pop(user, None)
        self._held -= kept.size if kept else 0
        if kept is None or kept.mark != mark:
            kept = _Kept(mark, deviation.of_user(state, self._settings, fit, user))
        self._kept[user] = kept
        self._held += kept.size
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._held > DEVIATIONS_MOST):
            self._held -= self._kept.pop(next(iter(self._kept))).size
        return kept.own

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
            told = [self._told(state, unsure.of([i]), name, asked(name)) for name, i in number.items() if name]
            unknown = Unknown(unsure.of(whose), whose, [None, *told])
        return added(seen, fit, X, table, whose, unknown)

    def _told(self, state: State, unsure: Unsure, user: str, asked: list[bytes]) -> Array | None:
        """What this user's labels say of them, with those that they are asked for."""
        assert self._fit is not None
        own = self.of(state, user)
        kept = self._kept.get(user)
        mark = (kept.mark if kept else None, tuple(asked))
        known = self._known.pop(user, None)
        self._numbers -= known.size if known else 0
        if known is None or known.mark != mark:
            known = _Told(mark, deviation.told(state, self._fit, unsure, user, own, stacked(state, asked)))
        self._known[user] = known
        self._numbers += known.size
        while self._numbers > NUMBERS_MOST or len(self._known) > self._most:
            self._numbers -= self._known.pop(next(iter(self._known))).size
        return known.root


@final
class Unknown(NamedTuple):
    """What is not known of whose rows these are: of each row's, as if nothing were told; numbers of users (n,), 0: nobody; and
    what is told of each, None: nothing.
    """

    unsure: Unsure
    whose: NDArray[np.intp]
    told: list[Array | None]

    def moved(self, rows: Array) -> Array:
        """J Σ_u at design rows (n, D): (n, k, d)."""
        out = self.unsure.moved(rows)
        out[self.whose == 0] = 0.0
        for number, root in enumerate(self.told):
            if root is not None:
                at = np.flatnonzero(self.whose == number)
                J = np.einsum("ce,nd->nced", np.eye(out.shape[1]), rows[at]).reshape(out[at].shape)
                out[at] -= (J @ root) @ root.T  # row by row: the same bits whatever else there is
        return out


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
