"""Newton's optimum and its exact tangent against other optimisers, refits, and identities that need no oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge

from streamlearn.core import newton
from streamlearn.core.losses import Array, Logistic
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from tests.core.problems import HEADS, breast_cancer, diabetes, part, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)
LAMBDA = 1e-2


def refitted_tangent(objective: Objective, data: Data, regularity: float, h: float = 1e-4) -> Array:
    """dθ/dlog λ by central differences of optima."""
    up, down = (solved(objective, data, regularity * np.exp(s)).theta for s in (h, -h))
    return np.asarray((up - down) / (2.0 * h))


@heads
def test_the_optimum_is_that_of_a_general_optimiser(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, LAMBDA)
    other = minimize(
        objective.value_gradient,
        np.zeros(objective.model.size),
        (data, LAMBDA),
        "BFGS",
        jac=True,
        options={"gtol": 1e-9},
    )
    assert_allclose(state.theta, other.x, atol=1e-6)
    _, gradient = objective.value_gradient(state.theta, data, LAMBDA)
    assert np.abs(gradient).max() < 1e-14


def test_the_optimum_on_breast_cancer_is_scikit_learns_logistic_regression() -> None:
    objective, data = breast_cancer()
    theta = solved(objective, data, LAMBDA).theta
    other = LogisticRegression(C=1.0 / (LAMBDA * len(data.y)), tol=1e-10, max_iter=10_000)
    other.fit(data.X[:, 1:], data.y)
    assert_allclose(theta, np.concatenate([other.intercept_, other.coef_[0]]), atol=1e-5)


def test_the_optimum_on_diabetes_is_scikit_learns_ridge() -> None:
    objective, data = diabetes()
    theta = solved(objective, data, LAMBDA).theta
    other = Ridge(alpha=LAMBDA * len(data.y), solver="cholesky").fit(data.X[:, 1:], data.y)
    assert_allclose(theta, np.append(other.intercept_, other.coef_), atol=1e-12)


@heads
@pytest.mark.parametrize("regularity", [1e-4, 1e-2, 1.0])
def test_the_tangent_is_the_difference_of_refitted_optima(head: str, regularity: float) -> None:
    objective, data = small(head)
    state = solved(objective, data, regularity)
    assert relative(state.log_tangent, refitted_tangent(objective, data, regularity)) < 1e-6


def test_the_tangent_on_breast_cancer_and_diabetes_is_the_difference_of_refitted_optima() -> None:
    for objective, data in (breast_cancer(), diabetes()):
        state = solved(objective, data, LAMBDA)
        assert relative(state.log_tangent, refitted_tangent(objective, data, LAMBDA)) < 1e-6


@heads
def test_the_tangent_is_minus_the_inverse_hessian_times_the_complexity_gradient(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, LAMBDA)
    H = objective.hessian(state.theta, data, LAMBDA)
    per_lambda = -np.linalg.solve(H, objective.complexity_gradient(state.theta))
    assert_allclose(state.log_tangent / LAMBDA, per_lambda, rtol=1e-10, atol=1e-13)


@heads
def test_the_covariance_is_the_inverse_hessian_of_the_summed_objective(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, LAMBDA)
    summed = data.w.sum() * objective.hessian(state.theta, data, LAMBDA)
    assert_allclose(state.covariance @ summed, np.eye(objective.model.size), atol=1e-9)
    assert (state.covariance == state.covariance.T).all()
    again = newton.derivatives(state.theta, objective, data, LAMBDA)
    assert (again.covariance == state.covariance).all()
    assert (again.log_tangent == state.log_tangent).all()


@heads
def test_at_the_optimum_the_mean_loss_rises_with_regularity_by_what_complexity_falls(head: str) -> None:
    objective, data = small(head, anchor=0.0)
    state = solved(objective, data, LAMBDA)
    f, f_dot = objective.model.response(state.theta, state.log_tangent, data.X)
    rise = np.average((objective.model.loss.gradient(f, data.y) * f_dot).sum(axis=1), weights=data.w)
    fall = -LAMBDA * objective.complexity_gradient(state.theta) @ state.log_tangent
    assert_allclose(rise, fall, rtol=1e-9)
    assert rise > 0.0


def test_the_mean_of_the_influences_of_all_examples_is_minus_the_tangent() -> None:
    # θ' = (1/λ) mean H⁻¹∇ℓᵢ, of which θ̇ is λ times (59)-(63); with anchor = λW the intercept is penalised as the rest,
    # but not part of R: its share of the tangent is left out on both sides by H⁻¹ acting on C = θ/∇E alone.
    objective, data = small("logistic", anchor=0.0)
    state = solved(objective, data, LAMBDA)
    H = objective.hessian(state.theta, data, LAMBDA)
    each = objective.model.example_gradients(state.theta, data.X, data.y)
    influences = np.linalg.solve(H, each.T) @ data.w / data.w.sum()
    assert_allclose(influences, state.log_tangent, rtol=1e-9, atol=1e-12)


def test_up_weighting_an_example_changes_complexity_as_regularity_changes_its_loss() -> None:
    # The duality (68)-(75): dℓ(z)/dλ = dR/dε_z.
    objective, data = small("logistic", anchor=0.0)
    state, i, h = solved(objective, data, LAMBDA), 3, 1e-5
    each = objective.model.example_gradients(state.theta, data.X, data.y)

    def complexity(epsilon: float) -> float:
        """R at the optimum of L + ε ℓ(z): more weight w on z divides the mean's other parts, λ too, by 1 + ε."""
        w = data.w.copy()
        w[i] += epsilon * data.w.sum()
        theta = solved(objective, Data(data.X, data.y, w), LAMBDA / (1.0 + epsilon)).theta
        return objective.complexity(theta)

    assert_allclose((complexity(h) - complexity(-h)) / (2.0 * h), each[i] @ state.log_tangent / LAMBDA, rtol=1e-6)


