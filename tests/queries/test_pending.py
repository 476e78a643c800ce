"""Queries not yet answered: counting them one by one, all at once, or by forming and inverting the Hessian is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries import pending
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.views import HEADS

# 2 is fewer columns than parameters (Woodbury), 40 more (the information matrix).
WAYS: dict[str, Callable[[View, Array], View]] = {
    "one by one": lambda view, X: reduce(pending.count, X, view),
    "all at once": pending.count_all,
    "some, then one by one": lambda view, X: reduce(pending.count, X[1:], pending.count_all(view, X[:1])),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("way", WAYS)
def test_counting_equals_the_explicit_inverse_and_solve(head: str, count: int, way: str) -> None:
    X = views.design(count, 7)
    counted = WAYS[way](views.view(head), X)
    information = views.information(head, X)
    assert counted.covariance is not None
    np.testing.assert_allclose(counted.covariance, np.linalg.inv(information), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(
        counted.log_tangent, np.linalg.solve(information, views.source(head)), rtol=1e-9, atol=1e-13
    )


@pytest.mark.parametrize("head", HEADS)
def test_theta_and_the_base_covariance_stay(head: str) -> None:
    before = views.view(head)
    for count in (2, 40):
        after = pending.count_all(before, views.design(count, 7))
        assert before.theta is after.theta
        assert before.base_covariance is after.base_covariance


def test_without_an_inverse_nothing_is_counted() -> None:
    whole = views.view("logistic")
    view = View(whole.model, whole.theta, whole.log_tangent, None, None)
    assert view is pending.count(view, views.design(1, 7)[0])
    assert view is pending.count_all(view, views.design(3, 7))


def test_no_pending_queries_change_nothing() -> None:
    view = views.view("softmax")
    assert view is pending.count_all(view, np.empty((0, views.COLUMNS)))


@pytest.mark.parametrize("head", ["logistic", "softmax"])
def test_a_query_whose_answer_is_certain_adds_nothing(head: str) -> None:
    view = views.view(head)
    certain = 1e4 * views.design(1, 7)[0]
    after = pending.count(view, certain)
    assert after.covariance is not None
    assert np.isfinite(after.covariance).all()
    np.testing.assert_allclose(after.covariance, view.covariance, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("held", [1, None])
def test_parameters_that_are_held_at_zero_stay_there_and_the_others_are_counted(
    head: str, count: int, held: int | None
) -> None:
    view, X = views.view(head), views.design(count, 7)
    assert view.covariance is not None
    kept = np.setdiff1d(np.arange(view.model.size), [] if held is None else [held, view.model.size - 1])
    block = np.ix_(kept, kept)
    covariance, log_tangent = np.zeros_like(view.covariance), np.zeros_like(view.log_tangent)
    covariance[block] = view.covariance[block]
    log_tangent[kept] = covariance[block] @ views.source(head)[kept]
    given = replace(view, covariance=covariance, log_tangent=log_tangent)
    once, one_by_one = pending.count_all(given, X), reduce(pending.count, X, given)
    assert once.covariance is not None
    assert one_by_one.covariance is not None
    np.testing.assert_allclose(once.covariance, one_by_one.covariance, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(once.log_tangent, one_by_one.log_tangent, rtol=1e-8, atol=1e-12)
    information = (
        np.linalg.inv(covariance[block]) + (views.information(head, X) - views.information(head, X[:0]))[block]
    )
    np.testing.assert_allclose(once.covariance[block], np.linalg.inv(information), rtol=1e-7, atol=1e-12)
