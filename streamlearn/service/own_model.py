"""A user's own model by itself: θ_u and θ̇_u in the places of θ₀ and θ̇₀, and nothing of anybody else.

The daemon adds Jδ to the outputs, here δ is in the parameters: they say the same to rounding. Where a network uses its last
layer's parameters elsewhere too, that is not so, and there is no such model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, final

import numpy as np

from streamlearn.config import Configuration, Users
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.users.deviation import Deviation, met, parameters
from streamlearn.learner import deviation, examples
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import from_configuration
from streamlearn.learner.state import State
from streamlearn.service.model_snapshot import ModelSnapshot

ROUNDING = {"float64": 1e-6, "float32": 1e-3}  # relative; what δ does elsewhere in a network is far beyond it


@final
class Own(NamedTuple):
    """labels: how many of the user's it has learned; 0: it is what all share."""

    model: ModelSnapshot
    labels: int


def of_user(shared: ModelSnapshot, state: State, users: Users, model: Model, user: str) -> Own:
    """shared: what a store serves, model: its own, with what it computes with; state: with examples.

    Raises ValueError where parameters cannot say what the daemon says of this user.
    """
    assert state.published is not None, "it is served"
    fit = replace(state.published, model=model)
    own = deviation.of_user(state, from_configuration(Configuration(users=users)), fit, user)
    if own is None:
        return Own(shared, 0)
    theta, tangent = parameters(model, fit.theta, fit.log_tangent, own)
    rows = examples.of_user(state.examples, user)
    if (
        model.last_layer is not None
        and model.part is None
        and not _same(fit, own, theta, fit.frame.design(state.examples.X[rows]))
    ):
        raise ValueError("uses its last layer's parameters elsewhere too, where a user's are the shared ones")
    labels = len(deviation.learned(state, fit, user))
    return Own(replace(shared, theta=theta, log_tangent=tangent, user=user if labels else ""), labels)


def _same(fit: Fit, own: Deviation, theta: Array, X: Array) -> bool:
    expected, _ = met(fit.model, fit.theta, fit.log_tangent, X).response(own)
    near = ROUNDING[str(theta.dtype)]
    return bool(np.allclose(fit.model.outputs(theta, X), expected, rtol=near, atol=near * np.abs(expected).max()))
