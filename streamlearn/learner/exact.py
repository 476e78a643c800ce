"""The exact solver: a Newton refit on the whole labeled set, warm-started, whenever a cut is full.

A cut is one label while there are few, a fiftieth of all labels later: a refit costs as much as all labels, a new label
changes little. Every refit is also a step of the regularity, or two, where that is tuned by held-out examples or by
leave-one-out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core import certificate, losses, newton, orthant
from streamlearn.core.models.linear import Linear
from streamlearn.learner import tuner
from streamlearn.learner.fit import Fit, Frame, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, frame, objective, regularity, starting, turned
from streamlearn.learner.testing import (
    anchored,
    leave_one_out_gradient,
    mean_loss_gradient,
    natural_scale,
    outer_gradient,
    testing_weight,
)

TUNING_ROUNDS = 2


def cut(labels: int) -> int:
    """How many labels make a refit due."""
    return max(1, labels // 50)


def refit(state: State, settings: Settings, rounds: int = TUNING_ROUNDS) -> State:
    """θ and θ̇ at the optimum on all labels so far; `rounds` steps of ρ where refits tune it."""
    before, state = state, turned(state, settings)
    new_frame = frame(state, settings)
    fit = _solve(state, settings, new_frame, state.fit, "train")
    if fit is None:
        return replace(before, unfitted=0, skipped=state.skipped + 1, failing=state.failing + 1)
    for _ in range(rounds if settings.learn_regularity else 0):
        moved = _tuned(state, settings, fit)
        moved = moved and turned(moved, settings)
        following = moved and _solve(moved, settings, new_frame, fit, "train")
        if moved is None or following is None:
            break
        state, fit = moved, following
    test = data(state, settings, new_frame, fit.end, "test")
    published = _solve(state, settings, new_frame, fit, "all") if settings.holdout else fit
    return replace(
        state,
        fit=fit,
        published=published or fit,
        unfitted=0,
        failing=0,
        updates=state.updates + 1,
        test_loss=mean_loss_gradient(fit, test)[0] if len(test.y) else None,
    )


def _tuned(state: State, settings: Settings, fit: Fit) -> State | None:
    """ρ moved by what this refit shows; None where labels move it, or there is nothing to test on."""
    tests = data(state, settings, fit.frame, fit.end, "test" if settings.holdout else "train")
    if settings.holdout and len(tests.y):
        gradient = mean_loss_gradient(fit, tests)[1]
    elif settings.validation == "leave-one-out" and fit.covariance is not None:
        gradient = leave_one_out_gradient(state, settings, fit, tests)
    else:
        return None
    total = testing_weight(state, settings)
    gradient = outer_gradient(state, settings, fit, gradient, total)
    if settings.validation == "holdout":
        return replace(state, tuner=tuner.on_refit(state.tuner, gradient, settings.bounds))
    gradient = anchored(state, fit, gradient, total)
    if settings.validation == "rotating":
        weight = float(tests.w.sum()) / natural_scale(state, fit)
        return replace(state, tuner=tuner.on_fold(state.tuner, gradient, weight, settings.bounds))
    return replace(state, tuner=tuner.on_refit(state.tuner, gradient, settings.bounds))


def _solve(state: State, settings: Settings, new_frame: Frame, start: Fit | None, which: str) -> Fit | None:
    """The fit on `which` examples, or None where nothing finite was found."""
    columns, outputs = 1 + len(new_frame.scaling.shift), state.problem.outputs
    model = Linear(losses.named(state.problem.loss), outputs, columns)
    examples = data(state, settings, new_frame, state.examples.end, which)
    weight = float(examples.w.sum())
    if weight <= 0.0:
        return None
    lam = regularity(state, settings, weight)
    theta = starting(model, examples) if start is None else adapted(start, start.theta, model, new_frame, True)
    fit = Fit(model, new_frame, theta, np.zeros(model.size), None, lam, state.examples.end, certificate.NONE, 0.0)
    whole = objective(state, settings, model, new_frame)
    solver = newton if whole.regularizer.smooth else orthant
    solved, info = solver.step(newton.State(theta, fit.log_tangent, np.empty((0, 0))), whole, examples, lam)
    if not info.ok:
        return None
    if state.problem.loss == "squared":
        noise = losses.noise(model.outputs(solved.theta, examples.X), examples.y, examples.w)
        model = replace(model, loss=losses.Squared(noise))
    return replace(
        fit,
        model=model,
        theta=solved.theta,
        log_tangent=solved.log_tangent,
        covariance=solved.covariance,
        certificate=certificate.solved(whole, solved.theta, solved.log_tangent, examples, lam),
        loss=info.loss * new_frame.target_scale**2,
    )


def with_covariance(fit: Fit, state: State, settings: Settings, which: str) -> Fit:
    """A stored fit with the covariance that is not stored, from the examples it was fitted on.

    None where they were replaced by such as no fit could be made of: then the next label refits.
    """
    examples = data(state, settings, fit.frame, fit.end, which)
    try:
        whole = objective(state, settings, fit.model, fit.frame)
        solved = newton.derivatives(fit.theta, whole, examples, fit.regularity)
    except np.linalg.LinAlgError:
        return fit
    return replace(fit, covariance=solved.covariance)