def test_the_softmax_score_is_the_variance_of_the_tangent_under_the_predicted_class() -> None:
    objective, data = small("softmax")
    state = solved(objective, data, LAMBDA)
    f, f_dot = objective.model.response(state.theta, state.log_tangent, data.X)
    p = objective.model.loss.probabilities(f)
    variance = (p * f_dot**2).sum(axis=1) - (p * f_dot).sum(axis=1) ** 2
    assert_allclose(objective.model.loss.fisher_quadratic(f, f_dot), variance, rtol=1e-9)


def test_a_softmax_without_an_anchor_has_the_optimum_whose_intercepts_sum_to_zero() -> None:
    objective, data = small("softmax", anchor=0.0)
    state = solved(objective, data, LAMBDA)
    _, gradient = objective.value_gradient(state.theta, data, LAMBDA)
    assert np.abs(gradient).max() < 1e-14
    for vector in (state.theta, state.log_tangent):
        assert abs(objective.model.matrix(vector)[:, 0].sum()) < 1e-12
    assert relative(state.log_tangent, refitted_tangent(objective, data, LAMBDA)) < 1e-6
    anchored = solved(Objective(objective.model, 1e-7), data, LAMBDA)
    assert_allclose(anchored.theta, state.theta, atol=1e-7)
    assert_allclose(anchored.log_tangent, state.log_tangent, atol=1e-7)


def test_a_class_that_was_never_seen_has_a_finite_optimum_thanks_to_the_anchor() -> None:
    objective, data = small("softmax", anchor=0.01)
    seen = part(data, np.flatnonzero(data.y != 1.0))
    state = solved(objective, seen, LAMBDA)
    assert relative(state.log_tangent, refitted_tangent(objective, seen, LAMBDA)) < 1e-6


@pytest.mark.parametrize("regularity", [1e-2, 1e-5, 1e-8])
def test_separable_data_have_an_optimum_at_every_regularity(regularity: float) -> None:
    x = np.concatenate([np.linspace(-3.0, -1.0, 20), np.linspace(1.0, 3.0, 20)])
    data = Data(np.column_stack([np.ones(40), x]), (x > 0).astype(float), np.ones(40))
    objective = Objective(Linear(Logistic(), 1, 2), 0.01)
    state = solved(objective, data, regularity)
    _, gradient = objective.value_gradient(state.theta, data, regularity)
    assert np.abs(gradient).max() < 1e-12
    assert relative(state.log_tangent, refitted_tangent(objective, data, regularity)) < 1e-5


