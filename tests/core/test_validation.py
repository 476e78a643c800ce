"""Cross-validation against refits by scikit-learn, and what is made of its errors against grid search on unseen data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

from streamlearn.core import leave_one_out, newton, orthant, validation
from streamlearn.core.losses import Array, Logistic
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L1, L2
from tests.core import problems

PRECISIONS = np.exp(np.linspace(np.log(0.05), np.log(500.0), 19))


def some(problem: tuple[Objective, Data], rows: int, seed: int = 0) -> tuple[Objective, Data]:
    objective, data = problem
    return objective, problems.part(data, np.random.default_rng(seed).permutation(len(data.y))[:rows])


def mean(losses: Array, data: Data) -> Array:
    return np.asarray(losses @ data.w / data.w.sum())


def test_leave_one_out_of_the_squared_loss_is_scikit_learns_closed_form() -> None:
    objective, data = some(problems.diabetes(), 80)
    found = validation.refitted(objective, data, PRECISIONS, np.arange(80))
    theirs = RidgeCV(PRECISIONS, store_cv_results=True, scoring=None).fit(data.X[:, 1:], data.y)
    np.testing.assert_allclose(0.5 * theirs.cv_results_.T, found, rtol=1e-9)
    np.testing.assert_allclose(found, validation.approximated(objective, data, PRECISIONS), rtol=1e-9)
    chosen = validation.choose(found, data.w, PRECISIONS)
    assert theirs.alpha_ == PRECISIONS[int(np.argmin(chosen.errors))]


@pytest.mark.parametrize("kind", ["folds", "leave-one-out"])
def test_refits_of_the_logistic_loss_are_scikit_learns(kind: str) -> None:
    objective, data = some(problems.breast_cancer(), 60)
    fold = np.arange(60) if kind == "leave-one-out" else validation.folds(60, 5, np.random.default_rng(0))
    data = Data(data.X, data.y, np.random.default_rng(1).uniform(0.5, 2.0, 60))
    found = validation.refitted(objective, data, PRECISIONS[[6, 12]], fold)
    for row, alpha in zip(found, PRECISIONS[[6, 12]], strict=True):
        for number in np.unique(fold):
            out = fold == number
            peer = LogisticRegression(C=1.0 / alpha, tol=1e-10, solver="newton-cholesky")
            peer.fit(data.X[~out, 1:], data.y[~out], sample_weight=data.w[~out])
            margins = np.where(data.y[out] > 0.0, 1.0, -1.0) * peer.decision_function(data.X[out, 1:])
            np.testing.assert_allclose(np.logaddexp(0.0, -margins), row[out], rtol=1e-5)


def test_refits_of_a_fold_have_the_precision_of_the_whole_and_not_its_regularity() -> None:
    objective, data = some(problems.diabetes(), 60)
    fold = validation.folds(60, 2, np.random.default_rng(0))
    found = validation.refitted(objective, data, np.array([7.0]), fold)[0]
    out = fold == 0
    peer = Ridge(7.0).fit(data.X[~out, 1:], data.y[~out])
    np.testing.assert_allclose(0.5 * (peer.predict(data.X[out, 1:]) - data.y[out]) ** 2, found[out], rtol=1e-9)


def test_folds_are_of_equal_sizes_and_by_chance() -> None:
    fold = validation.folds(23, 5, np.random.default_rng(0))
    assert [4, 4, 5, 5, 5] == sorted(np.bincount(fold).tolist())
    assert fold.tolist() != validation.folds(23, 5, np.random.default_rng(1)).tolist()


def test_the_leverage_step_follows_exact_leave_one_out_and_first_order_does_not() -> None:
    """First order is optimistic, the more so the less regularity there is: its minimum is at far too small an α."""
    objective, data = some(problems.breast_cancer(), 200, seed=1)
    exact = validation.refitted(objective, data, PRECISIONS, np.arange(200))
    leverage = validation.approximated(objective, data, PRECISIONS)
    first = validation.approximated(objective, data, PRECISIONS, leave_one_out.first_order)
    truth, by_leverage, by_first_order = (
        validation.choose(each, data.w, PRECISIONS) for each in (exact, leverage, first)
    )
    enough = PRECISIONS > 0.5
    np.testing.assert_allclose(truth.errors[enough], by_leverage.errors[enough], rtol=0.05)
    assert 1.0 < truth.precision < 2.0
    assert 0.75 < by_leverage.precision / truth.precision < 1.25
    assert by_first_order.precision < 0.1 * truth.precision


@pytest.mark.parametrize("seed", range(3))
def test_the_choice_is_the_minimum_that_a_search_without_a_grid_finds(seed: int) -> None:
    objective, data = some(problems.diabetes(), 80, seed)

    def error(log_precision: float) -> float:
        losses = validation.refitted(objective, data, np.exp([log_precision]), np.arange(80))
        return float(mean(losses, data)[0]) + log_precision**2 / 8.0 / 80.0

    losses = validation.approximated(objective, data, PRECISIONS)
    found = validation.choose(losses, data.w, PRECISIONS, anchored=True)
    truth = minimize_scalar(error, bounds=(np.log(0.05), np.log(500.0)), method="bounded", options={"xatol": 1e-4})
    assert np.log(found.precision) == pytest.approx(truth.x, abs=0.05)


def test_the_parabola_of_a_parabola_is_exact_and_an_end_of_the_grid_stays() -> None:
    at = np.log(PRECISIONS)
    losses = (at - 1.234)[:, None] ** 2 * np.ones(4)
    assert np.exp(1.234) == pytest.approx(validation.choose(losses, np.ones(4), PRECISIONS).precision)
    assert PRECISIONS[-1] == pytest.approx(validation.choose(-at[:, None], np.ones(1), PRECISIONS).precision)
    assert PRECISIONS[0] == pytest.approx(validation.choose(at[:, None], np.ones(1), PRECISIONS).precision)


def test_errors_that_are_not_finite_are_never_chosen() -> None:
    losses = np.log(PRECISIONS)[:, None] ** 2 * np.ones(3)
    best = int(np.argmin(losses[:, 0]))
    losses[best, 1] = np.nan
    found = validation.choose(losses, np.ones(3), PRECISIONS)
    assert found.precision == pytest.approx(PRECISIONS[best - 1])
    assert np.isinf(found.errors[best])


def test_the_anchor_holds_what_a_separable_problem_lets_go() -> None:
    """All examples of two classes far apart: without the anchor the least α on the grid is the best."""
    rng = np.random.default_rng(0)
    y = (np.arange(40) % 2).astype(float)
    X = np.column_stack([np.ones(40), 6.0 * y[:, None] + rng.normal(size=(40, 2))])
    objective, data = Objective(Linear(Logistic(), 1, 3), 0.01), Data(X, y, np.ones(40))
    losses = validation.approximated(objective, data, PRECISIONS)
    assert validation.choose(losses, data.w, PRECISIONS).precision < 0.3
    assert 0.5 < validation.choose(losses, data.w, PRECISIONS, anchored=True).precision < 2.0


@pytest.mark.parametrize("head", problems.HEADS)
@pytest.mark.parametrize("regularizer", [L2(), L1()], ids=["l2", "l1"])
def test_the_gradient_along_the_tangent_is_the_difference_of_refits(head: str, regularizer: L2 | L1) -> None:
    plain, data = problems.small(head)
    objective, lam, h = Objective(plain.model, plain.anchor, regularizer), 0.03, 1e-3
    solver = newton if regularizer.smooth else orthant

    def solved(regularity: float) -> newton.State:
        state, info = solver.step(newton.init(objective.model.size), objective, data, regularity)
        assert info.ok
        return state

    sides = [mean(leave_one_out.leverage(objective, data, solved(lam * np.exp(by))), data) for by in (h, -h)]
    found = validation.gradient(objective, data, solved(lam), lam)
    assert found == pytest.approx(float(sides[0] - sides[1]) / (2.0 * h), rel=1e-4, abs=1e-8)
