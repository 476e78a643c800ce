"""LiSSA: any H⁻¹b by stochastic steps, which is SGDF on a regularizer that is a plane (128)–(137).

    v ← v + η (b − H_B v),    published: the running mean of v

SGDF's tangent with R(θ) = −b·θ moves by just that, as then C = −b and ∇²R = 0: it ends at −H⁻¹C = H⁻¹b. So its kernel
serves here with θ held. η = 1 is LiSSA's own sampled recursion, and needs H < 2; a smaller one does without scaling the
loss. What `sgdf` says of stability and of the critical step holds here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core import sgdf
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective


@final
@dataclass(frozen=True)
class State:
    """v: the iterate; mean: its running mean, to be used (d,); steps."""

    v: Array
    mean: Array
    steps: int


@final
@dataclass(frozen=True)
class Info:
    """ok: False where the step was not finite and was not taken."""

    ok: bool


def init(size: int) -> State:
    return State(np.zeros(size), np.zeros(size), 0)


def step(
    state: State,
    objective: Objective,
    theta: Array,
    b: Array,
    batch: Data,
    total_weight: float,
    regularity: float,
    rate: float,
    memory: int,
) -> tuple[State, Info]:
    """One step towards H⁻¹b, H of L at this θ and regularity; `batch` as in `sgdf.step`."""
    if not batch.usable:
        return state, Info(False)
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        hvp = objective.products(theta, state.v, batch, regularity, total_weight).hvp
        v = state.v - rate * (hvp - b)
    if not np.isfinite(v).all():
        return state, Info(False)
    return State(v, sgdf.averaged(state.mean, v, state.steps, memory), state.steps + 1), Info(True)
