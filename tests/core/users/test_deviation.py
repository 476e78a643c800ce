"""A user's deviation and its tangent: against refits that refit the shared model too, and against other solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import Lasso

from streamlearn.core.losses import Array, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l1, deviation_l2, personal
from streamlearn.core.users.deviation import Deviation, Shared, Solve
from tests.core.problems import HEADS, LOSSES, part, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)
solvers = pytest.mark.parametrize("solve", [deviation_l2.solve, deviation_l1.solve], ids=["l2", "l1"])
MINE = slice(0, 9)  # of 60 examples: more than columns
FEW = slice(0, 3)


def both(head: str, mine: slice, regularity: float, solve: Solve) -> tuple[Array, Array]:
    """θ_u and its tangent: the shared model on all examples, the deviation on the user's."""
    objective, data = small(head)
    found = solved(objective, data, regularity)
    shared = Shared(objective.model, found.theta, found.log_tangent, regularity * float(data.w.sum()))  # type: ignore[arg-type]
    own = solve(shared, part(data, np.arange(60)[mine]))
    assert own is not None
    return own.added(found.theta, found.log_tangent)


def dense(own: Deviation, size: int) -> tuple[Array, Array]:
    return own.added(np.zeros(size), np.zeros(size))


@heads
@solvers
@pytest.mark.parametrize("mine", [MINE, FEW], ids=["nine examples", "three"])
@pytest.mark.parametrize("regularity", [0.003, 0.02])
def test_the_tangent_is_the_derivative_of_refits(head: str, solve: Solve, mine: slice, regularity: float) -> None:
    h = 1e-5
    ahead, behind = (both(head, mine, regularity * np.exp(step), solve)[0] for step in (h, -h))
    assert relative(both(head, mine, regularity, solve)[1], (ahead - behind) / (2.0 * h)) < 1e-6


def many_columns(head: str, seed: int = 0, columns: int = 40, n: int = 12) -> tuple[Shared, Data]:
    """A user of fewer examples than columns, and some shared model."""
    rng = np.random.default_rng(seed)
    k = 3 if head == "softmax" else 1
    model = Linear(LOSSES[head], k, columns)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, columns - 1))])
    f = X[:, 1:4].sum(axis=1) + 1.0
    y = {"squared": f, "logistic": f > 0, "softmax": np.digitize(f, [0, 2]), "poisson": rng.poisson(np.exp(f / 2))}
    shared = Shared(model, rng.normal(size=model.size) / 10, rng.normal(size=model.size) / 10, 1.5)
    return shared, Data(X, np.asarray(y[head], dtype=float), rng.uniform(0.5, 2.0, n))


def value(shared: Shared, data: Data, delta: Array, square: bool) -> float:
    f = shared.model.outputs(shared.theta + delta, data.X)
    measure = 0.5 * delta @ delta if square else np.abs(delta).sum()
    return float(data.w @ shared.model.loss.value(f, data.y) + shared.precision * measure)


@heads
def test_l2_is_the_optimum_of_a_generic_solver(head: str) -> None:
    shared, data = many_columns(head)
    own = deviation_l2.solve(shared, data)
    assert own is not None
    found = minimize(lambda d: value(shared, data, d, True), np.zeros(shared.model.size), method="BFGS", tol=1e-9)
    assert_allclose(own.delta, found.x, atol=2e-5)
    assert value(shared, data, own.delta, True) <= found.fun + 1e-12


@heads
def test_l1_is_the_optimum_of_a_generic_solver(head: str) -> None:
    """δ = p − q with p, q ≥ 0 is a smooth problem with bounds."""
    shared, data = many_columns(head)
    own = deviation_l1.solve(shared, data)
    assert own is not None
    size = shared.model.size
    delta = dense(own, size)[0]

    def split(pq: Array) -> tuple[float, Array]:
        theta = shared.theta + pq[:size] - pq[size:]
        loss, gradient = shared.model.gradient(theta, data.X, data.y, data.w)
        total = float(data.w.sum())
        return total * loss + shared.precision * pq.sum(), np.concatenate(
            [gradient, -gradient]
        ) * total + shared.precision

    told = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 20_000, "maxfun": 100_000}
    bounds = [(0.0, None)] * (2 * size)
    found = minimize(split, np.zeros(2 * size), jac=True, method="L-BFGS-B", bounds=bounds, options=told)
    assert value(shared, data, delta, False) <= found.fun + 1e-9 * abs(found.fun)
    assert_allclose(delta, found.x[:size] - found.x[size:], atol=2e-4)
    assert 0 < len(own.delta) < size / 2
    assert own.at is not None


def test_l1_is_scikit_learns_lasso() -> None:
    shared, data = many_columns("squared")
    data = replace(data, w=np.ones(len(data.y)))
    own = deviation_l1.solve(shared, data)
    assert own is not None
    rest = data.y - shared.model.outputs(shared.theta, data.X)[:, 0]
    alpha = shared.precision / len(data.y)
    other = Lasso(alpha=alpha, fit_intercept=False, tol=1e-13, max_iter=1_000_000).fit(data.X, rest).coef_
    delta = dense(own, shared.model.size)[0]
    assert_allclose(delta, other, atol=1e-7)
    assert ((delta == 0.0) == (other == 0.0)).all()


