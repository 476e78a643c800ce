"""Approximate leave-one-out against what it stands for: a refit without each of the examples."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core import leave_one_out, newton
from streamlearn.core.losses import Array, Poisson, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from tests.core.problems import breast_cancer, part, relative, small, solved

HEADS = ("squared", "logistic", "softmax", "poisson")
PRECISION = 2.0  # α = λW, which stays as it is when an example goes
heads = pytest.mark.parametrize("head", HEADS)


@cache
def fitted(head: str) -> tuple[Objective, Data, newton.State]:
    """A weighted problem with a few examples far out, which the model leans on, and its optimum."""
    if head == "breast cancer":
        objective, data = breast_cancer()
        data = part(data, np.arange(200))
        return objective, data, solved(objective, data, PRECISION / 200.0)
    objective, data = small("squared" if head == "poisson" else head, rows=80)
    if head == "poisson":
        rate = np.exp(0.5 + data.X @ [0.0, 0.6, -0.4, 0.2, 0.0])
        counts = np.random.default_rng(4).poisson(rate).astype(float)
        objective, data = Objective(Linear(Poisson(), 1, 5), 0.01), Data(data.X, counts, data.w)
    X = data.X.copy()
    X[:4, 1:] *= 2.0
    data = Data(X, data.y, data.w)
    return objective, data, solved(objective, data, PRECISION / float(data.w.sum()))


@cache
def refitted(head: str) -> Array:
    """The outputs (n, k) of each example under a model fitted to the others."""
    objective, data, state = fitted(head)
    outputs = []
    for i in range(len(data.y)):
        others = part(data, np.flatnonzero(np.arange(len(data.y)) != i))
        there, info = newton.step(state, objective, others, PRECISION / float(others.w.sum()))
        assert info.ok
        outputs.append(objective.model.outputs(there.theta, data.X[i : i + 1])[0])
    return np.stack(outputs)


def mean(losses: Array, data: Data) -> float:
    return float(np.average(losses, weights=data.w))


def test_leverage_is_exact_for_the_squared_loss() -> None:
    objective, data, state = fitted("squared")
    assert_allclose(leave_one_out.outputs(objective, data, state), refitted("squared"), rtol=1e-9, atol=1e-11)
    losses = 0.5 * (refitted("squared")[:, 0] - data.y) ** 2
    assert_allclose(leave_one_out.leverage(objective, data, state), losses, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("head", [*HEADS, "breast cancer"])
def test_the_mean_loss_is_that_of_the_refits_and_first_order_is_optimistic(head: str) -> None:
    objective, data, state = fitted(head)
    loss, own = objective.model.loss, objective.model.outputs(state.theta, data.X)
    training, exact = mean(loss.value(own, data.y), data), mean(loss.value(refitted(head), data.y), data)
    by_leverage = leave_one_out.mean(leave_one_out.leverage(objective, data, state), data)
    by_first_order = leave_one_out.mean(leave_one_out.first_order(objective, data, state), data)
    # What is asked for is the excess over the training loss.
    assert abs(by_leverage - exact) < 0.05 * (exact - training)
    assert 0.1 * (exact - training) < exact - by_first_order < 0.6 * (exact - training)


@pytest.mark.parametrize("head", [*HEADS, "breast cancer"])
def test_the_step_of_each_example_is_that_of_its_refit_also_for_those_that_count_most(head: str) -> None:
    objective, data, state = fitted(head)
    f, own = refitted(head), objective.model.outputs(state.theta, data.X)
    assert relative(leave_one_out.outputs(objective, data, state) - own, f - own) < 0.1
    loss = objective.model.loss
    before, after = loss.value(own, data.y), loss.value(f, data.y)
    most = np.argsort(before - after)[: len(after) // 10]
    excess = (after - before)[most]
    by_leverage = relative((leave_one_out.leverage(objective, data, state) - before)[most], excess)
    by_first_order = relative((leave_one_out.first_order(objective, data, state) - before)[most], excess)
    assert by_leverage < 0.12
    assert 0.15 < by_first_order < 0.8


@heads
def test_first_order_is_the_slope_of_the_refits_by_the_examples_weight(head: str) -> None:
    objective, data, state = fitted(head)
    loss, h = objective.model.loss, 1e-4
    own = loss.value(objective.model.outputs(state.theta, data.X), data.y)
    slopes = []
    for i in range(0, len(data.y), 10):
        less, more = ((1.0 + sign * h * (np.arange(len(data.y)) == i)) * data.w for sign in (-1.0, 1.0))
        losses = []
        for w in (less, more):
            there, _ = newton.step(state, objective, Data(data.X, data.y, w), PRECISION / float(w.sum()))
            losses.append(loss.value(objective.model.outputs(there.theta, data.X[i : i + 1]), data.y[i : i + 1])[0])
        slopes.append((losses[0] - losses[1]) / (2.0 * h))
    first = leave_one_out.first_order(objective, data, state) - own
    assert_allclose(first[::10], slopes, rtol=1e-5)


def test_blocks_of_rows_are_put_together() -> None:
    objective, data, state = fitted("softmax")
    many = np.tile(np.arange(len(data.y)), 30)
    losses = leave_one_out.leverage(objective, data, state)
    assert_allclose(leave_one_out.leverage(objective, part(data, many), state), losses[many], rtol=1e-12)


def test_what_only_one_example_tells_is_not_known_without_it() -> None:
    objective = Objective(Linear(Squared(), 1, 2), 0.0, free=(0, 1))
    data = Data(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0, 3.0]), np.ones(3))
    state = newton.derivatives(np.array([0.5, 2.5]), objective, data, 0.0)
    assert not np.isfinite(leave_one_out.outputs(objective, data, state)[2]).any()
