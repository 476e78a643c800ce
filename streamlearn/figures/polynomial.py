"""The paper's example (section 3.3): a polynomial of degree 5 by six points that leave a gap in the middle of its domain.

    f_θ(x) = Xθ, X the powers 0 … 5 of x        (77)        L = E + λR, E = (1/2n)‖Xθ − y‖², R = ½‖θ‖²
    θ  = (XᵀX/n + λI)⁻¹ Xᵀy/n                   (78)        one Newton step from anywhere
    θ′ = −(XᵀX/n + λI)⁻¹ θ                      (87)–(93)   the regularity tangent

There are as many parameters as points, so without λ the curve would go through every point and do as it likes between them.
λ is what predicts points that were left out best. Leaving a point out keeps λn, the precision of the prior: only the
point's own loss is missing from the summed objective.

The points are fixed numbers, chosen such that leave-one-out has its minimum inside the range that is looked at, and a second,
local one; and such that one residual, that of point 5, is by far the largest.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from streamlearn.core import leave_one_out, newton
from streamlearn.core.losses import Array, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective

DEGREE: Final = 5
POINTS: Final = ((-1.0, 0.9), (-0.65, 0.9), (-0.6, 0.8), (0.55, -0.4), (0.8, -0.5), (0.95, 0.0))
OBJECTIVE: Final = Objective(Linear(Squared(), 1, DEGREE + 1), anchor=0.0, free=())  # R sees all six parameters
DECADES: Final = (-6.0, 1.0)  # of λ, where its best is looked for
GRID, REFINEMENTS = 71, 4  # λ to five digits: beyond, rounding would choose


def design(x: Array) -> Array:
    """Powers 0 … 5 of x (n,), shape (n, 6) (77)."""
    return np.vander(x, DEGREE + 1, increasing=True)


def training_set() -> Data:
    """The six points."""
    x, y = np.array(POINTS).T
    return Data(design(x), y, np.ones(len(y)))


def fit(data: Data, regularity: float) -> newton.State:
    """θ, θ̇ = λθ′ and (W H)⁻¹ at the optimum (78), (87)."""
    state, info = newton.step(newton.init(OBJECTIVE.model.size), OBJECTIVE, data, regularity)
    assert info.ok, "H is at least λI"
    return state


def left_out(data: Data, regularity: float) -> Array:
    """Loss (n,) of every point by a fit to all the others."""
    n, losses = len(data.y), np.empty(len(data.y))
    for i in range(n):
        others = np.arange(n) != i
        state = fit(Data(data.X[others], data.y[others], data.w[others]), regularity * n / (n - 1))
        one = data.X[[i]], data.y[[i]]
        losses[i] = OBJECTIVE.model.loss.value(OBJECTIVE.model.outputs(state.theta, one[0]), one[1])[0]
    return losses


def best_regularity(data: Data) -> float:
    """The λ of the least leave-one-out error: the best of a grid, then of finer and finer ones around it."""
    low, high = DECADES
    for _ in range(REFINEMENTS):
        grid = np.linspace(low, high, GRID)
        errors = [leave_one_out.mean(left_out(data, float(10.0**rho)), data) for rho in grid]
        best = int(np.argmin(errors))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    return float(10.0 ** grid[best])
