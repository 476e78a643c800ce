"""Learning ρ = log α from held-out examples beside SGDF, whose tangent lags.

    v ← βv + (1−β)g²,   ρ ← ρ − clip(rate · g/√v, ±c η λ)

g is normalised by its own running scale; the cap says that λ may not outrun θ: in the weakest direction θ relaxes at rate
ηλ, and an unconverged θ prefers too little λ, which would feed itself. Without the cap λ collapses by decades.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from streamlearn.core.regularity.progressive import Info

CAP = 0.5  # c
RATE = 0.1
DECAY = 0.99  # β


@final
@dataclass(frozen=True)
class State:
    """log_precision ρ; scale v, the running mean of g²; count of steps."""

    log_precision: float
    scale: float
    count: int


def init(precision: float) -> State:
    return State(math.log(precision), 0.0, 0)


def cap(rate: float, regularity: float) -> float:
    """c η λ: the most that ρ may change while SGDF takes one step of size η."""
    return CAP * rate * regularity


def step(state: State, gradient: float, bounds: tuple[float, float], change_most: float) -> tuple[State, Info]:
    """Move ρ against g by at most `change_most`."""
    if not math.isfinite(gradient):
        return state, Info(gradient, 0.0)
    scale = DECAY * state.scale + (1.0 - DECAY) * gradient * gradient
    count = state.count + 1
    root = math.sqrt(scale / (1.0 - DECAY**count))
    change = -RATE * gradient / root if root > 0.0 else 0.0
    change = min(max(change, -change_most), change_most)
    low, high = (math.log(bound) for bound in bounds)
    rho = min(max(state.log_precision + change, low), high)
    return State(rho, scale, count), Info(gradient, rho - state.log_precision)