@heads
@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_columns_in_huge_or_tiny_units_give_the_same_function(head: str, scale: float) -> None:
    objective, data = small(head)
    units = np.concatenate([[1.0], np.full(4, scale)])
    # λ scales with the square of the units: then the optimum is the same function.
    state = solved(objective, data, LAMBDA)
    other = solved(objective, Data(data.X * units, data.y, data.w), LAMBDA * scale**2)
    assert_allclose(objective.model.matrix(other.theta) * units, objective.model.matrix(state.theta), atol=1e-7)
    assert_allclose(
        objective.model.matrix(other.log_tangent) * units, objective.model.matrix(state.log_tangent), atol=1e-7
    )


@heads
def test_a_far_start_reaches_the_same_optimum(head: str) -> None:
    objective, data = small(head)
    far = newton.init(objective.model.size)
    distance = 2.0 if head == "poisson" else 50.0  # where e^f is 1e9 already; Newton takes f down by one a step there
    far = newton.State(far.theta + distance, far.log_tangent, far.covariance)
    state, info = newton.step(far, objective, data, LAMBDA)
    assert info.ok
    assert_allclose(state.theta, solved(objective, data, LAMBDA).theta, atol=1e-9)


@heads
def test_a_warm_start_takes_few_steps(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, LAMBDA)
    again, info = newton.step(state, objective, data, LAMBDA)
    assert info.ok
    assert info.steps <= 2
    assert_allclose(again.theta, state.theta, atol=1e-13)
    _, nearby = newton.step(state, objective, data, 1.05 * LAMBDA)
    assert nearby.steps <= 4


@heads
def test_the_reported_loss_is_the_mean_training_loss(head: str) -> None:
    objective, data = small(head)
    state, info = newton.step(newton.init(objective.model.size), objective, data, LAMBDA)
    assert_allclose(info.loss, objective.model.gradient(state.theta, data.X, data.y, data.w)[0], rtol=1e-14)


@heads
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["X", "y", "w", "theta", "regularity"])
def test_what_is_not_finite_is_reported_and_the_state_is_left_alone(head: str, bad: float, where: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, LAMBDA)
    X, y, w, theta, regularity = data.X.copy(), data.y.copy(), data.w.copy(), state.theta.copy(), LAMBDA
    match where:
        case "X":
            X[5, 2] = bad
        case "y":
            y[5] = bad
        case "w":
            w[5] = bad
        case "theta":
            theta[1] = bad
        case _:
            regularity = bad
    before = newton.State(theta, state.log_tangent, state.covariance)
    after, info = newton.step(before, objective, Data(X, y, w), regularity)
    assert not info.ok
    assert after is before


@heads
def test_a_value_too_large_to_square_never_leaves_a_state_that_is_not_finite(head: str) -> None:
    objective, data = small(head)
    X = data.X.copy()
    X[5, 2] = 1e200
    before = newton.init(objective.model.size)
    after, info = newton.step(before, objective, Data(X, data.y, data.w), LAMBDA)
    assert (after is before) == (not info.ok)
    assert np.isfinite(after.theta).all()
    assert np.isfinite(after.covariance).all()


def test_a_singular_hessian_is_reported_and_the_state_is_left_alone() -> None:
    objective, data = small("squared", anchor=0.0)
    column = data.X[:, :1]
    double = Data(np.repeat(column, 5, axis=1), data.y, data.w)
    before = newton.init(5)
    after, info = newton.step(before, objective, double, 0.0)
    assert not info.ok
    assert after is before


@heads
def test_a_step_leaves_its_input_unchanged(head: str) -> None:
    objective, data = small(head)
    state = newton.init(objective.model.size)
    arrays = (state.theta, state.log_tangent, state.covariance, data.X, data.y, data.w)
    copies = [array.copy() for array in arrays]
    newton.step(state, objective, data, LAMBDA)
    for array, copy in zip(arrays, copies, strict=True):
        assert (array == copy).all()