@heads
def test_the_derivative_of_l1_is_that_of_the_active_set(head: str) -> None:
    shared, data = many_columns(head)
    h = 1e-6

    def at(step: float) -> Array:
        moved = replace(
            shared, theta=shared.theta + step * shared.log_tangent, precision=shared.precision * np.exp(step)
        )
        own = deviation_l1.solve(moved, data)
        assert own is not None
        return dense(own, shared.model.size)[0]

    own = deviation_l1.solve(shared, data)
    assert own is not None
    assert own.at is not None
    tangent = dense(own, shared.model.size)[1]
    assert relative(tangent, (at(h) - at(-h)) / (2.0 * h)) < 1e-5
    assert set(np.flatnonzero(tangent)) <= set(own.at)


@heads
def test_columns_that_say_the_same_are_no_harm_to_l1(head: str) -> None:
    """A category that a user's examples have in common is the intercept again, a column twice is twice the same."""
    shared, data = many_columns(head)
    X = data.X.copy()
    X[:, 5], X[:, 6], X[:, 7] = 1.0, X[:, 1], -X[:, 2]
    own = deviation_l1.solve(shared, Data(X, data.y, data.w))
    assert own is not None
    assert np.isfinite(own.log_tangent).all()
    f = shared.model.outputs(shared.theta + dense(own, shared.model.size)[0], X)
    pull = np.abs((data.w[:, None] * shared.model.loss.gradient(f, data.y)).T @ X)
    assert pull.max() <= shared.precision * (1.0 + 1e-6)
    assert np.abs(own.log_tangent).max() < 100.0


def test_with_a_large_precision_l1_deviates_nowhere_and_l2_hardly() -> None:
    shared, data = many_columns("logistic")
    firm = replace(shared, precision=1e6)
    sparse, dense_ = deviation_l1.solve(firm, data), deviation_l2.solve(firm, data)
    assert sparse is not None
    assert dense_ is not None
    assert len(sparse.delta) == len(sparse.log_tangent) == 0
    assert np.abs(dense_.delta).max() < 1e-4


@solvers
def test_what_is_not_finite_is_told(solve: Solve) -> None:
    shared, data = many_columns("squared")
    assert solve(shared, replace(data, y=np.full_like(data.y, np.nan))) is None


@pytest.mark.parametrize("n", [3, 200])
def test_few_examples_and_many_are_the_same_problem(n: int) -> None:
    """Below as many examples as columns in a basis of theirs, above as it stands: against one dense solve."""
    rng = np.random.default_rng(n)
    X, theta = rng.normal(size=(n, 20)), rng.normal(size=20)
    data = Data(X, rng.normal(size=n), rng.uniform(0.5, 2.0, n))
    shared = Shared(Linear(Squared(), 1, 20), theta, rng.normal(size=20), 2.0)
    own = deviation_l2.solve(shared, data)
    assert own is not None
    G = (X * data.w[:, None]).T @ X
    H = G + 2.0 * np.eye(20)
    delta = np.linalg.solve(H, (X * data.w[:, None]).T @ (data.y - X @ theta))
    assert_allclose(own.delta, delta, atol=1e-12)
    assert_allclose(own.log_tangent, -np.linalg.solve(H, 2.0 * delta + G @ shared.log_tangent), atol=1e-12)


@solvers
def test_what_is_given_is_left_as_it_was(solve: Solve) -> None:
    shared, data = many_columns("softmax")
    theta, X = shared.theta.copy(), data.X.copy()
    solve(shared, data)
    assert (shared.theta == theta).all()
    assert (data.X == X).all()


@heads
def test_rows_that_bring_their_users_deviation_meet_their_users_model(head: str) -> None:
    shared, data = many_columns(head)
    own = deviation_l2.solve(shared, data)
    assert own is not None
    X, model = data.X, shared.model
    carried = personal.rows(X, model.outputs(own.delta, X), model.outputs(own.log_tangent, X))
    theta, tangent = shared.theta + own.delta, shared.log_tangent + own.log_tangent
    found, theta0 = personal.Personal(model), shared.theta
    for mine, its in zip(
        found.response(theta0, shared.log_tangent, carried), model.response(theta, tangent, X), strict=True
    ):
        assert_allclose(mine, its, atol=1e-12)
    assert_allclose(found.outputs(theta0, carried), model.outputs(theta, X), atol=1e-12)
    for mine, its in (
        (found.example_gradients(theta0, carried, data.y), model.example_gradients(theta, X, data.y)),
        (found.gradient(theta0, carried, data.y, data.w)[1], model.gradient(theta, X, data.y, data.w)[1]),
        (found.hessian(theta0, carried, data.y, data.w), model.hessian(theta, X, data.y, data.w)),
        (found.gradient_lengths(theta0, carried), model.gradient_lengths(theta, X)),
    ):
        assert_allclose(mine, its, atol=1e-10)


def test_rows_without_a_user_meet_the_shared_model() -> None:
    shared, data = many_columns("softmax")
    found = personal.Personal(shared.model).outputs(shared.theta, data.X)
    assert (found == shared.model.outputs(shared.theta, data.X)).all()
