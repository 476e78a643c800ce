"""Conjugate gradients on one batch: θ at the optimum of L, then θ̇ with θ held; no Hessian is formed (section 3.8).

The tangent, as any H⁻¹b, is found by linear conjugate gradients (`solve`), at one Hessian–vector product an iteration:

    H θ̇ = −λC                                                                    (64)

θ gets there in two parts. Far from the optimum by nonlinear conjugate gradients (Polak–Ribière+), each step as long as
Newton–Raphson's along its direction, by one Hessian–vector product, and halved until L falls:

    α = −∇L·d / d·Hd,    d ← −∇L + β d,    β = max(0, ∇L·(∇L − ∇L₋)/‖∇L₋‖²)

Near it by truncated Newton steps, H step = −∇L solved by `solve` as far as is worth it. That is where θ is polished: the
error of θ̇ is that of the θ at which H and C are taken, many times over, and a nonlinear iteration costs twice a linear
one. (On digits, d = 650, the fall of ‖∇L‖ to a hundredth of ‖λC‖ took longer than that from there to 1e-8 of it.)

`solve` stops where a direction has no positive curvature and says so. What it has then still leads downhill. Scaling by the
diagonal of H (Jacobi) was measured and left out: with standardised columns it takes as many iterations as without, and
without standardised ones the truncated Newton steps make up for it. By the diagonal's blocks, one for each output, it takes
two thirds of them and as much time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.line_search import Point, downhill, point
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

Product = Callable[[Array], Array]  # v ↦ H v
ROUGH_STEPS_MOST = 50
SOLVED = 1e-6  # ‖∇L‖/‖λC‖, and ‖Hθ̇ + λC‖/‖λC‖, at the end
POLISHINGS_MOST = 50
FORCED = 0.3  # of ‖∇L‖: as far as the first truncated Newton steps are solved
STEP_COST = 3.0  # of a step in products, beside those that it takes: gradients, one at each length that is tried
PRODUCTS_MOST = 10  # times d, of one solve: rounding costs more than the d that it takes without


@final
@dataclass(frozen=True)
class State:
    """theta, log_tangent = dθ/dlog λ (d,)."""

    theta: Array
    log_tangent: Array


@final
@dataclass(frozen=True)
class Info:
    """steps: nonlinear and Newton ones; products: Hessian–vector products; loss: mean training loss E; residual:
    ‖Hθ̇ + λC‖/‖λC‖; ok: False where nothing finite, or no minimum, was found: the state was left alone.
    """

    steps: int
    products: int
    loss: float
    residual: float
    ok: bool


@final
@dataclass(frozen=True)
class Solved:
    """products taken; residual ‖Hx − b‖/‖b‖; negative: a direction without positive curvature was met."""

    products: int
    residual: float
    negative: bool


def init(size: int) -> State:
    return State(np.zeros(size), np.zeros(size))


def step(
    state: State,
    objective: Objective,
    data: Data,
    regularity: float,
    tolerance: float = SOLVED,
    tangent_tolerance: float | None = None,
    products_most: float = math.inf,
) -> tuple[State, Info]:
    """Go to the optimum of L on `data` at this regularity, and to its tangent, each from where the state has it.

    The tangent to another tolerance, if one is given. Of the products that may be taken, as which gradients count too, half
    are θ's.
    """
    failed = Info(0, 0, float("nan"), float("nan"), False)
    if not data.usable:
        return state, failed
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        at, rough_steps = _descended(state.theta, objective, data, regularity, products_most / 4)
        at, fine_steps, products = _polished(
            at, objective, data, regularity, tolerance, products_most / 2 - rough_steps
        )
        theta = at.theta
        source = -regularity * objective.complexity_gradient(theta)
        product = objective.linearised(theta, data, regularity)
        left = products_most - products - STEP_COST * (rough_steps + fine_steps)
        tangent, info = solve(product, source, state.log_tangent, tangent_tolerance or tolerance, left)
        loss, _ = objective.model.gradient(theta, data.X, data.y, data.w)
    finite = np.isfinite(theta).all() and np.isfinite(tangent).all() and np.isfinite(loss)
    if not finite or info.negative or not info.residual < 1.0:
        return state, failed
    return State(theta, tangent), Info(
        rough_steps + fine_steps, rough_steps + products + info.products, loss, info.residual, True
    )


def solve(
    product: Product, b: Array, start: Array | None = None, tolerance: float = SOLVED, products_most: float = math.inf
) -> tuple[Array, Solved]:
    """H⁻¹b (d,) for a positive definite H given by its products, to ‖Hx − b‖ ≤ tolerance ‖b‖; from `start`, or zero."""
    size = float(np.linalg.norm(b))
    x, rest, products = np.zeros_like(b), b, 0
    if start is not None and start.any():
        closer, products = b - product(start), 1
        if np.linalg.norm(closer) < size:
            x, rest = start, closer
    direction, square = rest, float(rest @ rest)
    while square > (tolerance * size) ** 2 and products < min(PRODUCTS_MOST * len(b), products_most):
        bent = product(direction)
        products += 1
        curvature = float(direction @ bent)
        if not curvature > 0.0:
            return x, Solved(products, _ratio(square, size), True)
        length = square / curvature
        x, rest = x + length * direction, rest - length * bent
        before, square = square, float(rest @ rest)
        direction = rest + (square / before) * direction
    return x, Solved(products, _ratio(square, size), False)


def _ratio(square: float, size: float) -> float:
    return float(np.sqrt(square)) / size if size > 0.0 else 0.0


def _scale(at: Point, objective: Objective, data: Data, regularity: float) -> float:
    """‖λC‖, which the gradient has to be small against for the tangent to be right; where R sees nothing, what the fixed prior
    pulls with."""
    if not objective.penalised.any():
        return float(np.linalg.norm(objective.prior(float(data.w.sum())) * at.theta))
    return regularity * float(np.linalg.norm(objective.complexity_gradient(at.theta)))


def _descended(
    theta: Array, objective: Objective, data: Data, regularity: float, steps_most: float
) -> tuple[Point, int]:
    """Nonlinear conjugate gradients until θ is about as near the optimum as a λ e times as large would move it."""
    at = point(theta, objective, data, regularity)
    direction, steps = -at.gradient, 0
    steps_most = min(ROUGH_STEPS_MOST, steps_most)
    while steps < steps_most and np.linalg.norm(at.gradient) > _scale(at, objective, data, regularity):
        curvature = float(direction @ objective.hvp(at.theta, direction, data, regularity))
        slope = float(at.gradient @ direction)
        size = -slope / curvature if curvature > 0.0 else 1.0
        new = downhill(at, direction, size, objective, data, regularity)
        beta = max(0.0, float(new.gradient @ (new.gradient - at.gradient)) / float(at.gradient @ at.gradient))
        direction = beta * direction - new.gradient
        if not direction @ new.gradient < 0.0:
            direction = -new.gradient
        at, steps = new, steps + 1
    return at, steps


def _polished(
    at: Point, objective: Objective, data: Data, regularity: float, tolerance: float, products_most: float
) -> tuple[Point, int, int]:
    """Truncated Newton steps until ‖∇L‖ ≤ tolerance ‖λC‖, or is at rounding; their number, and that of products."""
    steps = products = 0
    while steps < POLISHINGS_MOST and (left := products_most - products - STEP_COST * steps) > 0.0:
        size, wanted = float(np.linalg.norm(at.gradient)), tolerance * _scale(at, objective, data, regularity)
        if not size > wanted:
            break
        # The nearer, the further each step is solved, so that convergence is superlinear; but not beyond what is wanted.
        forced = max(min(FORCED, np.sqrt(size)), 0.5 * wanted / size)
        product = objective.linearised(at.theta, data, regularity)
        direction, info = solve(product, -at.gradient, None, forced, left)
        direction = direction if direction.any() else -at.gradient
        new = downhill(at, direction, 1.0, objective, data, regularity)
        steps, products = steps + 1, products + info.products
        if not (np.linalg.norm(new.gradient) < size or new.value < at.value):
            break  # rounding allows no better
        at = new
    return at, steps, products
