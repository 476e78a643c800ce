"""The fit in the frame of this moment: what SGDF goes on from whenever frame, step size and residual are renewed.

The step is half the critical one. With Adagrad and Adam it is that of the coordinates that their divisor D makes, which starts
from the squares that a batch's gradient is expected to have: so they need no rate either, and none of them can explode before D
is known. As the step is renewed with D, Adagrad's does not fade; what it is there for, the noise, the running means take away.

A tangent whose residual has exploded starts again at zero, with half the step.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from streamlearn.core import certificate, losses, preconditioners, sgdf
from streamlearn.core.certificate import Certificate
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import penalty
from streamlearn.learner.fit import Fit, Frame, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, frame, newest, objective, regularity, weights_of

SAMPLE = 512  # newest examples that step size and residual are taken from
RESIDUAL_MOST = 10.0  # beyond, the tangent has exploded: it starts again at a smaller step


def weight(state: State, settings: Settings, which: str) -> float:
    """W of the kept examples that are trained on."""
    return max(float(weights_of(state, settings, which)[newest(state, settings)].sum()), 1e-12)


def renewed(state: State, settings: Settings, old: Fit | None, which: str) -> Fit | None:
    """The fit in the frame of this moment, with its step size, residual, training loss and noise."""
    new_frame = frame(state, settings)
    model = settings.architecture.model(
        losses.named(state.problem.loss), state.problem.outputs, 1 + len(new_frame.scaling.shift)
    )
    examples = sampled(data(state, settings, new_frame, state.examples.end, which))
    if not len(examples.y):
        return None
    beginning = penalty.start(settings.penalty, state.columns, state.problem, model, examples)
    descent = _begun(old, model, new_frame, examples, beginning)
    total = weight(state, settings, which)
    lam = regularity(state, settings, total)
    whole, preconditioner = objective(state, settings, model, new_frame), preconditioners.named(settings.optimizer)
    theta, log_tangent, batch_size = descent.mean_theta, descent.mean_log_tangent, settings.batch_size
    known = old is not None and old.optimizer == settings.optimizer and descent.scaling is not None
    if settings.optimizer != "sgd" and not known:
        square = sgdf.gradient_square(whole, examples, lam, batch_size, theta)
        descent = replace(descent, scaling=preconditioner.init(square))
    divisor = preconditioner.divisor(descent.scaling)
    critical = sgdf.critical_rate(whole, examples, lam, batch_size, theta, divisor)
    rate = settings.learning_rate or 0.5 * critical
    if settings.network:
        rate /= math.sqrt(1 + state.settled)
    judged = _judged(whole, descent, examples, lam, rate / critical, old, divisor)
    awake = settings.tangent == "at-once" or (old is not None and old.awake) or _rests(whole, theta, examples, lam)
    if exploded(judged):
        descent, rate = sgdf.restart_tangent(descent), 0.5 * rate
    elif awake and old is not None and not old.awake:
        descent = sgdf.restart_tangent(descent)
    loss, _ = model.gradient(theta, examples.X, examples.y, examples.w)
    if state.problem.loss == "squared":
        noise = losses.noise(model.outputs(theta, examples.X), examples.y, examples.w)
        model = model.with_loss(losses.Squared(noise))
    return Fit(
        model=model,
        frame=new_frame,
        theta=theta,
        log_tangent=log_tangent,
        covariance=None,
        regularity=lam,
        end=state.examples.end,
        certificate=judged,
        loss=loss * new_frame.target_scale**2,
        solver="sgdf",
        descent=descent,
        rate=rate,
        rated_at=state.labels,
        optimizer=settings.optimizer,
        awake=awake,
        weight=total,
    )


def exploded(judged: Certificate) -> bool:
    """Whether the tangent starts again: not a number has exploded too."""
    return not judged.residual <= RESIDUAL_MOST


def _rests(whole: Objective, theta: Array, sample: Data, lam: float) -> bool:
    """Whether θ is about as near its optimum as a λ e times as large would move it."""
    _, gradient = whole.value_gradient(theta, sample, lam)
    return bool(np.linalg.norm(gradient) <= lam * np.linalg.norm(whole.complexity_gradient(theta)))


def _judged(
    whole: Objective, descent: sgdf.State, sample: Data, lam: float, step: float, old: Fit | None, divisor: Array | None
) -> Certificate:
    """The certificate of the running mean; `step` of the critical size."""
    slowest = 1.0 if divisor is None else float(divisor.max())
    before = old.certificate.norm if old else 0.0
    theta, log_tangent, travel = descent.mean_theta, descent.mean_log_tangent, descent.travel / slowest
    return certificate.stepped(whole, theta, log_tangent, sample, lam, travel, step, before)


def _begun(old: Fit | None, model: Model, new_frame: Frame, examples: Data, beginning: Array) -> sgdf.State:
    """Where SGDF goes on from: where it was, but where a loss without bounds has exploded, from the beginning."""
    fresh = sgdf.init(beginning)
    if old is None:
        return fresh
    carried = _carried(old, model, new_frame)
    if math.isfinite(model.loss.steepest):
        return carried
    before, after = (
        model.gradient(theta, examples.X, examples.y, examples.w)[0] for theta in (fresh.theta, carried.mean_theta)
    )
    return carried if after <= before else fresh


def _carried(old: Fit, model: Model, new_frame: Frame) -> sgdf.State:
    """The iterates of `old` in the new frame; an exact fit's θ and θ̇ are where SGDF goes on from.

    The preconditioner's running means stay as they are while there are no new parameters: frames move on by little.
    """
    d = old.descent or sgdf.init(old.theta, old.log_tangent)
    return sgdf.State(
        adapted(old, d.theta, model, new_frame, True),
        adapted(old, d.log_tangent, model, new_frame, False),
        adapted(old, d.mean_theta, model, new_frame, True),
        adapted(old, d.mean_log_tangent, model, new_frame, False),
        d.steps,
        d.travel,
        d.scaling if old.model.size == model.size else None,
    )


def sampled(examples: Data) -> Data:
    """The newest of them, as many as a look at the model takes."""
    return Data(examples.X[-SAMPLE:], examples.y[-SAMPLE:], examples.w[-SAMPLE:])
