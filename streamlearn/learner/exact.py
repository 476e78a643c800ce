"""The exact solvers: a refit on the whole labeled set, warm-started, whenever a cut is full.

By Newton's method, which for L1 goes from orthant to orthant and for the squared loss is one least-squares solution, or by
conjugate gradients, which leave no covariance. A cut is one label while there are few, a fiftieth of those it trains on later:
a refit costs as much as all of them, a new label changes little. Every refit is also a step of the regularity, or two, where
that is tuned by held-out examples or by leave-one-out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamlearn.core import certificate, conjugate, least_squares, losses, newton, orthant
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import everybody, solver, tuner
from streamlearn.learner.fit import Fit, Frame, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, frame, objective, regularity, turned
from streamlearn.learner.testing import (
    anchored,
    leave_one_out_gradient,
    mean_loss_gradient,
    natural_scale,
    outer_gradient,
    testing_weight,
)

TUNING_ROUNDS = 2


class _Optimum(NamedTuple):
    theta: Array
    log_tangent: Array
    covariance: Array | None
    loss: float


def cut(labels: int) -> int:
    """How many labels make a refit due, of a model that is trained on so many."""
    return max(1, labels // 50)


def due(state: State, settings: Settings) -> bool:
    """Whether the next refit is due: the cut is full, or the fit at hand is not what this solver would have left."""
    fit, name = state.fit, solver.choose(state, settings)
    if fit is None or fit.solver != name or (name == "newton" and fit.covariance is None):
        return True
    kept = len(state.examples)
    return state.unfitted >= cut(min(kept, settings.keep or kept))


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
    state = replace(
        state,
        fit=fit,
        published=published or fit,
        unfitted=0,
        failing=0,
        updates=state.updates + 1,
        test_loss=mean_loss_gradient(fit, test)[0] if len(test.y) else None,
    )
    return everybody.followed(state, settings, before.fit)


def _tuned(state: State, settings: Settings, fit: Fit) -> State | None:
    """ρ moved by what this refit shows; None where labels move it, or there is nothing to test on."""
    left_out = settings.validation == "leave-one-out" and fit.covariance is not None
    if not (settings.holdout or left_out):
        return None
    tests = data(state, settings, fit.frame, fit.end, "train" if left_out else "test")
    if not len(tests.y):
        return None
    gradient = leave_one_out_gradient(state, settings, fit, tests) if left_out else mean_loss_gradient(fit, tests)[1]
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
    settings.alive()
    columns, outputs = 1 + len(new_frame.scaling.shift), state.problem.outputs
    model: Model = settings.architecture.model(losses.named(state.problem.loss), outputs, columns)
    examples = data(state, settings, new_frame, state.examples.end, which)
    weight = float(examples.w.sum())
    if weight <= 0.0:
        return None
    lam = regularity(state, settings, weight)
    theta = (
        model.start(examples.y, examples.w) if start is None else adapted(start, start.theta, model, new_frame, True)
    )
    tangent = np.zeros(model.size) if start is None else adapted(start, start.log_tangent, model, new_frame, False)
    whole, name = objective(state, settings, model, new_frame), solver.choose(state, settings)
    solved = _optimum(name, whole, examples, lam, theta, tangent)
    if solved is None and start is not None:  # e^f, for one, may overflow where the last fit was
        solved = _optimum(name, whole, examples, lam, model.start(examples.y, examples.w), np.zeros(model.size))
    if solved is None:
        return None
    if state.problem.loss == "squared":
        noise = losses.noise(model.outputs(solved.theta, examples.X), examples.y, examples.w)
        model = model.with_loss(losses.Squared(noise))
    return Fit(
        model=model,
        frame=new_frame,
        theta=solved.theta,
        log_tangent=solved.log_tangent,
        covariance=solved.covariance,
        regularity=lam,
        end=state.examples.end,
        certificate=certificate.solved(whole, solved.theta, solved.log_tangent, examples, lam),
        loss=solved.loss * new_frame.target_scale**2,
        solver=name,
        weight=weight,
    )


def _optimum(name: str, whole: Objective, examples: Data, lam: float, theta: Array, tangent: Array) -> _Optimum | None:
    """θ and θ̇ by the solver of this name, warm-started; None where nothing finite was found."""
    if name == "cg":
        found, told = conjugate.step(conjugate.State(theta, tangent), whole, examples, lam)
        return _Optimum(found.theta, found.log_tangent, None, told.loss) if told.ok else None
    if least_squares.solves(whole):
        solved, info = least_squares.fit(whole, examples, lam)
    else:
        method = newton if whole.regularizer.smooth else orthant
        solved, info = method.step(newton.State(theta, tangent, np.empty((0, 0))), whole, examples, lam)
    return _Optimum(solved.theta, solved.log_tangent, solved.covariance, info.loss) if info.ok else None


def with_covariance(fit: Fit, state: State, settings: Settings, which: str) -> Fit:
    """A stored fit with the covariance that is not stored, from the examples it was fitted on.

    Without it where they were replaced by such as no fit could be made of: then the next label refits.
    """
    examples = data(state, settings, fit.frame, fit.end, which)
    try:
        whole = objective(state, settings, fit.model, fit.frame)
        if least_squares.solves(whole):
            solved, info = least_squares.fit(whole, examples, fit.regularity)
            if not info.ok:
                return fit
        else:
            solved = newton.derivatives(fit.theta, whole, examples, fit.regularity)
    except np.linalg.LinAlgError:
        return fit
    return replace(fit, covariance=solved.covariance)
