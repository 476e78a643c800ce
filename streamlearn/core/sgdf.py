"""SGDF: stochastic gradient descent on dual numbers. θ and θ̇ = dθ/dlog λ move together, at one Hessian–vector product.

    θ ← θ − η [g_B + λC(θ)]                                     (121), (123)
    θ̇ ← θ̇ − η [H_B θ̇ + λC(θ) + λ∇²R θ̇]                          (122), (124) in log form, θ before its own update

A regularizer with kinks (L1) takes a proximal step instead, and a parameter that lands on a kink has no tangent. Adagrad
and Adam divide both steps by the same diagonal D (`preconditioners.py`).

The recursion is the derivative of the run itself: with steps that do not depend on λ, θ̇ equals the finite difference of
two whole runs. At a constant step both hover around their fixed point; what is published is their running mean over the
last `memory` steps (1/t until then), which takes most of that noise away.

**Stability.** The recursion for θ̇ is linear: it explodes where θ, whose gradient is bounded, still looks fine. It is
stable in the mean square up to a step of 2/λ_max(M; H), with M = E[s²‖x‖²xxᵀ]/B + (1−1/B)H² and s the curvature. As
E[s²‖x‖²xxᵀ] ≤ max(s‖x‖²) E[s xxᵀ] and H² ≤ λ_max(H) H,

    η_c ≥ 2 / (max s‖x‖²/B + (1−1/B) λ_max(E[s xxᵀ]) + λ)

which `critical_rate` computes on a sample. A mean over rare large rows in place of their maximum would not do: along
such a row H is as small as the row is rare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.core.preconditioners import Plain, Preconditioner
from streamlearn.core.preconditioners import State as Scaling

POWER_STEPS, POWER_MARGIN = 12, 1.2
LEAST_CURVATURE = 0.25  # of the largest
PLAIN = Plain()


@final
@dataclass(frozen=True)
class State:
    """theta, log_tangent: the iterates; mean_theta, mean_log_tangent: their running means, to be used (d,); steps.

    travel: the sum of step sizes since the tangent began; scaling: the preconditioner's state.
    """

    theta: Array
    log_tangent: Array
    mean_theta: Array
    mean_log_tangent: Array
    steps: int
    travel: float
    scaling: Scaling | None = None


@final
@dataclass(frozen=True)
class Info:
    """loss: mean loss of the batch before the step; ok: False where the step was not finite and was not taken."""

    loss: float
    ok: bool


def init(theta: Array, log_tangent: Array | None = None, scaling: Scaling | None = None) -> State:
    """Start at theta with the tangent at zero (or primed)."""
    tangent = np.zeros_like(theta) if log_tangent is None else log_tangent
    return State(theta, tangent, theta, tangent, 0, 0.0, scaling)


def step(
    state: State,
    objective: Objective,
    batch: Data,
    total_weight: float,
    regularity: float,
    rate: float,
    memory: int,
    preconditioner: Preconditioner = PLAIN,
) -> tuple[State, Info]:
    """One step of size `rate` on `batch`, a sample of examples with weight `total_weight` in all.

    A loss whose curvature has no bound takes smaller steps where they would overshoot.
    A regularizer with kinks is not preconditioned: its proximal step would have to be divided by D too.
    """
    assert objective.regularizer.smooth or isinstance(preconditioner, Plain), "a kink takes plain steps"
    if not batch.usable:
        return state, Info(float("nan"), False)
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        loss, gradient, hvp, source = objective.products(
            state.theta, state.log_tangent, batch, regularity, total_weight
        )
        scaling = state.scaling
        if objective.regularizer.smooth:
            scaling, down, tangent_down = preconditioner.step(scaling, gradient, hvp + source)
            rate = _bounded(rate, down, objective, batch)
            theta = state.theta - rate * down
            tangent = state.log_tangent - rate * tangent_down
        else:
            down = gradient - source
            rate = _bounded(rate, down, objective, batch)
            theta = objective.shrink(state.theta - rate * down, rate * regularity)
            source = regularity * objective.complexity_gradient(theta)
            tangent = objective.moving(theta) * (state.log_tangent - rate * (hvp + source))
        # One pass each; what is so large that its square overflows has exploded too.
        ok = math.isfinite(theta @ theta) and math.isfinite(tangent @ tangent)
    if not ok:
        return state, Info(loss, False)
    mean_theta = averaged(state.mean_theta, theta, state.steps, memory)
    mean_tangent = averaged(state.mean_log_tangent, tangent, state.steps, memory)
    new = State(theta, tangent, mean_theta, mean_tangent, state.steps + 1, state.travel + rate, scaling)
    return new, Info(loss, True)


def _bounded(rate: float, down: Array, objective: Objective, batch: Data) -> float:
    """The step size; where the curvature has no bound (Poisson), such that no output of the batch moves by more than 1."""
    if math.isfinite(objective.model.loss.steepest):
        return rate
    moved = rate * float(np.abs(objective.model.outputs(down, batch.X)).max())
    return rate if moved <= 1.0 else rate / moved


def averaged(mean: Array, new: Array, steps: int, memory: int) -> Array:
    """The running mean after one more iterate, `steps` of which went before."""
    moved = new - mean
    moved *= 1.0 / min(steps + 1, memory)
    moved += mean
    return moved


def restart_tangent(state: State) -> State:
    """The same θ with the tangent at zero: what is done when the residual says that it cannot be trusted."""
    zero, scaling = np.zeros_like(state.theta), state.scaling
    if scaling is not None:
        scaling = replace(scaling, mean_tangent=np.zeros_like(scaling.mean_tangent))
    return State(state.theta, zero, state.mean_theta, zero, 0, 0.0, scaling)


def gradient_square(objective: Objective, data: Data, regularity: float, batch_size: int, theta: Array) -> Array:
    """E g² (d,) of the gradients g of batches like samples of `data`: what a preconditioner can start from."""
    model, share = objective.model, data.w / data.w.sum()
    of_outputs = model.loss.gradient(model.outputs(theta, data.X), data.y)
    square = ((share[:, None] * of_outputs**2).T @ data.X**2).ravel()
    _, mean = model.gradient(theta, data.X, data.y, data.w)
    _, gradient = objective.value_gradient(theta, data, regularity)
    return np.asarray(np.maximum(square - mean**2, 0.0) / batch_size + gradient**2)


def critical_rate(
    objective: Objective,
    data: Data,
    regularity: float,
    batch_size: int,
    theta: Array | None = None,
    divisor: Array | None = None,
) -> float:
    """A lower bound of the step size at which θ̇ explodes, for batches like samples of `data`.

    With the loss's largest curvature it holds at every θ. Given `theta`, with the curvature there, but no less than a
    quarter of the largest: up to four times as large a step, and should θ come back to where the loss is steepest, half
    of it is still at most twice the bound. Renew it as θ moves. A loss without a largest curvature (Poisson) needs `theta`.
    divisor: D (d,) of preconditioned steps; that of each output makes coordinates of its own.
    """
    model = objective.model
    curvature = np.full(len(data.X), model.loss.steepest)
    if theta is not None:
        # Gershgorin: the largest absolute row sum bounds the largest eigenvalue.
        rows = np.abs(model.loss.curvature(model.outputs(theta, data.X))).sum(axis=2).max(axis=1)
        if math.isinf(model.loss.steepest):  # a Poisson rate comes to what the counts are
            rows = np.maximum(rows, data.y)
        steepest = min(model.loss.steepest, float(rows.max()))
        curvature = np.clip(rows, LEAST_CURVATURE * steepest, steepest)
    weight = data.w / data.w.sum()
    # The largest part that an example can have of its batch's mean, against batches of the average weight.
    part = np.minimum(weight * len(data.w) / batch_size, 1.0)
    of_prior, of_loss = max(regularity, objective.anchor / float(data.w.sum())), 0.0
    for D in [None] if divisor is None else model.matrix(divisor):
        X = data.X if D is None else data.X / np.sqrt(D)
        worst = float((part * curvature * (X * X).sum(axis=1)).max())
        of_loss = max(of_loss, worst + (1.0 - 1.0 / batch_size) * _largest_eigenvalue(X, curvature * weight))
    return 2.0 / (of_loss + (of_prior if divisor is None else of_prior / float(divisor.min())))


def _largest_eigenvalue(X: Array, weight: Array) -> float:
    """λ_max(Xᵀ diag(weight) X) from above: power iteration with a margin, and never more than the trace."""
    v = np.asarray(np.random.default_rng(0).standard_normal(X.shape[1]))
    norm = float(np.linalg.norm(v))
    for _ in range(POWER_STEPS):
        v = np.asarray(X.T @ (weight * (X @ (v / norm))))
        norm = float(np.linalg.norm(v))
        if norm == 0.0:
            break
    return min(POWER_MARGIN * norm, float(weight @ (X * X).sum(axis=1)))
