"""The exact solver: a Newton refit on the whole labeled set, warm-started, whenever a cut is full.

A cut is one label while there are few, a fiftieth of all labels later: a refit costs as much as all labels, a new label
changes little. With a hold-out every refit is also a step of the regularity.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core import newton
from streamlearn.core.losses import Squared
from streamlearn.core.models.linear import Linear
from streamlearn.learner import tuner
from streamlearn.learner.fit import Fit, Frame, adapted, loss_of
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, frame, regularity
from streamlearn.learner.testing import mean_loss_gradient

HOLDOUT_ROUNDS = 2


def cut(labels: int) -> int:
    """How many labels make a refit due."""
    return max(1, labels // 50)


def refit(state: State, settings: Settings, rounds: int = HOLDOUT_ROUNDS) -> State:
    """θ and θ̇ at the optimum on all labels so far; `rounds` steps of ρ where a hold-out tunes it."""
    new_frame = frame(state, settings)
    fit = _solve(state, settings, new_frame, state.fit, "train", None)
    if fit is None:
        return replace(state, unfitted=0, skipped=state.skipped + 1, failing=state.failing + 1)
    test_loss = state.test_loss
    if settings.holdout:
        test = data(state, settings, new_frame, fit.end, "test")
        for _ in range(rounds if settings.learn_regularity and len(test.y) else 0):
            _, gradient = mean_loss_gradient(fit, test)
            state = replace(state, tuner=tuner.on_refit(state.tuner, gradient, settings.bounds))
            fit = _solve(state, settings, new_frame, fit, "train", None) or fit
        test_loss = mean_loss_gradient(fit, test)[0] if len(test.y) else None
    published = _solve(state, settings, new_frame, fit, "all", fit.regularity) if settings.holdout else fit
    return replace(
        state,
        fit=fit,
        published=published or fit,
        unfitted=0,
        failing=0,
        updates=state.updates + 1,
        test_loss=test_loss,
    )


def _solve(
    state: State, settings: Settings, new_frame: Frame, start: Fit | None, which: str, fixed: float | None
) -> Fit | None:
    """The fit on `which` examples, or None where nothing finite was found. `fixed`: λ, where it is not the tuner's."""
    columns, outputs = 1 + len(new_frame.scaling.shift), state.problem.outputs
    model = Linear(loss_of(state.problem.loss, 1.0), outputs, columns)
    examples = data(state, settings, new_frame, state.examples.end, which)
    weight = float(examples.w.sum())
    if weight <= 0.0:
        return None
    lam = regularity(state, settings, weight) if fixed is None else fixed
    theta = np.zeros(model.size) if start is None else adapted(start, start.theta, model, new_frame, True)
    fit = Fit(model, new_frame, theta, np.zeros(model.size), None, lam, state.examples.end, 0.0, 0.0)
    objective = fit.objective(settings.intercept_precision)
    solved, info = newton.step(newton.State(theta, fit.log_tangent, np.empty((0, 0))), objective, examples, lam)
    if not info.ok:
        return None
    if state.problem.loss == "squared":
        residuals = model.outputs(solved.theta, examples.X)[:, 0] - examples.y
        noise = float(examples.w @ residuals**2) / weight
        model = replace(model, loss=Squared(noise if noise > 0.0 else 1.0))
    return replace(
        fit,
        model=model,
        theta=solved.theta,
        log_tangent=solved.log_tangent,
        covariance=solved.covariance,
        residual=objective.residual(solved.theta, solved.log_tangent, examples, lam),
        loss=info.loss * new_frame.target_scale**2,
    )


def with_covariance(fit: Fit, state: State, settings: Settings, which: str) -> Fit:
    """A stored fit with the covariance that is not stored, from the examples it was fitted on.

    None where they were replaced by such as no fit could be made of: then the next label refits.
    """
    examples = data(state, settings, fit.frame, fit.end, which)
    try:
        solved = newton.covariance(fit.theta, fit.objective(settings.intercept_precision), examples, fit.regularity)
    except np.linalg.LinAlgError:
        return fit
    return replace(fit, covariance=solved.covariance)
