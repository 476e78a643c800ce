"""Cross-validation: λ at the minimum of a generalization error, the reference for the rules that learn it.

The examples are split into folds, and each is judged by θ₋ₖ, the optimum without its own fold k (20)–(22):

    (1/W) Σ_k Σ_{i∈k} wᵢ ℓᵢ(θ₋ₖ)

With n folds this is leave-one-out; its approximations (44)–(45) in `leave_one_out` need no refit. What a fold's absence leaves
alone is α = λW, the precision of the prior, and not λ: E is a mean, and W is smaller without the fold.

The error may have several minima over α, and lie flat where few examples tell little. So it is taken on a grid, whose best
point is refined by the parabola in ln α through it and its neighbours; and it may be *anchored*, by (ln α)²/8 added to the
summed loss: the prior that α is 1, give or take a factor of e².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core import leave_one_out, newton, orthant
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

Approximation = Callable[[Objective, Data, newton.State], Array]
DIFFERENCE = 1e-3  # of ρ, either way: the square of it is small, and rounding is smaller


@final
@dataclass(frozen=True)
class Choice:
    """precision α at the minimum; errors (grid,): the mean losses, with the anchor's part where there is one."""

    precision: float
    errors: Array


def folds(examples: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The fold 0 … count − 1 of every example, (n,): by chance, and of equal sizes."""
    return generator.permutation(examples) % count


def refitted(objective: Objective, data: Data, precisions: Array, fold: NDArray[np.int64]) -> Array:
    """Losses (grid, n) of every example at the optimum without its fold, by a refit for every fold and α.

    fold (n,); np.arange(n) is exact leave-one-out. Not finite where no optimum was found.
    """
    losses = np.full((len(precisions), len(data.y)), np.nan)
    for row, alpha, whole in zip(losses, precisions, _optima(objective, data, precisions), strict=True):
        for number in np.unique(fold):
            out = fold == number
            rest = Data(data.X[~out], data.y[~out], data.w[~out])
            found, ok = _optimum(objective, rest, alpha, whole)
            if ok:
                row[out] = objective.model.loss.value(objective.model.outputs(found.theta, data.X[out]), data.y[out])
    return losses


def approximated(
    objective: Objective, data: Data, precisions: Array, by: Approximation = leave_one_out.leverage
) -> Array:
    """Losses (grid, n) of every example by an approximation of leave-one-out, one fit for every α."""
    return np.array([by(objective, data, whole) for whole in _optima(objective, data, precisions)])


def choose(losses: Array, w: Array, precisions: Array, anchored: bool = False) -> Choice:
    """The α of least generalization error, from losses (grid, n) of examples of weights w (n,); precisions ascend."""
    at = np.log(precisions)
    errors = (losses @ w + (anchor(at) if anchored else 0.0)) / w.sum()
    errors = np.where(np.isfinite(errors), errors, np.inf)
    best = int(np.argmin(errors))
    inner = 0 < best < len(at) - 1 and bool(np.isfinite(errors[best - 1 : best + 2]).all())
    return Choice(
        math.exp(_vertex(at[best - 1 : best + 2], errors[best - 1 : best + 2]) if inner else at[best]), errors
    )


def anchor(log_precision: Array) -> Array:
    """What an anchored error adds to the summed loss: (ln α)²/8."""
    return np.asarray(log_precision**2 / 8.0)


def anchor_gradient(log_precision: float) -> float:
    """Its derivative by ln α."""
    return log_precision / 4.0


def gradient(objective: Objective, data: Data, state: newton.State, regularity: float) -> float:
    """The derivative by ρ = log λ of the mean leave-one-out loss by leverage, at the optimum `state`.

    No refit is needed for that: the optimum at ρ ± δ is θ ± δθ̇ + O(δ²), and what is of second order is the same on both
    sides, so a central difference along the tangent is exact to O(δ²). NaN where the Hessian is not positive definite.
    """
    try:
        above, below = (_mean_along(objective, data, state, regularity, by) for by in (DIFFERENCE, -DIFFERENCE))
    except np.linalg.LinAlgError:
        return math.nan
    return (above - below) / (2.0 * DIFFERENCE)


def _mean_along(objective: Objective, data: Data, state: newton.State, regularity: float, by: float) -> float:
    theta = state.theta + by * state.log_tangent
    moved = newton.derivatives(theta, objective, data, regularity * math.exp(by))
    return leave_one_out.mean(leave_one_out.leverage(objective, data, moved), data)


def _optima(objective: Objective, data: Data, precisions: Array) -> list[newton.State]:
    """The optimum at every α, each from the next larger one's."""
    states, state = [], newton.init(objective.model.size)
    for alpha in precisions[::-1]:
        state, _ = _optimum(objective, data, alpha, state)
        states.append(state)
    return states[::-1]


def _optimum(objective: Objective, data: Data, alpha: float, start: newton.State) -> tuple[newton.State, bool]:
    solver = newton if objective.regularizer.smooth else orthant
    state, info = solver.step(start, objective, data, alpha / float(data.w.sum()))
    return state, info.ok


def _vertex(x: Array, y: Array) -> float:
    """Where the parabola through three points is least, the middle one being the lowest."""
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    if left == right:
        return float(x[1])
    return float(0.5 * (x[0] + x[1]) - left * (x[2] - x[0]) / 2.0 / (right - left))
