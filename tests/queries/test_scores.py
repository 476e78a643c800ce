"""Every strategy's score under every head is the expectation that its docstring states, pending queries counted."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.views import HEADS

X, PENDING = views.design(7, 2), views.design(5, 3)
DRAWS = np.linspace(0.0, 0.9, len(X))
COUNTED = pytest.mark.parametrize("pending", [None, PENDING], ids=["none pending", "some pending"])
EVERY_HEAD = pytest.mark.parametrize("head", HEADS)


def score(strategy: str, view: View | None, rows: Array = X) -> Array:
    return STRATEGIES[strategy].score(view, rows, DRAWS[: len(rows)])


@EVERY_HEAD
@COUNTED
def test_sld_is_the_expected_square_of_the_losses_derivative(head: str, pending: Array | None) -> None:
    view = views.view(head, pending)
    expected = [views.expected(head, x, lambda y, g: float(g @ view.log_tangent) ** 2) for x in X]
    np.testing.assert_allclose(score("sld", view), expected, rtol=1e-9)


@EVERY_HEAD
@COUNTED
def test_leverage_is_the_expected_size_of_the_gradient_measured_by_the_inverse_hessian(
    head: str, pending: Array | None
) -> None:
    view = views.view(head, pending)
    assert view.covariance is not None
    A = view.covariance
    expected = [views.expected(head, x, lambda y, g: float(g @ A @ g)) for x in X]
    np.testing.assert_allclose(score("leverage", view), expected, rtol=1e-9)


@pytest.mark.parametrize("head", ["logistic", "softmax"])
@COUNTED
def test_uncertainty_is_the_expected_confusion_of_the_two_likeliest_times_the_variance_that_is_left(
    head: str, pending: Array | None
) -> None:
    view, base = views.view(head, pending), views.view(head)
    expected = [confusion(head, x) * difference_variance(view, x) / difference_variance(base, x) for x in X]
    np.testing.assert_allclose(score("uncertainty", view), expected, rtol=1e-9)


def likeliest(head: str, x: Array) -> tuple[int, int]:
    p = [views.expected(head, x, lambda y, g, c=c: float(y == c)) for c in range(max(2, views.OUTPUTS[head]))]
    first, second = sorted(range(len(p)), key=lambda c: -p[c])[:2]
    return first, second


def confusion(head: str, x: Array) -> float:
    a, b = likeliest(head, x)
    return views.expected(head, x, lambda y, g: 1.0 - (y == a) + (y == b))


def difference_variance(view: View, x: Array) -> float:
    """Of f_a − f_b, from its own gradient by θ; one output is that difference already."""
    J = np.zeros((view.model.outputs_count, view.model.columns))
    if view.model.outputs_count == 1:
        J[0] = x
    else:
        a, b = likeliest("softmax", x)
        J[a], J[b] = x, -x
    assert view.covariance is not None
    return float(J.ravel() @ view.covariance @ J.ravel())


@COUNTED
def test_uncertainty_of_values_is_only_the_variance_that_is_left(pending: Array | None) -> None:
    view, base = views.view("squared", pending), views.view("squared")
    expected = [difference_variance(view, x) / difference_variance(base, x) for x in X]
    np.testing.assert_allclose(score("uncertainty", view), expected, rtol=1e-9)


@EVERY_HEAD
@COUNTED
def test_random_is_the_events_own_number(head: str, pending: Array | None) -> None:
    np.testing.assert_array_equal(DRAWS, score("random", views.view(head, pending)))
    np.testing.assert_array_equal(DRAWS, score("random", None))


@pytest.mark.parametrize("strategy", ["sld", "leverage", "uncertainty"])
def test_nothing_can_be_judged_without_a_model(strategy: str) -> None:
    np.testing.assert_array_equal(np.full(len(X), np.nan), score(strategy, None))


@EVERY_HEAD
def test_without_an_inverse_hessian_leverage_cannot_judge_and_uncertainty_is_the_margin(head: str) -> None:
    whole = views.view(head)
    view = View(whole.model, whole.theta, whole.log_tangent, None, None)
    np.testing.assert_array_equal(np.full(len(X), np.nan), score("leverage", view))
    margins = np.ones(len(X)) if head == "squared" else [confusion(head, x) for x in X]
    np.testing.assert_allclose(score("uncertainty", view), margins, rtol=1e-12)
    np.testing.assert_array_equal(score("sld", whole), score("sld", view))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@EVERY_HEAD
def test_a_score_does_not_depend_on_the_other_rows(head: str, strategy: str) -> None:
    view = views.view(head, PENDING)
    alone = np.concatenate([STRATEGIES[strategy].score(view, X[i : i + 1], DRAWS[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(score(strategy, view), alone, rtol=1e-12)
    others = X.copy()
    others[1:] = 100.0 * views.design(len(X) - 1, 9)
    # In a block of one size a score keeps its last bit.
    assert score(strategy, view)[0] == score(strategy, view, others)[0]


@EVERY_HEAD
def test_more_pending_queries_leave_less_to_be_learned_from_the_same_event(head: str) -> None:
    twice = views.view(head, np.concatenate([X[:1], X[:1]]))
    once, none = views.view(head, X[:1]), views.view(head)
    for strategy in ("leverage", "uncertainty"):
        assert score(strategy, twice)[0] < score(strategy, once)[0] < score(strategy, none)[0]
