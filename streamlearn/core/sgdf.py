"""SGDF: stochastic gradient descent on dual numbers. θ and θ̇ = dθ/dlog λ move together, at one Hessian–vector product.

    θ ← θ − η [g_B + λC(θ)]                                     (121), (123)
    θ̇ ← θ̇ − η [H_B θ̇ + λC(θ) + λ∇²R θ̇]                          (122), (124) in log form, θ before its own update

A regularizer with kinks (L1) takes a proximal step instead, and a parameter that lands on a kink has no tangent. Adagrad
and Adam divide both steps by the same diagonal D (`preconditioners.py`).

The recursion is the derivative of the run itself: with steps that do not depend on λ, θ̇ equals the finite difference of
two whole runs. At a constant step both hover around their fixed point; what is published is their running mean over the
last `memory` steps (1/t until then), which takes most of that noise away.

**Stability.** The recursion for θ̇ is linear: it explodes where θ, whose gradient is bounded, still looks fine. It is
stable in the mean square up to a step η_c of which `critical_rate` gives a lower bound, from the model's `steepness` on
a sample.
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

PLAIN = Plain()
TANGENT_MOST = 10.0  # times ‖C‖


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
    asleep: bool = False,
) -> tuple[State, Info]:
    """One step of size `rate` on `batch`, a sample of examples with weight `total_weight` in all.

    asleep: θ alone moves, and its tangent waits at zero.
    A loss whose curvature has no bound takes smaller steps where they would overshoot.
    A regularizer with kinks is not preconditioned: its proximal step would have to be divided by D too.
    """
    assert objective.regularizer.smooth or isinstance(preconditioner, Plain), "a kink takes plain steps"
    if not batch.usable:
        return state, Info(float("nan"), False)
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        if asleep:
            loss, gradient, hvp, source = objective.first_products(state.theta, batch, regularity, total_weight)
        else:
            loss, gradient, hvp, source = objective.products(
                state.theta, state.log_tangent, batch, regularity, total_weight
            )
        scaling = state.scaling
        if objective.regularizer.smooth:
            hvp += source
            scaling, down, tangent_down = preconditioner.step(scaling, gradient, hvp)
            rate = _bounded(rate, state.theta, down, objective, batch)
            theta, tangent = _moved(state.theta, rate, down), _moved(state.log_tangent, rate, tangent_down)
        else:
            down = gradient - source
            rate = _bounded(rate, state.theta, down, objective, batch)
            theta = objective.shrink(state.theta - rate * down, rate * regularity)
            source = regularity * objective.complexity_gradient(theta)
            tangent = objective.moving(theta) * (state.log_tangent - rate * (hvp + source))
        if asleep:
            tangent = state.log_tangent
        # One pass each; what is so large that its square overflows has exploded too.
        ok = math.isfinite(theta @ theta) and math.isfinite(tangent @ tangent)
    if not ok:
        return state, Info(loss, False)
    mean_theta = averaged(state.mean_theta, theta, state.steps, memory)
    mean_tangent = averaged(state.mean_log_tangent, tangent, state.steps, memory)
    moved = 0.0 if asleep else rate
    new = State(theta, tangent, mean_theta, mean_tangent, state.steps + 1, state.travel + moved, scaling)
    return new, Info(loss, True)


def _bounded(rate: float, theta: Array, down: Array, objective: Objective, batch: Data) -> float:
    """The step size; where the curvature has no bound (Poisson), such that no output of the batch moves by more than 1."""
    if math.isfinite(objective.model.loss.steepest):
        return rate
    moved = rate * float(np.abs(objective.model.response(theta, down, batch.X)[1]).max())
    return rate if moved <= 1.0 else rate / moved


def _moved(start: Array, rate: float, down: Array) -> Array:
    """start − η down, in place of `down`: at sizes beyond the processor's caches new memory costs as much as the sum."""
    down *= -rate
    down += start
    return down


def averaged(mean: Array, new: Array, steps: int, memory: int) -> Array:
    """The running mean after one more iterate, `steps` of which went before."""
    moved = new - mean
    moved *= 1.0 / min(steps + 1, memory)
    moved += mean
    return moved


def exploded(state: State, objective: Objective) -> bool:
    """Whether θ̇ is too large to be a tangent. Under L2, with curvature that is nowhere negative, H ⪰ λ along what R sees
    whatever stands in the other parameters (a Schur complement), so the solution of H θ̇ + λC = 0 has ‖θ̇‖ ≤ ‖C‖ there.
    """
    if not objective.ridge:
        return False
    seen, source = objective.inner(state.log_tangent), objective.complexity_gradient(state.theta)
    return float(np.linalg.norm(seen)) > TANGENT_MOST * float(np.linalg.norm(source))


def restart_tangent(state: State) -> State:
    """The same θ with the tangent at zero: what is done when the residual says that it cannot be trusted."""
    zero, scaling = np.zeros_like(state.theta), state.scaling
    if scaling is not None:
        scaling = replace(scaling, mean_tangent=np.zeros_like(scaling.mean_tangent))
    return State(state.theta, zero, state.mean_theta, zero, 0, 0.0, scaling)


def gradient_square(objective: Objective, data: Data, regularity: float, batch_size: int, theta: Array) -> Array:
    """E g² (d,) of the gradients g of batches like samples of `data`: what a preconditioner can start from."""
    model = objective.model
    square = model.gradient_square(theta, data.X, data.y, data.w)
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

    At any θ, where the loss has a largest curvature; given `theta`, by the curvature there: renew it as θ moves.
    divisor: D (d,) of preconditioned steps.
    """
    of_loss = objective.model.steepness(theta, data.X, data.y, data.w, batch_size, divisor)
    of_prior = max(regularity, float(np.max(objective.anchor)) / float(data.w.sum()))
    return 2.0 / (of_loss + (of_prior if divisor is None else of_prior / float(divisor.min())))
