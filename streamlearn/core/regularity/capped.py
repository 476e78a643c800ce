"""Learning ρ = log α from held-out examples beside SGDF, whose tangent lags.

    v ← max(βv, g²),   ρ ← ρ − most · clip(gain · g/√v, ±1),   most = c min(ηλ, 1/memory) a step of SGDF

The cap says that λ may not outrun θ: in the weakest direction θ relaxes at rate ηλ, and an unconverged θ prefers too
little λ, which would feed itself. Without the cap λ collapses by decades. Nor may it outrun the running means that g is
computed from, or it circles the optimum. g is normalised by its largest size, slowly forgotten: far from the optimum
steps are as long as the cap allows, near it they shrink in proportion. (By a running mean of g² steps near the optimum
would keep their size.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from streamlearn.core.regularity.progressive import Info

CAP = 0.5  # c
GAIN = 4.0
DECAY = 0.999  # β


@final
@dataclass(frozen=True)
class State:
    """log_precision ρ; scale v, the largest g², slowly forgotten; count of steps."""

    log_precision: float
    scale: float
    count: int


def init(precision: float) -> State:
    return State(math.log(precision), 0.0, 0)


def cap(rate: float, regularity: float, memory: int | None = None) -> float:
    """c min(ηλ, 1/memory): the most that ρ may change while SGDF takes one step of size η and averages over `memory`."""
    relaxation = rate * regularity
    return CAP * (relaxation if memory is None else min(relaxation, 1.0 / memory))


def step(state: State, gradient: float, bounds: tuple[float, float], change_most: float) -> tuple[State, Info]:
    """Move ρ against g by at most `change_most`."""
    if not math.isfinite(gradient):
        return state, Info(gradient, 0.0)
    scale = max(DECAY * state.scale, gradient * gradient)
    share = GAIN * gradient / math.sqrt(scale) if scale > 0.0 else 0.0
    low, high = (math.log(bound) for bound in bounds)
    rho = min(max(state.log_precision - change_most * min(max(share, -1.0), 1.0), low), high)
    return State(rho, scale, state.count + 1), Info(gradient, rho - state.log_precision)
