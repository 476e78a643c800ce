"""What a user's examples make of the model that all share (97): θ_u and θ̇_u of one user, from the fit and those examples alone.

So it is the same whenever and wherever it is worked out: who keeps it (`service/deviations.py`) keeps what can be had again.
A user has learned their newest `EXAMPLES_MOST` kept examples up to the last label that was learned, whether θ₀ has been
refitted since or not. The features' frame and α = λW are the fit's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l1, deviation_l2
from streamlearn.core.users.deviation import Deviation, Prior, Shared
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
    if settings.together:
        return fit.together and fit.together.deviation(user, fit.theta, fit.log_tangent)
    rows = learned(state, fit, user)
    prior = fit.prior if settings.users.kind == "personality" else None
    return solved(state, settings, fit, rows, prior) if len(rows) else None


def weight_of(settings: Settings, fit: Fit, user: str) -> float:
    """What a test example of this user counts."""
    return fit.together.weight(user) if settings.together and fit.together else 1.0


def solved(state: State, settings: Settings, fit: Fit, rows: NDArray[np.intp], prior: Prior | None) -> Deviation | None:
    """The deviation of a user with these examples; prior: how users differ, where that is known."""
    kept = state.examples
    weight = fit.weight or float(kept.weight[places(state, settings, fit.end)].sum())
    shared = Shared(fit.model, fit.theta, fit.log_tangent, fit.regularity * weight)
    data = Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])
    with np.errstate(all="ignore"):  # what is not finite is no deviation
        return (
            SOLVERS[settings.users.penalty](shared, data) if prior is None else deviation_l2.solve(shared, data, prior)
        )
