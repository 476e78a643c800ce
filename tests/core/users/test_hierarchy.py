"""The hierarchy's minimum against a general optimiser, its tangent against a dense solve and refits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize, minimize_scalar

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.users import hierarchy
from streamlearn.core.users.arrow import Point
from streamlearn.core.users.groups import Groups
from streamlearn.core.users.hierarchy import Problem, State
from tests.core.problems import HEADS, central, relative
from tests.core.users.test_arrow import as_dense, flat
from tests.core.users.users import USERS, some

heads = pytest.mark.parametrize("head", HEADS)
LAMBDA, ANCHOR = 0.03, 0.1


def solved(head: str, regularity: float = LAMBDA, start: State | None = None) -> tuple[State, Problem]:
    model, groups = some(head)
    state, info = hierarchy.step(start or hierarchy.init(model.size, USERS), model, groups, regularity, ANCHOR)
    assert info.ok
    return state, Problem(model, groups, regularity, ANCHOR)


def point(state: State) -> Point:
    return Point(state.theta, np.column_stack([state.own, state.mu]))


def unflat(vector: Array, d: int) -> Point:
    return Point(vector[:d], vector[d:].reshape(-1, d + 1))


@heads
def test_gradient_and_hessian_are_central_differences(head: str) -> None:
    state, problem = solved(head)
    d = problem.model.size
    at = flat(point(state)) + 0.1 * np.random.default_rng(3).normal(size=d + USERS * (d + 1))

    def gradient(v: Array) -> Array:
        return flat(problem.value_gradient(unflat(v, d))[1])

    assert relative(gradient(at), central(lambda v: problem.value_gradient(unflat(v, d))[0], at)) < 1e-6
    H = as_dense(problem.hessian(unflat(at, d), convex=False))
    assert relative(H, central(gradient, at)) < 1e-6
    raised = as_dense(problem.hessian(unflat(at, d), convex=True))
    assert np.linalg.eigvalsh(raised)[0] > 0.0


@heads
def test_the_minimum_is_that_of_a_general_optimiser(head: str) -> None:
    state, problem = solved(head)
    d = problem.model.size

    def both(v: Array) -> tuple[float, Array]:
        value, gradient = problem.value_gradient(unflat(v, d))
        return value, flat(gradient)

    start = flat(point(hierarchy.init(d, USERS)))
    other = minimize(both, start, method="BFGS", jac=True, options={"gtol": 1e-9, "maxiter": 5000})
    assert_allclose(flat(point(state)), other.x, atol=1e-4)
    assert np.abs(both(flat(point(state)))[1]).max() < 1e-12
    assert np.ptp(state.mu) > 0.1  # the users' regularities differ


@heads
def test_the_tangent_is_that_of_the_dense_system_and_of_refits(head: str) -> None:
    state, problem = solved(head)
    tangent = flat(Point(state.log_tangent, np.column_stack([state.own_tangent, state.mu_tangent])))
    source = flat(Point(np.zeros(problem.model.size), problem.source(point(state))))
    H = as_dense(problem.hessian(point(state), convex=False))
    assert relative(tangent, -np.linalg.solve(H, source)) < 1e-8
    h = 1e-4
    up, down = (flat(point(solved(head, LAMBDA * np.exp(s), state)[0])) for s in (h, -h))
    assert relative(tangent, (up - down) / (2.0 * h)) < 1e-6


def test_a_user_who_deviates_more_gets_less_regularity_and_one_without_labels_is_the_shared_model() -> None:
    state, _ = solved("squared")
    order = np.argsort((state.own**2).sum(axis=1))
    assert (np.diff(state.mu[order]) <= 1e-9).all()
    assert_allclose(state.own[-1], 0.0, atol=1e-12)  # the last of `some` has no labels
    assert_allclose(state.own_tangent[-1], 0.0, atol=1e-12)


def test_from_mu_0_the_collapsed_mode_is_avoided_where_labels_speak_for_deviations() -> None:
    model, groups = some("squared")
    state, problem = solved("squared", 1e-3)
    far = replace(hierarchy.init(model.size, USERS), mu=np.full(USERS, hierarchy.BOUND))
    collapsed, info = hierarchy.step(far, model, groups, 1e-3, ANCHOR)
    assert info.ok
    assert problem.value_gradient(point(state))[0] < info.value
    kept = [1, 3, 4]  # user 0 hardly deviates, and 2 does so much that not even that start holds them
    assert (state.mu[kept] < 2.0).all()
    assert (collapsed.mu[kept] == hierarchy.BOUND).all()
    assert (np.linalg.norm(state.own[kept], axis=1) > 20.0 * np.linalg.norm(collapsed.own[kept], axis=1)).all()
    assert (collapsed.mu_tangent[kept] == 0.0).all()  # what rests on a bound does not move
    assert info.resting == 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_reported_and_the_state_is_left_alone(bad: float) -> None:
    model, groups = some("logistic")
    before = hierarchy.init(model.size, USERS)
    for where in ("X", "y", "w"):
        parts = {name: getattr(groups.data, name).copy() for name in ("X", "y", "w")}
        parts[where][3] = bad
        after, info = hierarchy.step(before, model, Groups(Data(**parts), groups.user, USERS), LAMBDA, ANCHOR)
        assert not info.ok
        assert after is before
    after, info = hierarchy.step(before, model, groups, bad, ANCHOR)
    assert not info.ok
    assert after is before


def test_the_learned_precision_of_the_shared_prior_is_the_likeliest() -> None:
    """Of the squared loss with every μ held at 0 by a large λ all is normal, and the likelihood of y is at hand."""
    model, groups = some("squared", noise=1.0)
    free, where, precision = np.array([0.01, 0.0, 0.0]), np.array([0.0, 1.0, 1.0]), hierarchy.PRECISION
    state = hierarchy.init(model.size, USERS)
    for _ in range(30):
        state, info = hierarchy.step(state, model, groups, 1e6, free + precision * where)
        before, precision = precision, hierarchy.learned(precision, state, info, where)
    assert precision == pytest.approx(before)
    X, y, same = groups.data.X, groups.data.y, groups.user[:, None] == groups.user
    noise = np.diag(1.0 / groups.data.w) + same * (X @ X.T)

    def unlikely(log_precision: float) -> float:
        p = float(np.exp(log_precision))
        covariance = noise + X @ np.diag(1.0 / (free + p * where)) @ X.T
        fitted = 0.5 * (np.linalg.slogdet(covariance)[1] + y @ np.linalg.solve(covariance, y))
        return float(fitted - (hierarchy.SHAPE - 1.0) * log_precision + hierarchy.RATE * p)

    found = minimize_scalar(unlikely, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-8})
    assert precision == pytest.approx(np.exp(found.x), rel=1e-4)


@heads
def test_with_the_least_precision_or_more_no_user_is_held_beyond_reach(head: str) -> None:
    model, groups = some(head)
    for times, highest in ((1.0, hierarchy.REACH), (0.5, 2.0 * hierarchy.REACH)):
        alpha = times * hierarchy.least(model.size)
        state, _ = hierarchy.step(hierarchy.init(model.size, USERS), model, groups, alpha / groups.weight, ANCHOR)
        assert state.mu.max() == pytest.approx(highest), "of the user without labels"
