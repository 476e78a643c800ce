"""The scores that look at recent events, against what they stand for: how much surer the stream's predictions become."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries import pending as unanswered
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.test_scores import COUNTED, EVERY_HEAD, X, likeliest, score, undecided
from tests.queries.views import CLASSES

MANY = 40  # recent events: more than the parameters of any head


def seen(head: str, counted: Array | None, recent: int) -> View:
    return replace(views.view(head, counted), recent=views.design(recent, 11))


def stream_information(view: View, head: str, weights: Array | None = None) -> Array:
    """M, formed: the mean of what labels at the recent events would add to the Hessian."""
    assert view.recent is not None
    w = np.ones(len(view.recent)) if weights is None else weights
    nothing = views.information(head, view.recent[:0])
    each = [views.information(head, row[None, :]) - nothing for row in view.recent]
    total: Array = np.tensordot(w / w.sum(), np.array(each), axes=1)
    return total


@EVERY_HEAD
@COUNTED
@pytest.mark.parametrize("recent", [3, MANY])
def test_v_optimality_is_by_how_much_the_streams_mean_variance_falls(
    head: str, pending: Array | None, recent: int
) -> None:
    view = seen(head, pending, recent)
    M = stream_information(view, head)
    given = np.empty((0, views.COLUMNS)) if pending is None else pending
    before = np.trace(M @ np.linalg.inv(views.information(head, given)))
    after = [np.trace(M @ np.linalg.inv(views.information(head, np.vstack([given, x])))) for x in X]
    np.testing.assert_allclose(score("v-optimality", view), before - np.array(after), rtol=1e-6)


@EVERY_HEAD
@COUNTED
def test_where_nothing_is_known_of_the_stream_the_labeled_examples_stand_for_it(
    head: str, pending: Array | None
) -> None:
    view = replace(views.view(head, pending), recent=None)
    assert view.covariance is not None
    given = np.empty((0, views.COLUMNS)) if pending is None else pending
    M = views.information(head, given)
    after = [np.trace(M @ np.linalg.inv(views.information(head, np.vstack([given, x])))) for x in X]
    np.testing.assert_allclose(score("v-optimality", view), len(M) - np.array(after), rtol=1e-6)


@pytest.mark.parametrize("head", CLASSES)
@COUNTED
@pytest.mark.parametrize("recent", [3, MANY])
def test_informed_is_the_margin_times_the_influence_of_the_decision_on_the_stream(
    head: str, pending: Array | None, recent: int
) -> None:
    view = seen(head, pending, recent)
    assert view.covariance is not None
    assert view.recent is not None
    moved = [view.covariance @ difference(head, x) for x in X]
    margins = np.array([undecided("margin", head, x) for x in X])
    influence = np.array([v @ stream_information(view, head) @ v for v in moved])
    np.testing.assert_allclose(score("informed", view), margins * influence**0.25, rtol=1e-9)
    near = np.array([undecided("margin", head, x) for x in view.recent])
    influence = np.array([v @ stream_information(view, head, near) @ v for v in moved])
    expected = score("uncertainty", view) * influence**0.25
    np.testing.assert_allclose(score("informed-boundary", view), expected, rtol=1e-9)


@pytest.mark.parametrize("head", CLASSES)
@COUNTED
@pytest.mark.parametrize("strategy", ["informed", "informed-boundary"])
def test_informed_is_uncertainty_where_nothing_is_known_of_the_stream(
    head: str, pending: Array | None, strategy: str
) -> None:
    view = replace(views.view(head, pending), recent=None)
    np.testing.assert_array_equal(score(strategy, view), score("uncertainty", view))


@pytest.mark.parametrize("head", CLASSES)
@COUNTED
def test_decisive_is_the_geometric_mean_of_margin_and_v_optimality(head: str, pending: Array | None) -> None:
    view = seen(head, pending, MANY)
    margins = np.array([undecided("margin", head, x) for x in X])
    np.testing.assert_allclose(score("decisive", view) ** 2, margins * score("v-optimality", view), rtol=1e-9)


def difference(head: str, x: Array) -> Array:
    """The gradient of f_a − f_b by θ, a and b the likeliest classes."""
    J = views.jacobian(head, x)
    if head == "logistic":
        return J[0]
    a, b = likeliest(head, x)
    return np.asarray(J[a] - J[b])


@pytest.mark.parametrize("strategy", ["v-optimality", "informed", "decisive"])
def test_of_two_events_as_undecided_the_one_that_the_stream_resembles_is_asked_about(strategy: str) -> None:
    here, there = np.array([1.0, 0.0, 3.0, 0.0]), np.array([1.0, 0.0, 0.0, 3.0])
    crowd = here + 0.1 * np.random.default_rng(1).normal(size=(20, 4)) * [0, 1, 1, 1]
    boundary, equally_unsure = np.array([0.0, 1.0, 0.0, 0.0]), np.eye(4)
    view = replace(
        views.view("logistic"), theta=boundary, covariance=equally_unsure, base_covariance=equally_unsure, recent=crowd
    )
    first, second = score(strategy, view, np.stack([here, there]))
    assert first > 1.5 * second


@EVERY_HEAD
def test_more_pending_queries_leave_less_to_be_learned_about_the_stream(head: str) -> None:
    view = seen(head, None, MANY)
    once, twice = (unanswered.count_all(view, np.repeat(X[:1], times, axis=0)) for times in (1, 2))
    names = [
        name
        for name in ("v-optimality", "informed", "decisive")
        if head in CLASSES or not STRATEGIES[name].needs_classes
    ]
    for name in names:
        assert score(name, twice)[0] < score(name, once)[0] < score(name, view)[0]
