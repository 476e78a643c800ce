"""The stochastic solver: every label brings a fixed number of SGDF steps on batches that mix it with stored ones.

A tangent needs several passes to converge, so the labeled set is replayed. Batches are drawn by a counter-based generator
keyed by seed and serial: the random state is the serial. Step size, frame and residual are renewed whenever the number of
labels has grown by a sixteenth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core import sgdf
from streamlearn.core.losses import Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.regularity import capped
from streamlearn.learner import tuner
from streamlearn.learner.fit import Fit, Frame, adapted, loss_of
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, frame, regularity
from streamlearn.learner.testing import mean_loss_gradient

SAMPLE = 512  # newest examples that step size and residual are taken from
PASSES = 10  # that the running means of the iterates reach back
RESIDUAL_MOST = 10.0  # beyond, the tangent has exploded: it starts again at a smaller step


def learn(state: State, settings: Settings, serial: int, seen: float) -> State:
    """The steps that the label `serial` brings; `seen`: total weight of training examples."""
    fit = state.fit
    size = state.problem.outputs * (1 + len(state.columns.columns))
    if (
        fit is None
        or fit.descent is None
        or fit.model.size != size
        or state.labels >= fit.rated_at + fit.rated_at // 16 + 1
    ):
        fit = _renewed(state, settings)
        if fit is None:
            return replace(state, skipped=state.skipped + 1, failing=state.failing + 1)
    state, fit, ok = _descend(state, settings, fit, serial, seen)
    state = replace(state, fit=fit, published=fit)
    if not ok:
        return replace(state, skipped=state.skipped + 1, failing=state.failing + 1)
    return replace(state, updates=state.updates + 1, failing=0)


def _descend(state: State, settings: Settings, fit: Fit, serial: int, seen: float) -> tuple[State, Fit, bool]:
    kept, descent, ok = state.examples, fit.descent, True
    assert descent is not None
    n, objective = len(kept), fit.objective(settings.intercept_precision)
    first = max(0, n - settings.keep) if settings.keep else 0
    key = np.array([settings.seed & 0xFFFFFFFFFFFFFFFF, serial], dtype=np.uint64)
    drawn = np.random.Generator(np.random.Philox(key=key)).integers(
        first, n, size=(settings.steps_per_label, settings.batch_size)
    )
    drawn[0, 0] = n - 1
    lam = regularity(state, settings, seen)
    weights = kept.weight[:n] * ~kept.test[:n]
    memory = max(64, PASSES * n // settings.batch_size)
    for batch in drawn:
        w = weights[batch]
        if not w.any():
            continue
        examples = Data(fit.frame.design(kept.X[batch]), fit.frame.targets(kept.target[batch]), w)
        descent, info = sgdf.step(descent, objective, examples, seen, lam, fit.rate, memory)
        ok &= info.ok
    fit = replace(
        fit,
        theta=descent.mean_theta,
        log_tangent=descent.mean_log_tangent,
        descent=descent,
        regularity=lam,
        end=kept.end,
    )
    if settings.holdout and settings.learn_regularity:
        test = _newest(data(state, settings, fit.frame, kept.end, "test"), SAMPLE)
        if len(test.y):
            loss, gradient = mean_loss_gradient(fit, test)
            most = settings.steps_per_label * capped.cap(fit.rate, lam)
            moved = tuner.on_steps(state.tuner, gradient, settings.bounds, most)
            state = replace(state, tuner=moved, test_loss=loss)
    return state, fit, ok


def _renewed(state: State, settings: Settings) -> Fit | None:
    """The fit in the frame of this moment, with its step size, residual, training loss and noise."""
    new_frame, old = frame(state, settings), state.fit
    model = Linear(loss_of(state.problem.loss, 1.0), state.problem.outputs, 1 + len(new_frame.scaling.shift))
    examples = _newest(data(state, settings, new_frame, state.examples.end, "train"), SAMPLE)
    if not len(examples.y):
        return None
    descent = sgdf.init(np.zeros(model.size)) if old is None else _carried(old, model, new_frame)
    lam = regularity(state, settings, max(float(examples.w.sum()), 1e-12))
    fit = Fit(model, new_frame, descent.mean_theta, descent.mean_log_tangent, None, lam, state.examples.end, 1.0, 0.0)
    objective = fit.objective(settings.intercept_precision)
    rate = settings.learning_rate or 0.5 * sgdf.critical_rate(objective, examples, lam, settings.batch_size)
    residual = objective.residual(fit.theta, fit.log_tangent, examples, lam)
    if not residual <= RESIDUAL_MOST:
        descent, rate = sgdf.restart_tangent(descent), 0.5 * rate
    loss, _ = model.gradient(fit.theta, examples.X, examples.y, examples.w)
    if state.problem.loss == "squared":
        model = replace(model, loss=Squared(2.0 * loss if loss > 0.0 else 1.0))
    return replace(
        fit,
        model=model,
        residual=residual,
        loss=loss * new_frame.target_scale**2,
        descent=descent,
        rate=rate,
        rated_at=state.labels,
    )


def _carried(old: Fit, model: Linear, new_frame: Frame) -> sgdf.State:
    """The iterates of `old` in the new frame; an exact fit's θ and θ̇ are where SGDF goes on from."""
    d = old.descent or sgdf.init(old.theta, old.log_tangent)
    return sgdf.State(
        adapted(old, d.theta, model, new_frame, True),
        adapted(old, d.log_tangent, model, new_frame, False),
        adapted(old, d.mean_theta, model, new_frame, True),
        adapted(old, d.mean_log_tangent, model, new_frame, False),
        d.steps,
    )


def _newest(examples: Data, count: int) -> Data:
    return Data(examples.X[-count:], examples.y[-count:], examples.w[-count:])
