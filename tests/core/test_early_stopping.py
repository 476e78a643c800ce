"""Early stopping: where it stops, and how far the tangent of a model without a regularizer can be believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

import numpy as np
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from streamlearn.core import early_stopping
from streamlearn.core.early_stopping import LOOK_EVERY, State
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from tests.core.problems import breast_cancer, diabetes, hold_out, relative, solved

DUMMY = 1e-7


def trained(objective: Objective, train: Data, test: Data, rate: float, steps: int | None = None) -> State:
    """Full batches from zero, until it stops or for so many steps."""
    state = early_stopping.init(np.zeros(objective.model.size))
    while state.steps < steps if steps is not None else not state.stopped:
        state, info = early_stopping.step(state, objective, train, test, rate)
        assert info.ok
    return state


def by_retraining(objective: Objective, train: Data, test: Data, rate: float, steps: int, rows: Array) -> Array:
    """dR/dε for each of these examples: whole trainings with the example up- and down-weighted, per unit of E."""
    changes, n = [], len(train.y)
    for i in rows:
        e = np.zeros(n)
        e[i] = 1e-3 * n
        # The share of all others stays what it was: E + ε ℓ, not a mean over more weight.
        up, down = (
            trained(objective, replace(train, w=(train.w + s * e)), test, rate * (train.w + s * e).sum() / n, steps)
            for s in (1.0, -1.0)
        )
        changes.append((objective.complexity(up.theta) - objective.complexity(down.theta)) / 2e-3)
    return np.array(changes)


def predicted(objective: Objective, state: State, train: Data, rate: float, rows: Array) -> Array:
    """∇ℓ·θ′ for each of these examples, by the tangent that went as far as θ did."""
    batches = repeat(train, state.best_steps)
    log_tangent = early_stopping.tangent(objective, state.best_theta, batches, float(train.w.sum()), DUMMY, rate)
    gradients = objective.model.example_gradients(state.best_theta, train.X[rows], train.y[rows])
    return np.asarray(gradients @ log_tangent / DUMMY)


def test_it_stops_where_the_test_loss_is_least_and_keeps_that_theta() -> None:
    objective, data = diabetes()
    train, test = hold_out(data, 0)
    state = trained(objective, train, test, 0.05)
    losses = [
        objective.model.gradient(trained(objective, train, test, 0.05, steps).theta, test.X, test.y, test.w)[0]
        for steps in range(LOOK_EVERY, 400, LOOK_EVERY)
    ]
    assert (int(np.argmin(losses)) + 1) * LOOK_EVERY == state.best_steps
    assert_allclose(state.best_loss, min(losses))
    assert state.steps > state.best_steps
    assert (state.theta != state.best_theta).any()


def test_stopped_early_the_tangent_says_what_retraining_does_to_complexity_within_a_tenth() -> None:
    objective, data = diabetes()
    train, test = hold_out(data, 0)
    state, rows = trained(objective, train, test, 0.05), np.arange(0, len(train.y), 15)
    truth = by_retraining(objective, train, test, 0.05, state.best_steps, rows)
    found = predicted(objective, state, train, 0.05, rows)
    assert relative(found, truth) < 0.1
    # The fixed point, which forgets that training was stopped, is far off.
    fixed = solved(objective, train, 1e-6)
    gradients = objective.model.example_gradients(state.best_theta, train.X[rows], train.y[rows])
    assert relative(gradients @ fixed.log_tangent / 1e-6, truth) > 0.3


def test_where_the_curvature_changes_along_the_way_ranks_are_what_can_be_believed() -> None:
    objective, data = breast_cancer()
    train, test = hold_out(data, 0)
    state, rows = trained(objective, train, test, 0.4), np.arange(0, len(train.y), 15)
    truth = by_retraining(objective, train, test, 0.4, state.best_steps, rows)
    found = predicted(objective, state, train, 0.4, rows)
    assert spearmanr(found, truth).statistic > 0.8
    assert 0.1 < relative(found, truth) < 0.8


def test_at_an_optimum_the_identity_is_exact_however_far_lambda_is_from_the_best() -> None:
    objective, data = breast_cancer()
    lam, h = 1e-4, 1e-4  # a hundredth of a good one
    state, n = solved(objective, data, lam), len(data.y)
    for i in (3, 100):
        gradient = objective.model.example_gradients(state.theta, data.X[i : i + 1], data.y[i : i + 1])[0]

        def complexity(epsilon: float, i: int = i) -> float:
            e = np.zeros(n)
            e[i] = epsilon * n
            share = 1.0 + epsilon
            return objective.complexity(solved(objective, replace(data, w=data.w + e), lam / share).theta)

        change = (complexity(h) - complexity(-h)) / (2.0 * h)
        assert_allclose(gradient @ state.log_tangent / lam, change, rtol=1e-4)


def test_a_step_that_is_not_finite_is_not_taken() -> None:
    objective, data = diabetes()
    before = early_stopping.init(np.zeros(objective.model.size))
    after, info = early_stopping.step(before, objective, Data(data.X * np.inf, data.y, data.w), data, 0.1)
    assert not info.ok
    assert after is before
