"""L1: optima against scikit-learn's and the subgradient conditions, tangents against refits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Lasso, LogisticRegression

from streamlearn.core import newton, orthant, sgdf
from streamlearn.core.losses import Array, Softmax
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L1
from tests.core.problems import HEADS, breast_cancer, diabetes, part, relative, small

heads = pytest.mark.parametrize("head", HEADS)


def sparse(objective: Objective, origin: Array | None = None) -> Objective:
    return replace(objective, regularizer=L1(origin))


def optimum(objective: Objective, data: Data, regularity: float) -> newton.State:
    state, info = orthant.step(newton.init(objective.model.size), objective, data, regularity)
    assert info.ok
    return state


def random_origin(objective: Objective) -> Array:
    return np.random.default_rng(3).normal(size=int(objective.penalised.sum()))


@pytest.mark.parametrize("regularity", [1e-3, 0.05, 0.3])
def test_the_optimum_on_diabetes_is_scikit_learns_lasso(regularity: float) -> None:
    objective, data = diabetes()
    theta = optimum(sparse(objective), data, regularity).theta
    other = Lasso(alpha=regularity, tol=1e-12, max_iter=100_000).fit(data.X[:, 1:], data.y)
    assert_allclose(theta, np.append(other.intercept_, other.coef_), atol=1e-7)
    assert ((theta[1:] == 0.0) == (other.coef_ == 0.0)).all()


def test_the_optimum_on_breast_cancer_is_scikit_learns_sparse_logistic_regression() -> None:
    objective, data = breast_cancer()
    regularity = 0.02
    theta = optimum(sparse(objective), data, regularity).theta
    other = LogisticRegression(
        l1_ratio=1.0, C=1.0 / (regularity * len(data.y)), solver="saga", tol=1e-9, max_iter=50_000
    )
    other.fit(data.X[:, 1:], data.y)
    assert_allclose(theta, np.concatenate([other.intercept_, other.coef_[0]]), atol=1e-4)
    assert 3 < (theta[1:] == 0.0).sum() < 30


@heads
@pytest.mark.parametrize("regularity", [1e-3, 0.03, 0.2])
@pytest.mark.parametrize("shifted", [False, True])
def test_the_subgradient_conditions_hold(head: str, regularity: float, shifted: bool) -> None:
    objective, data = small(head)
    origin = random_origin(objective) if shifted else None
    objective = sparse(objective, origin)
    theta = optimum(objective, data, regularity).theta
    _, g = objective.model.gradient(theta, data.X, data.y, data.w)
    g = g + objective.prior(float(data.w.sum())) * theta
    inside = objective.penalised > 0.0
    away = objective.inner(theta) - (0.0 if origin is None else origin)
    assert_allclose(g[~inside], 0.0, atol=1e-8)
    moved = away != 0.0
    assert_allclose(g[inside][moved], -regularity * np.sign(away[moved]), atol=1e-8)
    assert np.abs(g[inside][~moved]).max(initial=0.0) <= regularity * (1.0 + 1e-8)


@heads
@pytest.mark.parametrize("shifted", [False, True])
def test_the_tangent_is_the_difference_of_refitted_optima(head: str, shifted: bool) -> None:
    objective, data = small(head)
    objective = sparse(objective, random_origin(objective) if shifted else None)
    regularity, h = 0.06, 1e-5
    state = optimum(objective, data, regularity)
    up, down = (optimum(objective, data, regularity * np.exp(s)).theta for s in (h, -h))
    assert relative(state.log_tangent, (up - down) / (2.0 * h)) < 1e-4
    rests = objective.moving(state.theta) == 0.0
    assert (state.log_tangent[rests] == 0.0).all()
    assert objective.residual(state.theta, state.log_tangent, data, regularity) < 1e-10


def test_parameters_on_a_kink_have_no_covariance_and_the_others_that_of_a_model_without_them() -> None:
    objective, data = diabetes()
    objective = replace(sparse(objective), anchor=0.5)
    state = optimum(objective, data, 0.1)
    kept = np.flatnonzero(objective.moving(state.theta))
    assert 1 < len(kept) < objective.model.size
    H = objective.hessian(state.theta, data, 0.1)[np.ix_(kept, kept)]
    assert_allclose(state.covariance[np.ix_(kept, kept)] @ H * data.w.sum(), np.eye(len(kept)), atol=1e-9)
    assert_allclose(state.covariance.sum(), state.covariance[np.ix_(kept, kept)].sum(), rtol=1e-12)


def test_more_parameters_than_examples_are_no_obstacle() -> None:
    rng = np.random.default_rng(0)
    objective, _ = small("squared")
    X = np.column_stack([np.ones(20), rng.normal(size=(20, 60))])
    data = Data(X, X[:, 1] - 2.0 * X[:, 5] + 0.1 * rng.normal(size=20), np.ones(20))
    objective = sparse(replace(objective, model=replace(objective.model, columns=61), anchor=0.0))
    theta = optimum(objective, data, 0.05).theta
    other = Lasso(alpha=0.05, tol=1e-13, max_iter=200_000).fit(X[:, 1:], data.y)
    assert_allclose(theta, np.append(other.intercept_, other.coef_), atol=1e-6)


@heads
def test_what_is_not_finite_is_a_failure_in_info(head: str) -> None:
    objective, data = small(head)
    before = newton.init(objective.model.size)
    state, info = orthant.step(before, sparse(objective), Data(data.X * np.nan, data.y, data.w), 0.1)
    assert not info.ok
    assert state is before


def test_sgdf_with_kinks_converges_to_the_same_optimum_and_tangent() -> None:
    objective, data = diabetes()
    objective = sparse(objective)
    direct, state = optimum(objective, data, 0.05), sgdf.init(np.zeros(objective.model.size))
    for _ in range(4000):
        state, _ = sgdf.step(state, objective, data, float(data.w.sum()), 0.05, 0.2, 1)
    assert_allclose(state.theta, direct.theta, atol=1e-6)
    assert ((state.theta == 0.0) == (direct.theta == 0.0)).all()
    assert_allclose(state.log_tangent, direct.log_tangent, atol=1e-6)


def test_the_recursion_with_kinks_is_the_difference_of_whole_runs() -> None:
    objective, data = diabetes()
    objective = sparse(objective)

    def run(rho: float) -> sgdf.State:
        rng, state = np.random.default_rng(1), sgdf.init(np.zeros(objective.model.size))
        for _ in range(150):
            batch = part(data, rng.integers(0, len(data.y), 8))
            state, _ = sgdf.step(state, objective, batch, float(data.w.sum()), float(np.exp(rho)), 0.03, 1)
        return state

    rho, h = np.log(0.5), 1e-7
    state, up, down = run(rho), run(rho + h), run(rho - h)
    assert ((up.theta == 0.0) == (down.theta == 0.0)).all()
    assert 0 < (state.theta == 0.0).sum()
    assert relative(state.log_tangent, (up.theta - down.theta) / (2.0 * h)) < 1e-5


def test_an_even_number_of_classes_whose_outputs_can_be_shifted_at_no_cost_is_solved_all_the_same() -> None:
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(80), rng.normal(size=(80, 3))])
    y = (X @ rng.normal(size=(4, 4)) + rng.gumbel(size=(80, 4))).argmax(axis=1).astype(float)
    objective, data = Objective(Linear(Softmax(), 4, 4), 0.01, L1()), Data(X, y, np.ones(80))
    state = optimum(objective, data, 1e-3)
    away = [start + 5.0 * rng.normal(size=16) for start in np.zeros((3, 16))]
    losses = []
    for start in away:
        other, info = orthant.step(newton.State(start, start, np.eye(16)), objective, data, 1e-3)
        assert info.ok
        losses.append(objective.value_gradient(other.theta, data, 1e-3)[0])
    assert_allclose(losses, objective.value_gradient(state.theta, data, 1e-3)[0], rtol=1e-9)
