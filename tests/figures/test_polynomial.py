"""The polynomial and its λ against the normal equations, closed forms and an optimizer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from streamlearn.figures import polynomial
from tests.figures import truth

REGULARITIES = (1e-5, 7e-4, 0.1, 3.0)


def test_the_gap_is_the_widest_distance_between_neighbours() -> None:
    distances = np.diff(truth.X_POINTS)
    assert distances.max() > 1.0
    assert np.sort(distances)[-2] < 0.4


@pytest.mark.parametrize("regularity", REGULARITIES)
def test_theta_solves_the_regularized_normal_equations(regularity: float) -> None:
    state = polynomial.fit(polynomial.training_set(), regularity)
    np.testing.assert_allclose(state.theta, truth.theta(regularity), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("regularity", REGULARITIES)
def test_the_tangent_is_the_derivative_of_the_normal_equations(regularity: float) -> None:
    state = polynomial.fit(polynomial.training_set(), regularity)
    inverse = np.linalg.inv(truth.matrix(regularity))  # dA⁻¹ = −A⁻¹ dA A⁻¹ (88)–(93)
    expected = -inverse @ inverse @ truth.powers(truth.X_POINTS).T @ truth.Y_POINTS / truth.N
    np.testing.assert_allclose(state.log_tangent / regularity, expected, rtol=1e-6)


@pytest.mark.parametrize("regularity", REGULARITIES)
def test_a_point_that_is_left_out_is_predicted_by_least_squares_on_the_others(regularity: float) -> None:
    actual = polynomial.left_out(polynomial.training_set(), regularity)
    np.testing.assert_allclose(actual, truth.left_out(regularity), rtol=1e-6)


def test_the_best_regularity_is_where_an_optimizer_finds_it() -> None:
    found = minimize_scalar(
        lambda rho: truth.left_out(np.exp(rho)).mean(), bounds=np.log([1e-4, 1e-2]), method="bounded"
    )
    assert np.exp(found.x) == pytest.approx(polynomial.best_regularity(polynomial.training_set()), rel=1e-3)
