"""Conjugate gradients against the direct solution, scipy's solver, refits, and Newton's optimum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse.linalg import cg
from sklearn.datasets import load_digits

from streamlearn.core import conjugate
from streamlearn.core.losses import Array, Softmax
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import INCREASES, L2, Custom, Increasing
from tests.core.problems import HEADS, breast_cancer, parameters, part, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)


def digits(rows: int) -> tuple[Objective, Data]:
    """Ten classes, 650 parameters."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:rows]
    X, scale = X[order], X[order].std(axis=0)
    design = np.column_stack([np.ones(rows), (X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)])
    return Objective(Linear(Softmax(), 10, 65), 0.01), Data(design, y[order].astype(float), np.ones(rows))


def optimum(objective: Objective, data: Data, regularity: float, start: Array | None = None) -> conjugate.State:
    at = conjugate.init(objective.model.size)
    at = at if start is None else conjugate.State(start, at.log_tangent)
    state, info = conjugate.step(at, objective, data, regularity, 1e-11)
    assert info.ok
    return state


def matrix(curvatures: Array, seed: int = 0) -> Array:
    """A symmetric matrix with these eigenvalues."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(curvatures), len(curvatures))))
    return (q * curvatures) @ q.T


def test_solving_is_numpys_direct_solution_and_takes_no_more_products_than_scipy() -> None:
    H, b = matrix(np.geomspace(1e-3, 1.0, 40)), np.random.default_rng(1).normal(size=40)
    x, info = conjugate.solve(lambda v: H @ v, b, tolerance=1e-12)
    assert relative(x, np.linalg.solve(H, b)) < 1e-9
    assert not info.negative
    iterations: list[Array] = []
    cg(H, b, rtol=1e-12, callback=iterations.append)
    assert info.products <= len(iterations) + 1
    assert np.linalg.norm(H @ x - b) / np.linalg.norm(b) == pytest.approx(info.residual, abs=1e-13)


def test_a_start_near_the_solution_saves_products_and_a_bad_one_does_no_harm() -> None:
    H, b = matrix(np.geomspace(1e-2, 1.0, 30)), np.random.default_rng(1).normal(size=30)
    x = np.linalg.solve(H, b)
    _, cold = conjugate.solve(lambda v: H @ v, b, tolerance=1e-8)
    near, warm = conjugate.solve(lambda v: H @ v, b, x + 1e-6 * b, 1e-8)
    far, worse = conjugate.solve(lambda v: H @ v, b, 1e3 * b, 1e-8)
    assert warm.products < cold.products
    assert cold.products + 1 == worse.products
    assert relative(near, x) < 1e-6
    assert relative(far, x) < 1e-6


def test_nothing_is_needed_for_zero() -> None:
    x, info = conjugate.solve(lambda v: v, np.zeros(4))
    assert (0, 0.0) == (info.products, info.residual)
    assert (x == 0.0).all()


def test_negative_curvature_is_reported_and_what_was_found_leads_downhill() -> None:
    H, b = matrix(np.array([-1.0, 1.0, 2.0, 3.0])), np.ones(4)
    x, info = conjugate.solve(lambda v: H @ v, b)
    assert info.negative
    assert x @ b >= 0.0
    assert 0.5 * x @ H @ x <= b @ x


@heads
@pytest.mark.parametrize("regularity", [1e-4, 1e-2, 1.0])
def test_optimum_and_tangent_are_those_of_the_formed_hessian(head: str, regularity: float) -> None:
    objective, data = small(head)
    state = optimum(objective, data, regularity)
    H = objective.hessian(state.theta, data, regularity)
    _, gradient = objective.value_gradient(state.theta, data, regularity)
    assert np.abs(np.linalg.solve(H, gradient)).max() < 1e-9
    direct = -np.linalg.solve(H, regularity * objective.complexity_gradient(state.theta))
    assert relative(state.log_tangent, direct) < 1e-8


@heads
def test_the_tangent_is_the_finite_difference_of_refits(head: str) -> None:
    objective, data = small(head)
    h, theta = 1e-4, optimum(objective, data, 0.05).theta
    up, down = (optimum(objective, data, 0.05 * np.exp(s), theta).theta for s in (h, -h))
    assert relative(optimum(objective, data, 0.05).log_tangent, (up - down) / (2.0 * h)) < 1e-6


@pytest.mark.parametrize("regularity", [2e-4, 1e-2])
def test_on_digits_with_650_parameters_the_residual_is_down_at_1e_6_and_theta_is_newtons(regularity: float) -> None:
    objective, data = digits(300)
    state, info = conjugate.step(conjugate.init(650), objective, data, regularity)
    assert info.ok
    assert info.residual <= 1e-6
    assert objective.residual(state.theta, state.log_tangent, data, regularity) < 2e-6
    direct = solved(objective, data, regularity)
    assert np.abs(state.theta - direct.theta).max() < 1e-5
    assert relative(state.log_tangent, direct.log_tangent) < 1e-4


def test_a_warm_start_costs_less_than_a_cold_one_and_ends_at_the_same() -> None:
    objective, data = breast_cancer()
    fewer = part(data, np.arange(len(data.y) - 10))
    before, _ = conjugate.step(conjugate.init(31), objective, fewer, 1e-2)
    warm, after = conjugate.step(before, objective, data, 1e-2)
    cold, afresh = conjugate.step(conjugate.init(31), objective, data, 1e-2)
    assert after.products < 0.8 * afresh.products
    assert relative(warm.theta, cold.theta) < 1e-5
    assert relative(warm.log_tangent, cold.log_tangent) < 1e-4


def test_columns_in_very_different_units_are_solved_too() -> None:
    objective, data = small("logistic")
    units = np.array([1.0, 1e-2, 1.0, 1e2, 10.0])
    other = Data(data.X * units, data.y, data.w)
    state = optimum(objective, other, 1e-3)
    direct = solved(objective, other, 1e-3)
    assert relative(state.theta * units, direct.theta * units) < 1e-6
    assert relative(state.log_tangent * units, direct.log_tangent * units) < 1e-5


def cubic(theta: Array) -> tuple[float, Array]:
    return float((np.abs(theta) ** 3).sum() + 0.5 * theta @ theta), 3.0 * np.abs(theta) * theta + theta


REGULARIZERS = {
    "origin": L2(np.linspace(-1.0, 1.0, 4)),
    "custom": Custom(cubic),
    "log": Increasing(L2(), INCREASES["log"]),
}


@heads
@pytest.mark.parametrize("name", ["l2", *REGULARIZERS])
def test_the_products_it_takes_are_those_of_the_formed_hessian(head: str, name: str) -> None:
    objective, data = small(head)
    regularizer = (
        L2(parameters(objective, 3)[objective.penalised > 0.0]) if name == "origin" else REGULARIZERS.get(name)
    )
    other = Objective(objective.model, 0.01, regularizer or L2())
    theta, v = parameters(objective), parameters(objective, 2)
    product = other.linearised(theta, data, 0.1)
    assert relative(product(v), other.hessian(theta, data, 0.1) @ v) < (1e-7 if name == "custom" else 1e-13)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_other_smooth_regularizers_end_where_newton_does(name: str) -> None:
    objective, data = small("logistic")
    other = Objective(objective.model, 0.01, REGULARIZERS[name])
    state, info = conjugate.step(conjugate.init(5), other, data, 0.1)
    direct = solved(other, data, 0.1)
    assert info.ok
    assert_allclose(state.theta, direct.theta, atol=1e-5)
    assert relative(state.log_tangent, direct.log_tangent) < 1e-4


@heads
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_not_finite_are_reported_and_the_state_is_left_alone(head: str, bad: float) -> None:
    objective, data = small(head)
    X = data.X.copy()
    X[3, 2] = bad
    before = conjugate.State(parameters(objective), parameters(objective, 2))
    after, info = conjugate.step(before, objective, Data(X, data.y, data.w), 0.1)
    assert not info.ok
    assert after is before


def test_a_step_leaves_its_input_unchanged() -> None:
    objective, data = small("softmax")
    state = conjugate.State(parameters(objective), parameters(objective, 2))
    arrays = (state.theta, state.log_tangent, data.X, data.y, data.w)
    copies = [array.copy() for array in arrays]
    conjugate.step(state, objective, data, 0.1)
    for array, copy in zip(arrays, copies, strict=True):
        assert (array == copy).all()


def test_no_more_products_are_taken_than_may_be_and_what_there_is_by_then_is_no_worse() -> None:
    objective, data = digits(300)
    state = conjugate.init(650)
    start = objective.value_gradient(state.theta, data, 1e-2)[0]
    for most in (40, 80, 160):
        new, info = conjugate.step(state, objective, data, 1e-2, 1e-6, 1e-2, most)
        assert info.ok
        assert 0.3 * most < info.products <= most
        assert objective.value_gradient(new.theta, data, 1e-2)[0] < start
        assert info.residual < 1.0
    whole, info = conjugate.step(state, objective, data, 1e-2, 1e-6, 0.5)
    assert 1e-2 < info.residual <= 0.5
    assert relative(whole.theta, solved(objective, data, 1e-2).theta) < 1e-4
