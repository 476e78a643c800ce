"""Learning ρ = log α by progressive validation: every new label is a test example before it is trained on.

    g = ∇ℓ·θ̇,   G ← G + g²,   ρ ← ρ − clip(g/√(0.01 + G), ±0.7)

Adagrad on the scalar gradient (section 3.7 of the paper). It starts high (too much regularity is cheap, too little is a
disaster) and holds until `HELD` labels have been seen. α = λW is the prior's precision, which new data leaves alone;
dθ/dlog α = dθ/dlog λ = θ̇. g is in units of the loss's natural scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

HELD = 10  # labels
STEP_MOST = 0.7
FLOOR = 0.01


@final
@dataclass(frozen=True)
class State:
    """log_precision ρ; squares G; count of labels seen."""

    log_precision: float
    squares: float
    count: int


@final
@dataclass(frozen=True)
class Info:
    """gradient g; change of ρ."""

    gradient: float
    change: float


def init(precision: float) -> State:
    return State(math.log(precision), 0.0, 0)


def step(
    state: State, gradient: float, bounds: tuple[float, float], change_most: float = STEP_MOST
) -> tuple[State, Info]:
    """Count one label with scalar gradient g. `change_most` is smaller where θ̇ lags (see `capped`)."""
    if not math.isfinite(gradient):
        return state, Info(gradient, 0.0)
    if state.count < HELD:
        return State(state.log_precision, state.squares, state.count + 1), Info(gradient, 0.0)
    squares = state.squares + gradient * gradient
    change = -gradient / math.sqrt(FLOOR + squares)
    change = min(max(change, -min(change_most, STEP_MOST)), min(change_most, STEP_MOST))
    low, high = (math.log(bound) for bound in bounds)
    rho = min(max(state.log_precision + change, low), high)
    return State(rho, squares, state.count + 1), Info(gradient, rho - state.log_precision)
