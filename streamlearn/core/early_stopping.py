"""Early stopping: a model that is trained without a regularizer has a tangent all the same (sections 2.3 and 3.7).

Steps go down E alone, and training is over when the loss on test examples has stopped falling; the θ of the least test loss
is kept. For the tangent λ is then set to some small value and R = ½‖θ‖² is a dummy: θ is held, and

    θ̇ ← θ̇ − η [H_B θ̇ + λC(θ)]

goes as far as θ went, over the same number of steps. Not to its fixed point: stopping is what regularizes here. Directions
that θ had no time for are left out of θ̇ by the same factor 1 − e^{−hτ}, τ = Ση. λ has to be so small that λτ ≪ 1; θ′ = θ̇/λ
does not depend on it then.

∇ℓ(z)·θ′ is what R changes by when z is up-weighted and training runs as before (71): exactly where θ has converged, nearly
where the curvature is the same all along the way (squared loss), and in ranks rather than sizes where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

LOOK_EVERY = 20  # steps between two looks at the test examples
PATIENCE = 0.25  # of the steps so far, or LOOKS_LEAST looks, without a smaller test loss: then it is over
LOOKS_LEAST = 10


@final
@dataclass(frozen=True)
class State:
    """theta (d,) after `steps` steps; best_theta: the one of the least test loss, best_loss, after best_steps."""

    theta: Array
    steps: int
    best_theta: Array
    best_loss: float
    best_steps: int

    @property
    def stopped(self) -> bool:
        """Whether the test loss has not fallen for so long that training is over."""
        return self.steps - self.best_steps > max(LOOKS_LEAST * LOOK_EVERY, PATIENCE * self.steps)


@final
@dataclass(frozen=True)
class Info:
    """loss: mean loss of the batch before the step; test_loss: None where it was not looked at; ok: False: not finite."""

    loss: float
    test_loss: float | None
    ok: bool


def init(theta: Array) -> State:
    return State(theta, 0, theta, np.inf, 0)


def step(state: State, objective: Objective, batch: Data, test: Data, rate: float) -> tuple[State, Info]:
    """One step of size `rate` down E on a batch, and every LOOK_EVERY steps a look at the test examples."""
    if not batch.usable:
        return state, Info(float("nan"), None, False)
    loss, gradient = objective.model.gradient(state.theta, batch.X, batch.y, batch.w)
    theta = state.theta - rate * gradient
    if not np.isfinite(theta).all():
        return state, Info(loss, None, False)
    state = replace(state, theta=theta, steps=state.steps + 1)
    if state.steps % LOOK_EVERY:
        return state, Info(loss, None, True)
    test_loss, _ = objective.model.gradient(theta, test.X, test.y, test.w)
    if test_loss < state.best_loss:
        state = replace(state, best_theta=theta, best_loss=test_loss, best_steps=state.steps)
    return state, Info(loss, test_loss, True)


def tangent(
    objective: Objective, theta: Array, batches: Iterable[Data], total_weight: float, regularity: float, rate: float
) -> Array:
    """θ̇ (d,) at a θ that is held, by a step of size `rate` on each batch; as many as θ was given."""
    log_tangent = np.zeros_like(theta)
    for batch in batches:
        products = objective.products(theta, log_tangent, batch, regularity, total_weight)
        log_tangent = log_tangent - rate * (products.hvp + products.source)
    return log_tangent
