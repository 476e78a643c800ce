"""SGDF: stochastic gradient descent on dual numbers. θ and θ̇ = dθ/dlog λ move together, one Hessian–vector product a step.

    θ ← θ − η [g_B + λC(θ)]                                     (121), (123)
    θ̇ ← θ̇ − η [H_B θ̇ + λC(θ) + λ∇²R θ̇]                          (122), (124) in log form, θ before its own update

The recursion is the derivative of the run itself: with steps that do not depend on λ, θ̇ equals the finite difference of
two whole runs. At a constant step both hover around their fixed point; what is published is their running mean over the
last `memory` steps (1/t until then), which takes most of that noise away.

**Stability.** The recursion for θ̇ is linear: it explodes where θ, whose gradient is bounded, still looks fine. The critical
step is about 2/λ_max(E[s²‖x‖²xxᵀ]/B + (1−1/B)H²; H), s the curvature; `critical_rate` bounds it from below by power
iteration on a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

POWER_STEPS = 12


@final
@dataclass(frozen=True)
class State:
    """theta, log_tangent: the iterates; mean_theta, mean_log_tangent: their running means, to be used (all (d,)); steps."""

    theta: Array
    log_tangent: Array
    mean_theta: Array
    mean_log_tangent: Array
    steps: int


@final
@dataclass(frozen=True)
class Info:
    """loss: mean loss of the batch before the step; ok: False where the step was not finite and was not taken."""

    loss: float
    ok: bool


def init(theta: Array, log_tangent: Array | None = None) -> State:
    """Start at theta with the tangent at zero (or primed)."""
    tangent = np.zeros_like(theta) if log_tangent is None else log_tangent
    return State(theta, tangent, theta, tangent, 0)


def step(
    state: State, objective: Objective, batch: Data, total_weight: float, regularity: float, rate: float, memory: int
) -> tuple[State, Info]:
    """One step of size `rate` on `batch`, a sample of examples with weight `total_weight` in all."""
    loss, gradient, hvp = objective.model.gradient_hvp(state.theta, state.log_tangent, batch.X, batch.y, batch.w)
    precision = objective.precision(regularity, total_weight)
    source = regularity * objective.complexity_gradient(state.theta)
    theta = state.theta - rate * (gradient + precision * state.theta)
    tangent = state.log_tangent - rate * (hvp + precision * state.log_tangent + source)
    if not (np.isfinite(theta).all() and np.isfinite(tangent).all()):
        return state, Info(loss, False)
    share = 1.0 / min(state.steps + 1, memory)
    mean_theta = state.mean_theta + share * (theta - state.mean_theta)
    mean_tangent = state.mean_log_tangent + share * (tangent - state.mean_log_tangent)
    return State(theta, tangent, mean_theta, mean_tangent, state.steps + 1), Info(loss, True)


def restart_tangent(state: State) -> State:
    """The same θ with the tangent at zero: what is done when the residual says that it cannot be trusted."""
    zero = np.zeros_like(state.theta)
    return State(state.theta, zero, state.mean_theta, zero, 0)


def critical_rate(objective: Objective, data: Data, regularity: float, batch_size: int) -> float:
    """A lower bound of the step size at which θ̇ explodes, from the examples given and the loss's largest curvature."""
    X = data.X
    largest = {"squared": 1.0, "logistic": 0.25, "softmax": 0.5}[objective.model.loss.name]
    norms = (X * X).sum(axis=1)
    v = np.full(X.shape[1], 1.0 / np.sqrt(X.shape[1]))
    curvature = 1.0
    for _ in range(POWER_STEPS):
        product = X @ v
        v = X.T @ ((norms / batch_size + 1.0) * product) / len(X)
        curvature = float(np.linalg.norm(v))
        if curvature == 0.0:
            break
        v /= curvature
    # λ_max(E[s²‖x‖²xxᵀ]/B + H²; H) ≤ s·λ_max(E[(‖x‖²/B) xxᵀ]) + λ_max(H), both bounded by one matrix here.
    return 2.0 / (largest * curvature + regularity + objective.anchor / float(data.w.sum()))
