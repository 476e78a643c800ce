"""Newton's method: θ at the optimum of L, and with the Hessian at hand its tangent exactly.

    θ ← θ − t H⁻¹ ∇L,   t halved until L falls;   then   θ̇ = −λ H⁻¹ C   at the θ that was reached   (64)

Where H would not lead downhill on the way (a concave g(R) can do that), it is damped: H + μI.

For up to a few hundred parameters this is cheaper than one pass of stochastic steps, and it is warm-started. What it
leaves behind for the query strategies is the covariance A = (W H)⁻¹, the inverse of the Hessian of the *summed*
objective, in which one more label counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

STEPS_MOST = 60
HALVINGS_MOST = 40
DAMPINGS_MOST = 12
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding


@final
@dataclass(frozen=True)
class State:
    """theta, log_tangent = dθ/dlog λ (d,); covariance = (W H)⁻¹ (d, d)."""

    theta: Array
    log_tangent: Array
    covariance: Array


@final
@dataclass(frozen=True)
class Info:
    """steps taken; loss: mean training loss E; ok: False where nothing finite was found: the state was left alone."""

    steps: int
    loss: float
    ok: bool


def init(size: int) -> State:
    return State(np.zeros(size), np.zeros(size), np.eye(size))


def step(state: State, objective: Objective, data: Data, regularity: float) -> tuple[State, Info]:
    """Go to the optimum of L on `data` at this regularity, starting from state.theta."""
    failed = Info(0, float("nan"), False)
    if not data.usable:
        return state, failed
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        try:
            theta, steps = _optimum(state.theta, objective, data, regularity)
            new = derivatives(theta, objective, data, regularity)
        except (np.linalg.LinAlgError, FloatingPointError):
            return state, failed
        loss, _ = objective.model.gradient(new.theta, data.X, data.y, data.w)
    if not all(np.isfinite(part).all() for part in (new.theta, new.log_tangent, new.covariance, loss)):
        return state, failed
    return new, Info(steps, loss, True)


def _optimum(theta: Array, objective: Objective, data: Data, regularity: float) -> tuple[Array, int]:
    value, gradient = objective.value_gradient(theta, data, regularity)
    steps, moved = 0, np.inf
    while steps < STEPS_MOST and moved > SMALL_STEP * (1.0 + float(np.abs(theta).max())):
        if not np.isfinite(value):
            raise FloatingPointError
        direction = _direction(objective.hessian(theta, data, regularity), gradient)
        slope = float(gradient @ direction)
        size = 1.0
        for _ in range(HALVINGS_MOST):
            candidate = theta - size * direction
            new_value, new_gradient = objective.value_gradient(candidate, data, regularity)
            # The second term forgives rounding: near the optimum L cannot fall by what the slope promises.
            if new_value <= value - 1e-4 * size * slope + 1e-13 * (1.0 + abs(value)):
                break
            size *= 0.5
        moved = float(np.abs(candidate - theta).max())
        theta, value, gradient, steps = candidate, new_value, new_gradient, steps + 1
    return theta, steps


def _direction(H: Array, gradient: Array) -> Array:
    """H⁻¹∇L, with H damped where it would not lead downhill."""
    direction, damping = np.linalg.solve(H, gradient), 1e-3 * float(np.abs(np.diag(H)).max())
    for _ in range(DAMPINGS_MOST):
        if not gradient @ direction < 0.0:
            break
        direction = np.linalg.solve(H + damping * np.eye(len(H)), gradient)
        damping *= 4.0
    return np.asarray(direction, dtype=np.float64)


def derivatives(theta: Array, objective: Objective, data: Data, regularity: float) -> State:
    """The state at a θ that is known to be the optimum; parameters on a kink of R do not move.

    Raises LinAlgError where H is not positive definite.
    """
    H, moving = objective.hessian(theta, data, regularity), np.flatnonzero(objective.moving(theta))
    source = -regularity * objective.complexity_gradient(theta)
    if len(moving) == len(theta):
        inverse, tangent = _solved(H, source)
    else:
        inverse, tangent = np.zeros_like(H), np.zeros_like(theta)
        block = np.ix_(moving, moving)
        inverse[block], tangent[moving] = _solved(H[block], source[moving])
    return State(theta, tangent, inverse / float(data.w.sum()))


def _solved(H: Array, source: Array) -> tuple[Array, Array]:
    np.linalg.cholesky(H)  # raises where H is not positive definite
    inverse = np.asarray(np.linalg.inv(H), dtype=np.float64)
    return 0.5 * (inverse + inverse.T), np.asarray(np.linalg.solve(H, source), dtype=np.float64)
