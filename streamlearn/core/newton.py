"""Newton's method: θ at the optimum of L, and with the Hessian at hand its tangent exactly.

    θ ← θ − t H⁻¹ ∇L,   t halved until L falls;   then   θ̇ = −λ H⁻¹ C   at the θ that was reached   (64)

Where H would not lead downhill on the way (a concave g(R) can do that), it is damped: H + μI.

For up to a few hundred parameters this is cheaper than one pass of stochastic steps, and it is warm-started. What it
leaves behind for the query strategies is the covariance A = (W H)⁻¹, the inverse of the Hessian of the *summed*
objective, in which one more label counts as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.line_search import downhill, point
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

STEPS_MOST = 60
DAMPINGS_MOST = 12
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding

Optimum = Callable[[Array, Objective, Data, float], tuple[Array, int]]


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
    return solved(_optimum, state, objective, data, regularity)


def solved(optimum: Optimum, state: State, objective: Objective, data: Data, regularity: float) -> tuple[State, Info]:
    """What a way to the optimum comes to, with the derivatives there; the same state where that is not finite.

    optimum(theta, objective, data, regularity) gives the θ reached and the steps taken; it may raise LinAlgError and
    FloatingPointError.
    """
    failed = Info(0, float("nan"), False)
    if not data.usable:
        return state, failed
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        try:
            theta, steps = optimum(state.theta, objective, data, regularity)
            new = derivatives(theta, objective, data, regularity)
        except (np.linalg.LinAlgError, FloatingPointError):
            return state, failed
        loss, _ = objective.model.gradient(new.theta, data.X, data.y, data.w)
    if not all(np.isfinite(part).all() for part in (new.theta, new.log_tangent, new.covariance, loss)):
        return state, failed
    return new, Info(steps, loss, True)


def _optimum(theta: Array, objective: Objective, data: Data, regularity: float) -> tuple[Array, int]:
    at, steps, moved = point(theta, objective, data, regularity), 0, np.inf
    while steps < STEPS_MOST and moved > SMALL_STEP * (1.0 + float(np.abs(at.theta).max())):
        if not np.isfinite(at.value):
            raise FloatingPointError
        direction = _direction(objective.hessian(at.theta, data, regularity), at.gradient)
        new = downhill(at, -direction, 1.0, objective, data, regularity)
        at, moved, steps = new, float(np.abs(new.theta - at.theta).max()), steps + 1
    return at.theta, steps


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
