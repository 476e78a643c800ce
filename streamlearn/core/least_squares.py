"""Recursive least squares in information form: the squared loss with L2, solved exactly after one pass over the data.

All that the squared loss needs of the examples is their weighted Gram matrix: with z = (x, y)

    G = Σ wᵢ zᵢzᵢᵀ,    W = Σ wᵢ

An example adds to it and can be taken out again (a negative weight), in any order. Then for any λ, with P the diagonal of
the penalised parameters, θ₀ their origin and a/W the prior on the others,

    H = G_xx/W + λP + (a/W)(I − P),    θ = H⁻¹ (G_xy/W + λPθ₀),    θ̇ = −λ H⁻¹ P(θ − θ₀)      (64)

by one factorisation and no further look at the data. Newton's method gets there too, but forms H at every step of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core import newton
from streamlearn.core.losses import Array, Squared
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L2


@final
@dataclass(frozen=True)
class State:
    """gram: Σ w zzᵀ of rows z = (x, y), (D + 1, D + 1); weight: Σ w."""

    gram: Array
    weight: float


@final
@dataclass(frozen=True)
class Info:
    """ok: False where the batch was not finite and was not taken."""

    ok: bool


def solves(objective: Objective) -> bool:
    """Whether this is an objective that the Gram matrix tells all about."""
    return isinstance(objective.model.loss, Squared) and isinstance(objective.regularizer, L2)


def init(columns: int) -> State:
    return State(np.zeros((columns + 1, columns + 1)), 0.0)


def step(state: State, batch: Data) -> tuple[State, Info]:
    """Take in a batch."""
    rows = np.column_stack([batch.X, batch.y])
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        gram = state.gram + (rows * batch.w[:, None]).T @ rows
    if not np.isfinite(gram).all():
        return state, Info(False)
    return State(0.5 * (gram + gram.T), state.weight + float(batch.w.sum())), Info(True)


def solve(state: State, objective: Objective, regularity: float) -> tuple[newton.State, newton.Info]:
    """The optimum of an objective that `solves` accepts, its tangent and covariance.

    ok: False, and zeros, where H is not positive definite or nothing finite came out.
    """
    D = objective.model.columns
    failed = newton.init(D), newton.Info(0, float("nan"), False)
    if not state.weight > 0.0:
        return failed
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        mean = state.gram / state.weight
        H = mean[:D, :D] + np.diag(regularity * objective.penalised + objective.prior(state.weight))
        slope = regularity * objective.complexity_gradient(np.zeros(D)) - mean[:D, D]  # ∇L at θ = 0
        try:
            np.linalg.cholesky(H)  # raises where H is not positive definite
            inverse = np.linalg.inv(H)
        except np.linalg.LinAlgError:
            return failed
        inverse = 0.5 * (inverse + inverse.T)
        theta = _applied(inverse, H, -slope)
        tangent = _applied(inverse, H, -regularity * objective.complexity_gradient(theta))
        rest = np.append(theta, -1.0)
        loss = max(0.5 * float(rest @ mean @ rest), 0.0)
    if not all(np.isfinite(part).all() for part in (theta, tangent, inverse, loss)):
        return failed
    return newton.State(theta, tangent, inverse / state.weight), newton.Info(1, loss, True)


def fit(objective: Objective, data: Data, regularity: float) -> tuple[newton.State, newton.Info]:
    """The optimum on data that are all at hand, by one Gram matrix and then one look at their residuals.

    Columns with a mean far from zero lose digits in a Gram matrix; a Newton step on the examples themselves, with the same
    inverse, brings them back.
    """
    gram, info = step(init(objective.model.columns), data)
    if not (info.ok and data.usable):
        return newton.init(objective.model.columns), newton.Info(0, float("nan"), False)
    solved, found = solve(gram, objective, regularity)
    if not found.ok:
        return solved, found
    _, gradient = objective.value_gradient(solved.theta, data, regularity)
    theta = solved.theta - gram.weight * (solved.covariance @ gradient)
    loss, _ = objective.model.gradient(theta, data.X, data.y, data.w)
    return replace(solved, theta=theta), newton.Info(2, loss, True)


def _applied(inverse: Array, H: Array, b: Array) -> Array:
    """H⁻¹b by an inverse that is at hand, its rounding taken out once."""
    x = inverse @ b
    return np.asarray(x + inverse @ (b - H @ x))
