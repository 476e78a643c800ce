"""Rows of users: what each gets of their own model, of the one that all share, and of one that knows them alone.

A user counts as much as any other, however many rows are aside of each. The loss of values is in variances of the labels.

The model of a user alone is a peer: the very labels of the daemon, each user's own, ½α‖θ_u‖² around 0 in the daemon's frame,
with one α for all: that of a grid which does best on a fifth of the labels, drawn by chance, when trained on the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l2
from streamlearn.core.users.deviation import Shared, response
from streamlearn.evaluation.quality import Evaluation, Quality
from streamlearn.evaluation.rows import Part
from streamlearn.learner import deviation, examples
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

ALPHAS, HELD_OUT = np.geomspace(1e-2, 1e3, 11), 0.2


class OfUser(NamedTuple):
    """labels: that the user gave; what the daemon gives them, what it would had they given none, what they have alone.

    alone: None where the daemon does not know users, and of networks.
    """

    user: str
    labels: int
    own: Quality
    shared: Quality
    alone: Quality | None


@final
class Judge:
    """The rows aside, by user."""

    def __init__(self, evaluation: Evaluation, aside: Part, settings: Settings) -> None:
        self._evaluation, self._settings = evaluation, settings
        whose = np.array(aside.users)
        self._rows = {str(user): np.flatnonzero(whose == user) for user in np.unique(whose)}
        self._variance = float(np.var(np.array(aside.ys, dtype=float))) if not isinstance(aside.ys[0], str) else 1.0

    def quality(self, state: State) -> Quality | None:
        """The mean over users of what each gets. None: there is no model yet."""
        if (fit := state.published) is None:
            return None
        X = self._evaluation.design(state, fit)
        found = np.array(
            [self._of(state, fit, self._own(state, fit, user, X[at]), at) for user, at in self._rows.items()]
        )
        return Quality(*found.mean(axis=0).tolist())

    def of_each(self, state: State, labels: Mapping[str, int]) -> tuple[OfUser, ...]:
        """labels: of those users who gave some."""
        if (fit := state.published) is None:
            return ()
        X, none, found = self._evaluation.design(state, fit), np.zeros(len(fit.theta)), []
        alone = thetas_alone(state, fit, self._settings.seed) if self._settings.of_users else None
        for user, at in self._rows.items():
            outputs = (self._own(state, fit, user, X[at]), fit.model.outputs(fit.theta, X[at]))
            own, shared = (self._of(state, fit, each, at) for each in outputs)
            theta = None if alone is None else alone.get(user, none)
            peer = None if theta is None else self._of(state, fit, fit.model.outputs(theta, X[at]), at)
            found.append(OfUser(user, labels.get(user, 0), own, shared, peer))
        return tuple(found)

    def _own(self, state: State, fit: Fit, user: str, X: Array) -> Array:
        """What the user's own model gives of these rows."""
        own = deviation.of_user(state, self._settings, fit, user)
        if own is None:
            return fit.model.outputs(fit.theta, X)
        return response(fit.model, fit.theta, fit.log_tangent, X, own)[0]

    def _of(self, state: State, fit: Fit, outputs: Array, rows: NDArray[np.intp]) -> Quality:
        loss, score = self._evaluation.judged(state, fit, outputs, rows)
        return Quality(loss / self._variance, score)


def thetas_alone(state: State, fit: Fit, seed: int) -> dict[str, Array] | None:
    """θ of every user who has labels, from these alone; None: of a network there is no such peer."""
    if not isinstance(fit.model, Linear):
        return None
    kept, data = state.examples, dict[str, Data]()
    for user in kept.by_user:
        rows = examples.of_user(kept, user)
        rows = rows[fit.knows(kept.target[rows])]
        if len(rows):
            X, y = fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows])
            data[user] = Data(X, y, kept.weight[rows])
    draws = np.random.default_rng(seed)
    held = {user: draws.random(len(each.y)) < HELD_OUT for user, each in data.items()}
    losses = [sum(_held_out(fit.model, data[user], at, alpha) for user, at in held.items()) for alpha in ALPHAS]
    alpha = float(ALPHAS[int(np.argmin(losses))])
    return {user: _alone(fit.model, each, alpha) for user, each in data.items()}


def _held_out(model: Linear, data: Data, at: NDArray[np.bool_], alpha: float) -> float:
    if not at.any():
        return 0.0
    theta = _alone(model, Data(data.X[~at], data.y[~at], data.w[~at]), alpha)
    return float(model.loss.value(model.outputs(theta, data.X[at]), data.y[at]).sum())


def _alone(model: Linear, data: Data, alpha: float) -> Array:
    """A deviation from nothing."""
    nothing = np.zeros(model.size)
    found = deviation_l2.solve(Shared(model, nothing, nothing, alpha), data) if len(data.y) else None
    return nothing if found is None else found.delta
