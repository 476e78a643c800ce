"""The similarity of pending queries under the prior, against the explicit inverse of its precision and their curvature."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries import pending, similarity
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.views import CLASSES

X, PENDING, ALPHA = views.design(7, 2), views.design(5, 3), 0.7
SEEN = np.array([False, True, True, True])
LARGE = 1e9  # the precision of what the regularizer does not see: it is held


def view(head: str) -> View:
    of_prior = similarity.none_pending(SEEN, ALPHA, views.OUTPUTS[head])
    return replace(views.view(head), covariance=None, base_covariance=None, similar=of_prior)


def explicit(head: str, x: Array, asked: Array, along_classes: bool) -> float:
    """s_P/s₀ by forming and inverting; along_classes: with one column of each curvature, that along its likeliest classes."""
    k, model, theta = views.OUTPUTS[head], views.model(head), views.theta(head)
    information = np.diag(np.tile(np.where(SEEN, ALPHA, LARGE), k))
    before = np.linalg.inv(information)
    for p in asked:
        C = model.loss.curvature(model.outputs(theta, p[None, :]))[0]
        if along_classes and k > 1:
            v = difference(head, p)
            C = np.outer(C @ v, C @ v) / (v @ C @ v)
        information = information + np.kron(C, np.outer(p, p))
    J = np.kron(difference(head, x), x)
    return float(J @ np.linalg.inv(information) @ J) / float(J @ before @ J)


def difference(head: str, x: Array) -> Array:
    """e_a − e_b of the two likeliest classes."""
    if views.OUTPUTS[head] == 1:
        return np.ones(1)
    first, second = np.argsort(-views.model(head).outputs(views.theta(head), x[None, :])[0])[:2]
    out = np.zeros(views.OUTPUTS[head])
    out[first], out[second] = 1.0, -1.0
    return out


def factor(strategy: str, seen: View, rows: Array) -> Array:
    """What the score is multiplied by."""
    score = STRATEGIES[strategy].score
    return score(seen, rows, np.zeros(len(rows))) / score(replace(seen, similar=None), rows, np.zeros(len(rows)))


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("strategy", ["uncertainty", "entropy", "least-confidence"])
def test_uncertainty_fades_by_the_share_of_the_prior_variance_that_pending_queries_leave(
    head: str, strategy: str
) -> None:
    found = factor(strategy, pending.count_all(view(head), PENDING), X)
    np.testing.assert_allclose(found, [explicit(head, x, PENDING, True) for x in X], rtol=1e-6)
    whole = np.array([explicit(head, x, PENDING, False) for x in X])
    assert (found >= whole - 1e-6).all()  # no query counts for more than its label will teach
    if head == "logistic":
        np.testing.assert_allclose(found, whole, rtol=1e-6)


@pytest.mark.parametrize("head", CLASSES)
def test_one_by_one_and_all_at_once_are_the_same(head: str) -> None:
    together = pending.count_all(view(head), PENDING)
    one_by_one = reduce(pending.count, PENDING, view(head))
    some = reduce(pending.count, PENDING[2:], pending.count_all(view(head), PENDING[:2]))
    for other in (one_by_one, some):
        np.testing.assert_allclose(factor("uncertainty", together, X), factor("uncertainty", other, X), rtol=1e-12)


@pytest.mark.parametrize("head", CLASSES)
def test_what_was_just_asked_fades_and_what_has_nothing_in_common_does_not(head: str) -> None:
    asked = np.array([[1.0, 9.0, 0.0, 0.0]])
    asked[0, 1:] *= 0.1  # not so far out that its answer is certain
    rows = np.array([[1.0, 0.9, 0.0, 0.0], [1.0, 0.9, 0.05, 0.0], [1.0, 0.0, 3.0, -1.0]])
    same, close, apart = factor("uncertainty", pending.count_all(view(head), asked), rows)
    assert same < close < 1.0 - 0.5 * (1.0 - same)
    assert apart == 1.0


def test_none_pending_and_pending_queries_that_are_taken_back_change_nothing() -> None:
    before = view("softmax")
    after = pending.none(pending.count_all(before, PENDING), before.log_tangent)
    np.testing.assert_array_equal(factor("uncertainty", before, X), np.ones(len(X)))
    np.testing.assert_array_equal(factor("uncertainty", after, X), np.ones(len(X)))


def test_a_row_of_which_the_prior_knows_nothing_keeps_its_score() -> None:
    nothing = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert factor("uncertainty", pending.count_all(view("logistic"), PENDING), nothing) == 1.0
