"""Recursive least squares against scikit-learn's ridge, numpy's least squares, Newton, and refits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from streamlearn.core import least_squares
from streamlearn.core.losses import Logistic, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L1, L2
from tests.core.problems import diabetes, part, relative, small, solved

ORIGIN = L2(np.linspace(-1.0, 1.0, 4))


def gram(data: Data, *cuts: int) -> least_squares.State:
    """The state after the data came in batches that end at these rows."""
    state, start = least_squares.init(data.X.shape[1]), 0
    for stop in (*cuts, len(data.y)):
        state, info = least_squares.step(state, part(data, np.arange(start, stop)))
        assert info.ok
        start = stop
    return state


def test_theta_is_scikit_learns_ridge_at_every_regularity_without_another_look_at_the_data() -> None:
    objective, data = diabetes()
    state = gram(data)
    for regularity in (1e-3, 1e-1, 10.0):
        found, info = least_squares.solve(state, objective, regularity)
        other = Ridge(alpha=regularity * len(data.y), solver="cholesky").fit(data.X[:, 1:], data.y)
        assert_allclose(found.theta[1:], other.coef_, rtol=1e-9, atol=1e-12)
        assert info.loss == pytest.approx(0.5 * np.mean((other.predict(data.X[:, 1:]) - data.y) ** 2))


def test_the_tangent_is_the_finite_difference_of_refits_and_the_covariance_the_inverse_of_the_summed_hessian() -> None:
    objective, data = small("squared")
    state, h = gram(data), 1e-4
    up, down = (least_squares.solve(state, objective, 0.1 * np.exp(s))[0].theta for s in (h, -h))
    found, _ = least_squares.solve(state, objective, 0.1)
    assert relative(found.log_tangent, (up - down) / (2.0 * h)) < 1e-7
    summed = (data.X.T * data.w) @ data.X + data.w.sum() * 0.1 * np.diag(objective.penalised)
    summed[0, 0] += objective.anchor
    assert_allclose(found.covariance, np.linalg.inv(summed), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("regularizer", [L2(), ORIGIN], ids=["from zero", "from an origin"])
@pytest.mark.parametrize("free", [(0,), (0, 3), ()], ids=str)
def test_it_is_newtons_result_to_rounding(regularizer: L2, free: tuple[int, ...]) -> None:
    whole, data = small("squared")
    if regularizer.origin is not None:
        regularizer = L2(np.resize(regularizer.origin, 5 - len(free)))
    objective = Objective(whole.model, 0.01, regularizer, free)
    for regularity in (1e-4, 0.3):
        direct = solved(objective, data, regularity)
        for found, _ in (
            least_squares.fit(objective, data, regularity),
            least_squares.solve(gram(data), objective, regularity),
        ):
            assert_allclose(found.theta, direct.theta, rtol=1e-12, atol=1e-14)
            assert_allclose(found.log_tangent, direct.log_tangent, rtol=1e-10, atol=1e-14)
            assert_allclose(found.covariance, direct.covariance, rtol=1e-10, atol=1e-16)


def test_batches_and_taking_examples_out_again_change_nothing_but_rounding() -> None:
    objective, data = small("squared")
    whole, cut = gram(data), gram(data, 7, 20, 21)
    assert_allclose(whole.gram, cut.gram, rtol=1e-13)
    gone = part(data, np.arange(40, 60))
    less, _ = least_squares.step(whole, Data(gone.X, gone.y, -gone.w))
    found, _ = least_squares.solve(less, objective, 0.1)
    assert_allclose(found.theta, solved(objective, part(data, np.arange(40)), 0.1).theta, rtol=1e-11)


def test_columns_far_from_zero_keep_newtons_digits_when_the_data_are_at_hand() -> None:
    objective, data = small("squared")
    far = Data(data.X + np.array([0.0, 1e4, 0.0, -1e4, 0.0]), data.y, data.w)
    direct = solved(objective, far, 1e-2)
    by_gram, _ = least_squares.solve(gram(far), objective, 1e-2)
    refined, _ = least_squares.fit(objective, far, 1e-2)
    assert relative(refined.theta, direct.theta) < 1e-10
    assert relative(by_gram.theta, direct.theta) > 1e-10  # what the Gram matrix alone has lost


def test_it_solves_the_squared_loss_with_l2_and_nothing_else() -> None:
    squared, logistic = Linear(Squared(), 1, 5), Linear(Logistic(), 1, 5)
    assert least_squares.solves(Objective(squared, 0.01, ORIGIN))
    assert not least_squares.solves(Objective(squared, 0.01, L1()))
    assert not least_squares.solves(Objective(logistic, 0.01))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_what_is_not_finite_is_reported_and_not_taken(bad: float) -> None:
    objective, data = small("squared")
    X = data.X.copy()
    X[3, 2] = bad
    before = gram(data)
    after, info = least_squares.step(before, Data(X, data.y, data.w))
    assert not info.ok
    assert after is before
    assert not least_squares.fit(objective, Data(X, data.y, data.w), 0.1)[1].ok


def test_a_singular_hessian_is_reported() -> None:
    objective = Objective(Linear(Squared(), 1, 2), 0.0)
    data = Data(np.zeros((3, 2)), np.ones(3), np.ones(3))  # no intercept's curvature, no prior
    assert not least_squares.solve(gram(data), objective, 0.1)[1].ok
    assert not least_squares.solve(least_squares.init(2), objective, 0.1)[1].ok
