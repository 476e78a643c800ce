"""Regularizers: derivatives against differences, what they see, and that only the order they put on θ matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.objective import Objective
from streamlearn.core.regularity import compensated
from streamlearn.core.regularizers import INCREASES, L1, L2, Custom, Increasing, Regularizer
from tests.core.problems import central, parameters, relative, small, solved

ORIGIN = np.array([0.3, -0.2, 0.0, 1.5])
THETA = np.array([0.9, -1.1, 0.4, -0.6])


def bumpy(theta: Array) -> tuple[float, Array]:
    """Σ cosh θ: convex, and no square."""
    return float(np.cosh(theta).sum()), np.sinh(theta)


SMOOTH: dict[str, Regularizer] = {
    "L2": L2(),
    "deviation": L2(ORIGIN),
    "custom": Custom(bumpy),
    "log": Increasing(L2(ORIGIN), INCREASES["log"]),
    "square": Increasing(L2(), INCREASES["square"]),
    "square of custom": Increasing(Custom(bumpy), INCREASES["square"]),
}
smooth = pytest.mark.parametrize("name", SMOOTH)


@smooth
def test_the_derivatives_are_differences_of_each_other(name: str) -> None:
    R, v = SMOOTH[name], np.array([0.2, -1.0, 0.7, 0.1])
    assert_allclose(R.gradient(THETA), central(R.value, THETA), rtol=1e-7, atol=1e-8)
    numeric = central(R.gradient, THETA)
    assert_allclose(R.hessian(THETA), numeric, rtol=1e-5, atol=1e-7)
    assert_allclose(R.hvp(THETA, v), numeric @ v, rtol=1e-5, atol=1e-7)


def test_the_deviation_by_l1_is_the_sum_of_distances_and_has_a_kink_at_the_origin() -> None:
    R = L1(ORIGIN)
    assert_allclose(R.value(THETA), np.abs(THETA - ORIGIN).sum())
    assert_allclose(R.gradient(THETA), central(R.value, THETA), rtol=1e-8)
    assert (R.gradient(ORIGIN) == 0.0).all()
    assert (R.hvp(THETA, THETA) == 0.0).all()
    assert (R.hessian(THETA) == 0.0).all()


@pytest.mark.parametrize("origin", [None, ORIGIN])
def test_a_proximal_step_of_l1_minimises_what_it_says(origin: Array | None) -> None:
    R, size = L1(origin), 0.5
    shrunk = R.shrink(THETA, size)

    def cost(theta: Array) -> float:
        return float(0.5 * ((theta - THETA) ** 2).sum() + size * R.value(theta))

    rng = np.random.default_rng(0)
    assert all(cost(shrunk) <= cost(shrunk + 10.0**-e * rng.normal(size=4)) for e in range(6) for _ in range(50))
    assert (R.gradient(R.shrink(THETA, np.inf)) == 0.0).all()


@smooth
def test_the_tangent_is_the_difference_of_refitted_optima(name: str) -> None:
    objective, data = small("logistic")
    objective = replace(objective, regularizer=SMOOTH[name])
    state, h = solved(objective, data, 0.05), 1e-4
    up, down = (solved(objective, data, 0.05 * np.exp(s)).theta for s in (h, -h))
    assert relative(state.log_tangent, (up - down) / (2.0 * h)) < 1e-6
    assert objective.residual(state.theta, state.log_tangent, data, 0.05) < 1e-6


@pytest.mark.parametrize("increase", INCREASES)
@pytest.mark.parametrize("head", ["squared", "softmax"])
def test_the_optimum_at_lambda_is_that_of_g_of_r_at_lambda_over_its_slope(head: str, increase: str) -> None:
    objective, data = small(head)
    theta = solved(objective, data, 0.05).theta
    g = INCREASES[increase]
    other = replace(objective, regularizer=Increasing(L2(), g))
    lam = 0.05 / g.slope(objective.complexity(theta))  # (25)
    assert_allclose(solved(other, data, lam).theta, theta, rtol=1e-7, atol=1e-8)


def test_a_deviation_is_the_same_problem_shifted() -> None:
    # Squared loss: with θ = θ₀ + δ the targets are what θ₀ leaves.
    objective, data = small("squared", anchor=0.0)
    theta = solved(replace(objective, regularizer=L2(ORIGIN)), data, 0.3).theta
    left = replace(data, y=data.y - data.X[:, 1:] @ ORIGIN)
    delta = solved(objective, left, 0.3).theta
    assert_allclose(theta, delta + np.concatenate([[0.0], ORIGIN]), rtol=1e-10)


def test_without_data_to_speak_of_a_deviation_stays_at_its_origin() -> None:
    objective, data = small("logistic")
    theta = solved(replace(objective, regularizer=L2(ORIGIN)), data, 1e6).theta
    assert_allclose(theta[1:], ORIGIN, atol=1e-6)


def test_free_columns_are_left_out_of_complexity_whatever_lambda_is() -> None:
    objective, data = small("softmax", anchor=0.0)
    objective = replace(objective, free=(0, 2))
    mask = objective.model.matrix(objective.penalised)
    assert (mask[:, [0, 2]] == 0.0).all()
    assert (mask[:, [1, 3, 4]] == 1.0).all()
    theta = parameters(objective)
    seen = objective.model.matrix(theta)[:, [1, 3, 4]]
    assert_allclose(objective.complexity(theta), 0.5 * (seen**2).sum())
    state = solved(objective, data, 1e7)
    W = objective.model.matrix(state.theta)
    assert np.abs(W[:, [1, 3, 4]]).max() < 1e-5
    assert np.abs(W[:, 2]).max() > 0.1  # as if it were the only column
    h = 1e-4
    up, down = (solved(objective, data, 0.1 * np.exp(s)).theta for s in (h, -h))
    assert relative(solved(objective, data, 0.1).log_tangent, (up - down) / (2.0 * h)) < 1e-6


def test_with_no_free_column_the_intercept_is_penalised_too() -> None:
    objective, data = small("squared", anchor=0.0)
    whole = replace(objective, free=())
    X, lam = data.X, 0.2
    share = data.w / data.w.sum()
    expected = np.linalg.solve((X.T * share) @ X + lam * np.eye(5), (X.T * share) @ data.y)
    assert_allclose(solved(whole, data, lam).theta, expected, rtol=1e-10)
    assert_allclose(whole.complexity(expected), 0.5 * expected @ expected)


def test_a_users_function_is_not_asked_about_no_parameters_at_all() -> None:
    objective, data = small("logistic")
    free = replace(objective, free=(0, 1, 2, 3, 4))
    own, none = (solved(replace(free, regularizer=R), data, 0.1) for R in (Custom(broken), L2()))
    assert_allclose(own.theta, none.theta, rtol=1e-10)
    assert (own.log_tangent == 0.0).all()


def broken(theta: Array) -> tuple[float, Array]:
    raise OSError("a user's code may do anything")


def short(theta: Array) -> tuple[float, Array]:
    return 0.0, theta[:-1]


@pytest.mark.parametrize("function", [broken, short])
def test_a_users_function_that_fails_is_a_failure_in_info_and_not_an_exception(function: object) -> None:
    objective, data = small("logistic")
    bad = Objective(objective.model, objective.anchor, Custom(function))  # type: ignore[arg-type]  # that is the test
    before = newton.init(5)
    state, info = newton.step(before, bad, data, 0.1)
    assert not info.ok
    assert state is before


def test_the_compensated_term_is_the_derivative_of_the_priors_normalizer() -> None:
    def outer(rho: float) -> float:
        """A test loss of 0.7 + ρ² over 12 tests, and −(7/2) log λ (18)."""
        return (12.0 * (0.7 + rho**2) - 0.5 * 7 * rho) / 12.0

    numeric = (outer(0.3 + 1e-6) - outer(0.3 - 1e-6)) / 2e-6
    assert_allclose(compensated.step(0.6, 7, 12.0), numeric, rtol=1e-8)
