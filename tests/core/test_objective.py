"""The training objective: derivatives against differences, and what the residual says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core import certificate, conjugate, newton
from streamlearn.core.objective import Data, Objective
from tests.core.problems import HEADS, central, parameters, precision_of, small, solved

heads = pytest.mark.parametrize("head", HEADS)


@heads
def test_value_gradient_and_hessian_are_differences_of_each_other(head: str) -> None:
    objective, data = small(head)
    theta = parameters(objective)
    _, gradient = objective.value_gradient(theta, data, 0.3)
    assert_allclose(gradient, central(lambda t: objective.value_gradient(t, data, 0.3)[0], theta), rtol=1e-7, atol=1e-9)
    numeric = central(lambda t: objective.value_gradient(t, data, 0.3)[1], theta)
    assert_allclose(objective.hessian(theta, data, 0.3), numeric, rtol=1e-6, atol=1e-9)


@heads
def test_complexity_is_half_the_squared_weights_without_the_intercepts(head: str) -> None:
    objective, _ = small(head)
    theta = parameters(objective)
    weights = objective.model.matrix(theta)[:, 1:]
    assert_allclose(objective.complexity(theta), 0.5 * (weights**2).sum())
    assert_allclose(objective.complexity_gradient(theta), central(objective.complexity, theta), atol=1e-9)


@heads
def test_the_derivative_of_the_value_by_regularity_is_the_complexity(head: str) -> None:
    objective, data = small(head)
    theta = parameters(objective)
    high, low = (objective.value_gradient(theta, data, lam)[0] for lam in (0.4, 0.2))
    assert_allclose((high - low) / 0.2, objective.complexity(theta), rtol=1e-10)


def test_the_anchor_is_a_prior_on_the_intercepts_shared_by_the_total_weight() -> None:
    objective, _ = small("softmax", anchor=6.0)
    prior = objective.model.matrix(objective.prior(12.0))
    assert (prior[:, 0] == 0.5).all()
    assert (prior[:, 1:] == 0.0).all()
    assert (objective.model.matrix(objective.prior(24.0))[:, 0] == 0.25).all()


@heads
def test_the_residual_is_one_without_a_tangent_and_nothing_at_the_solution(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, 0.05)
    assert_allclose(objective.residual(state.theta, np.zeros_like(state.theta), data, 0.05), 1.0)
    assert objective.residual(state.theta, state.log_tangent, data, 0.05) < 1e-12
    H = objective.hessian(state.theta, data, 0.05)
    off = state.log_tangent + 0.1 * parameters(objective)
    source = 0.05 * objective.complexity_gradient(state.theta)
    expected = np.linalg.norm(H @ off + source) / np.linalg.norm(source)
    assert_allclose(objective.residual(state.theta, off, data, 0.05), expected)


def test_the_residual_of_a_theta_without_complexity_is_zero() -> None:
    objective, data = small("logistic")
    zero = np.zeros(objective.model.size)
    assert objective.residual(zero, zero, data, 0.1) == 0.0


def test_only_a_softmax_without_an_anchor_has_its_shift_of_intercepts_closed() -> None:
    for anchor in (0.0, 0.5):
        objective, data = small("softmax", anchor=anchor)
        theta = parameters(objective)
        plain = objective.model.hessian(theta, data.X, data.y, data.w)
        plain += np.diag(precision_of(objective, 0.1, float(data.w.sum())))
        added = objective.hessian(theta, data, 0.1) - plain
        shift = np.zeros((3, 5))
        shift[:, 0] = 1.0 / np.sqrt(3.0)
        expected = np.outer(shift, shift) if anchor == 0.0 else np.zeros((15, 15))
        assert_allclose(added, expected, atol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_data_are_usable_only_when_all_finite_and_of_some_weight(bad: float) -> None:
    X, y, w = np.ones((3, 2)), np.zeros(3), np.ones(3)
    assert Data(X, y, w).usable
    broken = np.array([0.0, bad, 1.0])
    assert not Data(X * broken[:, None], y, w).usable
    assert not Data(X, broken, w).usable
    assert not Data(X, y, broken).usable
    assert not Data(X, y, np.zeros(3)).usable
    assert not Data(X[:0], y[:0], w[:0]).usable


@heads
def test_where_r_sees_nothing_every_column_has_a_prior_of_its_own_and_nothing_moves_with_the_regularity(
    head: str,
) -> None:
    plain, data = small(head)
    weight, anchors = float(data.w.sum()), np.array([0.01, 3.0, 3.0, 0.5, 3.0])
    objective = Objective(plain.model, anchors, free=(0, 1, 2, 3, 4))
    theta = parameters(objective)
    numeric = central(lambda t: objective.value_gradient(t, data, 0.3)[0], theta)
    assert_allclose(objective.value_gradient(theta, data, 0.3)[1], numeric, rtol=1e-7, atol=1e-9)
    numeric = central(lambda t: objective.value_gradient(t, data, 0.3)[1], theta)
    assert_allclose(objective.hessian(theta, data, 0.3), numeric, rtol=1e-6, atol=1e-9)
    assert_allclose(objective.hvp(theta, numeric[0], data, 0.3), numeric @ numeric[0], rtol=1e-6, atol=1e-9)
    assert_allclose(objective.model.matrix(objective.prior(weight)), [anchors / weight] * plain.model.outputs_count)
    one, other = (solved(objective, data, lam) for lam in (0.1, 10.0))
    assert_allclose(one.theta, other.theta, rtol=1e-12)
    assert not one.log_tangent.any()
    found, info = conjugate.step(conjugate.init(plain.model.size), objective, data, 0.1)
    assert info.ok
    assert_allclose(found.theta, one.theta, rtol=1e-5, atol=1e-6)
    assert not found.log_tangent.any()
    assert certificate.solved(objective, one.theta, one.log_tangent, data, 0.1).trusted
    assert certificate.stepped(objective, one.theta, one.log_tangent, data, 0.1, 0.0, 0.5, 0.0).trusted


def test_a_softmax_column_without_a_prior_is_closed_though_others_have_one() -> None:
    plain, data = small("softmax")
    objective = Objective(plain.model, np.array([0.0, 3.0, 3.0, 3.0, 3.0]), free=(0, 1, 2, 3, 4))
    state, info = newton.step(newton.init(plain.model.size), objective, data, 0.1)
    assert info.ok
    tiny = Objective(plain.model, np.array([1e-7, 3.0, 3.0, 3.0, 3.0]), free=(0, 1, 2, 3, 4))
    assert_allclose(
        objective.model.outputs(state.theta, data.X) - state.theta[0],
        tiny.model.outputs(theta := solved(tiny, data, 0.1).theta, data.X) - theta[0],
        atol=1e-6,
    )
