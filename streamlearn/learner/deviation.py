"""What a user's examples make of the model that all share (97): θ_u and θ̇_u of one user, from the fit and those examples alone.

So it is the same whenever and wherever it is worked out: who keeps it (`service/deviations.py`) keeps what can be had again.
A user has learned their newest `EXAMPLES_MOST` kept examples up to the last label that was learned, whether θ₀ has been
refitted since or not. The features' frame and α = λW are the fit's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l1, deviation_l2, deviation_of_part
from streamlearn.core.users.deviation import Deviation, Prior, Shared, layer, met
from streamlearn.core.users.together import Together
from streamlearn.core.users.unknown import Unsure
from streamlearn.learner import examples
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, places

EXAMPLES_MOST = 1000  # of a user: what it costs stays below what a refit of θ₀ costs
SOLVERS = {"l2": deviation_l2.solve, "l1": deviation_l1.solve}


def learned(state: State, fit: Fit, user: str) -> NDArray[np.intp]:
    """Where the examples are that a user's deviation is of; none where there is no user."""
    if not user:
        return np.empty(0, dtype=np.intp)
    kept = state.examples
    rows = examples.of_user(kept, user)
    rows = rows[rows < state.refined - kept.first]
    return rows[fit.knows(kept.target[rows])][-EXAMPLES_MOST:]


def of_user(state: State, settings: Settings, fit: Fit, user: str) -> Deviation | None:
    """The deviation of this user from the fit; None: none, for want of examples, or since nothing finite was found."""
    if not settings.of_users:
        return None
    rows = learned(state, fit, user)
    if settings.together:
        return fit.everybody and _near(state, fit, fit.everybody, user, rows)
    prior = fit.prior if settings.users.kind == "personality" else None
    return solved(state, settings, fit, rows, prior) if len(rows) else None


def _near(state: State, fit: Fit, known: Together, user: str, rows: NDArray[np.intp]) -> Deviation:
    """The same where what all share is not the fit's θ₀, and how near a user is to it is their own."""
    theta, log_tangent = (known.theta, known.log_tangent) if user else known.nobody
    delta, delta_dot = theta - fit.theta, log_tangent - fit.log_tangent
    if not len(rows):
        return Deviation(delta, delta_dot)
    with np.errstate(all="ignore"):  # what is not finite is no deviation
        own = deviation_l2.solve(
            Shared(fit.model, theta, log_tangent, *known.precision_of(user)), _data(state, fit, rows)
        )
    return Deviation(delta + own.delta, delta_dot + own.log_tangent) if own else Deviation(delta, delta_dot)


def weight_of(settings: Settings, fit: Fit, user: str) -> float:
    """What a test example of this user counts."""
    return fit.everybody.weight(user) if settings.together and fit.everybody else 1.0


def solved(state: State, settings: Settings, fit: Fit, rows: NDArray[np.intp], prior: Prior | None) -> Deviation | None:
    """The deviation of a user with these examples; prior: how users differ, where that is known."""
    shared = Shared(fit.model, fit.theta, fit.log_tangent, _precision(state, settings, fit))
    data = _data(state, fit, rows)
    with np.errstate(all="ignore"):  # what is not finite is no deviation
        if fit.model.part is not None:
            return deviation_of_part.solve(shared, data)
        return (
            SOLVERS[settings.users.penalty](shared, data) if prior is None else deviation_l2.solve(shared, data, prior)
        )


def unsure(state: State, settings: Settings, fit: Fit, users: Sequence[str]) -> Unsure | None:
    """How unsure this fit is of each of these users, whatever their labels; None of what that is not said of."""
    if settings.users.penalty != "l2" or settings.users.parameters or (settings.together and fit.everybody is None):
        return None
    if fit.everybody is not None:
        own = [fit.everybody.precision_of(user)[0] for user in users]
        return Unsure(layer(fit.model), None, np.array(own))
    prior = fit.prior if settings.users.kind == "personality" else None
    return Unsure(layer(fit.model), prior, np.full(len(users), _precision(state, settings, fit)))


def told(
    state: State, fit: Fit, how: Unsure, user: str, own: Deviation | None, asked: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """What this user's labels have told or will tell of them (`core/users/unknown.py`), a root (d, r).

    how: unsure it is of this one; asked: raw rows (m, columns) that they are asked about. None: nothing, or nothing finite
    was found.
    """
    rows, kept = learned(state, fit, user), state.examples
    if not len(rows) + len(asked):
        return None
    there = met(fit.model, fit.theta, fit.log_tangent, fit.frame.design(np.concatenate([kept.X[rows], asked])))
    f = there.f if own is None else there.response(own)[0]
    return how.told(there.rows, f, np.concatenate([kept.weight[rows], np.ones(len(asked))]))


def _data(state: State, fit: Fit, rows: NDArray[np.intp]) -> Data:
    kept = state.examples
    return Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])


def _precision(state: State, settings: Settings, fit: Fit) -> float:
    """α = λW."""
    return fit.regularity * (fit.weight or float(state.examples.weight[places(state, settings, fit.end)].sum()))
