"""The learner: labels in, a model out. Theory in `core/`; here is what one label does, in order.

1. The problem hears it (a class may be new).
2. Progressive validation: it is a test example for the model as it stands (its user's, where users deviate), gives its loss
   and the scalar gradient ∇ℓ·θ̇ that moves ρ. Only an id's first label does.
3. It joins the labeled set.
4. The solver learns: a refit when the cut is full (Newton, conjugate gradients), or a fixed number of steps (SGDF).

Every step is a function: the state given is left as it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.regularity.progressive import STEP_MOST
from streamlearn.learner import (
    columns,
    deviation,
    everybody,
    exact,
    examples,
    problem,
    progress,
    score,
    solver,
    stochastic,
    tuner,
)
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, held, trains, without_model
from streamlearn.learner.testing import losses_gradients, natural_scale, outer_gradient
from streamlearn.queries.strategy import REFERENCES_MOST, View

SETTLE_ROUNDS = 30
CAUGHT_UP_MOST = 256  # labels whose steps are caught up one by one


@final
@dataclass(frozen=True)
class Labeled:
    """A label joined to its features: x (columns,) as encoded; audit: it answers an audit query; fold: see `examples`.

    user: whose it is; "": nobody's.
    """

    x: Array
    y: problem.Label
    weight: float
    audit: bool
    fold: int
    user: str = ""


def observe(state: State, new_columns: columns.State, rows: Array) -> State:
    """Feature statistics take in newly seen rows (n, columns of new_columns)."""
    if len(new_columns.columns) > len(state.columns.columns) or new_columns.kind != state.columns.kind:
        kept = state.examples
        wide = columns.widen(new_columns, kept.X[: len(kept)])
        counts = columns.sibling_counts(new_columns, state.moments.count)
        wider = moments.extend(state.moments, columns.widen(new_columns, state.moments.rows))
        state = replace(
            state,
            columns=new_columns,
            moments=replace(wider, count=counts),
            examples=examples.widened(kept, wide),
        )
    return replace(state, moments=moments.step(state.moments, rows))


def step(state: State, settings: Settings, label: Labeled) -> State:
    """Learn one new label."""
    state, serial = keep(state, settings, label, tunes=True), state.examples.end
    state = replace(state, refined=state.examples.end)
    if not state.problem.trainable:
        return state
    if label.fold and not trains(state, settings):
        return without_model(state)
    if solver.choose(state, settings) != "sgdf":
        if exact.due(state, settings):
            state = exact.refit(replace(state, examples=examples.newest(state.examples, settings.keep)), settings)
        return state
    kept = (
        state.examples if len(state.examples) < 1.25 * settings.keep else examples.newest(state.examples, settings.keep)
    )
    return stochastic.learn(replace(state, examples=kept), settings, serial)


def keep(state: State, settings: Settings, label: Labeled, tunes: bool = False) -> State:
    """Take one new label into the labeled set, and leave the model as it is; tunes: ρ hears of it."""
    state = _hear(state, label.y)
    state = _validate(state, settings, label, tunes)
    target = problem.target(state.problem, label.y) if state.problem.loss else 0.0
    kept = examples.append(state.examples, label.x, label.y, target, label.weight, label.fold, label.user)
    return replace(state, examples=kept, labels=state.labels + 1, unfitted=state.unfitted + 1)


def catch_up(state: State, settings: Settings) -> State:
    """Learn what was kept: by a refit; with SGDF by the steps of its newest labels, which draw on all of them."""
    state = replace(state, refined=state.examples.end)
    if state.unfitted == 0 or not state.problem.trainable or not trains(state, settings):
        return settle(state, settings, rounds=0)
    kept = examples.newest(state.examples, settings.keep)
    state = replace(state, examples=kept)
    if solver.choose(state, settings) != "sgdf":
        return exact.refit(state, settings)
    for serial in range(max(kept.first, kept.end - min(state.unfitted, CAUGHT_UP_MOST)), kept.end):
        state = stochastic.learn(state, settings, serial)
    return state


def revise(state: State, settings: Settings, serial: int, label: Labeled | None, learns: bool = True) -> State:
    """Replace the example `serial`, or forget it (None); where it `learns`, the model is refitted without what it was.

    By a refit, or a round of steps; of a network, which takes half a second for a round, by the steps that a label brings, and
    the rest when the stream is quiet.
    """
    if serial < state.examples.first:
        return state  # no longer kept: nothing learns from it
    user = state.examples.user[serial - state.examples.first]
    if label is None:
        width = len(state.columns.columns)
        kept = examples.replaced(state.examples, serial, np.zeros(width), 0, 0.0, 0.0)
    else:
        state = _hear(state, label.y)
        target = problem.target(state.problem, label.y) if state.problem.loss else 0.0
        kept = examples.replaced(state.examples, serial, label.x, label.y, target, label.weight, label.user)
    state = replace(state, examples=kept, unfitted=state.unfitted + 1)
    state = everybody.outdated(state, user) if label is None or label.user != user else state
    if not learns:
        return state
    if settings.network and state.fit is not None and trains(state, settings):
        return stochastic.learn(state, settings, serial)
    return settle(state, settings, rounds=0)


def forget_user(state: State, settings: Settings, user: str, learns: bool = True) -> State:
    """A user's examples are forgotten; where it `learns`, the model is refitted without them, by a round of SGDF's steps."""
    rows = examples.of_user(state.examples, user)
    if len(rows):
        kept = examples.without(state.examples, rows)
        state = replace(state, examples=kept, unfitted=state.unfitted + len(rows))
    state = everybody.outdated(state, user)  # what it knows of users may go back to examples that are kept no longer
    return settle(state, settings, rounds=0) if learns else state


def drop_before(state: State, settings: Settings, serial: int, learns: bool = True) -> State:
    """Examples before `serial` are kept no longer, but for the newest of all; the model is refitted without them, λ goes on.

    Of a network by the steps that a label brings, as in `revise`.
    """
    before, kept = len(state.examples), examples.newest(state.examples, max(1, state.examples.end - serial))
    if len(kept) == before:
        return state
    state = everybody.outdated(replace(state, examples=kept, unfitted=state.unfitted + 1))
    if not learns:
        return state
    if settings.network and state.fit is not None and trains(state, settings):
        return stochastic.learn(state, settings, kept.end - 1)
    return settle(state, settings, rounds=0)


def settle(state: State, settings: Settings, rounds: int = SETTLE_ROUNDS) -> State:
    """The stream is quiet, or at its end: learn what is left. By a refit at once; with SGDF by a round of steps.

    Nothing is left when `unfitted` is 0; a state that cannot settle comes back as it is.
    """
    if state.unfitted == 0 or not state.problem.trainable:
        return state
    if not trains(state, settings):
        return without_model(state)
    # Here too: where labels come in small numbers, each followed by silence, a cut is never full.
    state = replace(state, examples=examples.newest(state.examples, settings.keep))
    if solver.choose(state, settings) != "sgdf":
        return exact.refit(state, settings, rounds)
    return stochastic.settle(state, settings)


def view(state: State, with_references: bool = False) -> View | None:
    """What query strategies see, pending queries not counted yet, nor H⁻¹ but where the solver left it (`inverse.py`)."""
    fit = state.published
    if fit is None:
        return None
    references = _references(state, fit) if with_references else None
    return View(fit.model, fit.theta, fit.log_tangent, fit.covariance, fit.covariance, references)


def _references(state: State, fit: Fit) -> Data:
    """The newest labeled examples before the end of the fit, in its frame, but for those of classes that it does not know."""
    kept, n = state.examples, max(0, fit.end - state.examples.first)
    rows = np.flatnonzero((kept.weight[:n] > 0.0) & fit.knows(kept.target[:n]))[-REFERENCES_MOST:]
    return Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])


def _hear(state: State, y: problem.Label) -> State:
    heard = problem.step(state.problem, y)
    if heard == state.problem:
        return state
    decided, kept = heard.classes[: len(state.problem.classes)] != state.problem.classes, state.examples
    if heard.loss and (decided or heard.loss != state.problem.loss):
        n = len(kept)
        target = [problem.target(heard, kept.y[i]) if kept.weight[i] > 0.0 else 0.0 for i in range(n)]
        state = replace(state, examples=examples.retargeted(kept, np.array(target, dtype=float)))
    return replace(state, problem=heard)


def _validate(state: State, settings: Settings, label: Labeled, tunes: bool) -> State:
    fit = state.fit
    if fit is None or 0 < label.fold == held(state, settings):
        return state
    target = problem.target(state.problem, label.y)
    if not fit.knows(np.array([target])).all():
        return state
    test = Data(fit.frame.design(label.x[None, :]), fit.frame.targets(np.array([target])), np.ones(1))
    losses, gradients, outputs = losses_gradients(fit, test, deviation.of_user(state, settings, fit, label.user))
    loss, excess = float(losses[0]), float(losses[0] - fit.model.loss.least(test.y)[0])
    if not fit.model.loss.of_classes:  # the size of the error: its square has most of its values next to 0
        excess = math.sqrt(2.0 * max(excess, 0.0) / natural_scale(state, fit))
    progressed = progress.step(state.progress, loss * fit.frame.target_scale**2, excess, label.audit)
    told = float(fit.model.loss.prediction(outputs)[0])
    scored = (
        score.of_class(progressed.score, int(told), int(target))
        if fit.model.loss.of_classes
        else score.of_value(progressed.score, fit.frame.value(told), target)
    )
    state = replace(state, progress=replace(progressed, score=scored))
    # Leave-one-out needs H⁻¹: a model too large for that is tuned by what there is.
    progressive = settings.validation == "progressive" or (
        settings.validation == "leave-one-out" and fit.covariance is None
    )
    if not (tunes and settings.learn_regularity and progressive):
        return state
    change_most = STEP_MOST
    if fit.descent is not None:
        change_most = stochastic.change_most(state, settings, fit)
    weight = label.weight * deviation.weight_of(settings, fit, label.user)
    gradient = float(gradients[0]) * weight / natural_scale(state, fit)
    gradient = outer_gradient(state, settings, fit, gradient, float(state.progress.count))
    return replace(state, tuner=tuner.on_label(state.tuner, gradient, settings.bounds_of(fit.model), change_most))
