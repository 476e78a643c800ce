"""Every strategy's score under every head is the expectation that its docstring states, pending queries counted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from streamlearn.core.losses import Array
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.views import CLASSES, HEADS

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


@EVERY_HEAD
@COUNTED
def test_unlabeled_sld_is_the_square_of_the_responses_derivative(head: str, pending: Array | None) -> None:
    view = views.view(head, pending)
    expected = [(views.centred(head, views.jacobian(head, x) @ view.log_tangent) ** 2).sum() for x in X]
    np.testing.assert_allclose(score("sld-unlabeled", view), expected, rtol=1e-9)


@pytest.mark.parametrize("head", [*CLASSES, "poisson"])
def test_gradient_length_is_the_expected_length_of_the_gradient(head: str) -> None:
    expected = [views.expected(head, x, lambda y, g: float(np.linalg.norm(g))) for x in X]
    np.testing.assert_allclose(score("gradient-length", views.view(head)), expected, rtol=1e-9)


def test_gradient_length_under_the_squared_loss_is_that_of_the_noise_times_the_row() -> None:
    density = 1.0 / math.sqrt(2.0 * math.pi * 0.37)
    mean, _ = quad(lambda r: 2.0 * r * density * math.exp(-r * r / (2.0 * 0.37)), 0.0, 20.0)
    expected = [mean * math.hypot(*x) for x in X]
    np.testing.assert_allclose(score("gradient-length", views.view("squared")), expected, rtol=1e-9)


@pytest.mark.parametrize("strategy", ["uncertainty", "margin", "entropy", "least-confidence"])
@pytest.mark.parametrize("head", CLASSES)
@COUNTED
def test_uncertainty_is_what_is_expected_of_the_label_times_the_variance_that_is_left(
    head: str, pending: Array | None, strategy: str
) -> None:
    view, base = views.view(head, pending), views.view(head)
    expected = [undecided(strategy, head, x) * difference_variance(view, x) / difference_variance(base, x) for x in X]
    np.testing.assert_allclose(score(strategy, view), expected, rtol=1e-9)


def probabilities(head: str, x: Array) -> list[float]:
    return [views.expected(head, x, lambda y, g, c=c: float(y == c)) for c in range(max(2, views.OUTPUTS[head]))]


def likeliest(head: str, x: Array) -> tuple[int, int]:
    p = probabilities(head, x)
    first, second = sorted(range(len(p)), key=lambda c: -p[c])[:2]
    return first, second


def undecided(strategy: str, head: str, x: Array) -> float:
    """The expectation over y in the docstring."""
    (a, b), p = likeliest(head, x), probabilities(head, x)
    if strategy == "entropy":
        return views.expected(head, x, lambda y, g: -math.log(p[int(y)]))
    if strategy == "least-confidence":
        return views.expected(head, x, lambda y, g: 1.0 - (y == a))
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


@EVERY_HEAD
@COUNTED
def test_random_is_the_events_own_number(head: str, pending: Array | None) -> None:
    np.testing.assert_array_equal(DRAWS, score("random", views.view(head, pending)))
    np.testing.assert_array_equal(DRAWS, score("random", None))


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"random", "periodic"}))
def test_nothing_can_be_judged_without_a_model(strategy: str) -> None:
    np.testing.assert_array_equal(np.full(len(X), np.nan), score(strategy, None))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@EVERY_HEAD
def test_a_strategy_judges_exactly_where_it_has_what_it_says_it_needs(head: str, strategy: str) -> None:
    whole, needs = views.view(head), STRATEGIES[strategy]
    judges = head in CLASSES or not needs.needs_classes
    assert np.isfinite(score(strategy, whole)).all() == judges
    without_inverse = replace(whole, covariance=None, base_covariance=None)
    assert np.isfinite(score(strategy, without_inverse)).all() == (judges and not needs.needs_inverse)
    without_references = replace(whole, references=None)
    assert np.isfinite(score(strategy, without_references)).all() == (judges and not needs.needs_references)
    for recent in (None, np.empty((0, views.COLUMNS))):
        without_recent = score(strategy, replace(whole, recent=recent))
        assert np.isfinite(without_recent).all() == judges
        same = np.array_equal(without_recent, score(strategy, whole), equal_nan=True)
        assert same == (not judges or not needs.looks_at_recent)


@pytest.mark.parametrize("head", CLASSES)
def test_without_an_inverse_hessian_uncertainty_is_the_margin(head: str) -> None:
    view = replace(views.view(head), covariance=None, base_covariance=None)
    expected = [undecided("margin", head, x) for x in X]
    np.testing.assert_allclose(score("uncertainty", view), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("head", "strategy"),
    [
        (head, name)
        for head in HEADS
        for name, it in sorted(STRATEGIES.items())
        if head in CLASSES or not it.needs_classes
    ],
)
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
    for strategy in ("leverage", *(("uncertainty", "entropy", "least-confidence") if head in CLASSES else ())):
        assert score(strategy, twice)[0] < score(strategy, once)[0] < score(strategy, none)[0]
