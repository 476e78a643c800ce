"""Flip: the derivative by log λ as a difference, the fit by a general least squares, and what the score says of decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.queries import views
from tests.queries.views import CLASSES

X, PENDING = views.design(7, 2), views.design(5, 3)
heads = pytest.mark.parametrize("head", CLASSES)


def score(view: View, rows: Array = X) -> Array:
    return STRATEGIES["flip"].score(view, rows, np.zeros(len(rows)))


def lead(view: View, theta: Array, x: Array) -> float:
    """By how much the class that is likeliest at view.theta leads over the second, under θ."""
    f = view.model.outputs(view.theta, x[None])[0]
    moved = view.model.outputs(theta, x[None])[0]
    if len(f) == 1:
        return float(np.sign(f[0]) * moved[0])
    first, second = sorted(range(len(f)), key=lambda c: -f[c])[:2]
    return float(moved[first] - moved[second])


def slope(view: View, x: Array) -> float:
    """The lead's derivative by log λ."""
    up, down = (lead(view, view.theta + s * view.log_tangent, x) for s in (0.5, -0.5))
    return up - down


@heads
@pytest.mark.parametrize("pending", [None, PENDING], ids=["none pending", "some pending"])
def test_the_score_is_the_slope_of_the_lead_without_its_part_along_the_lead_over_the_lead(
    head: str, pending: Array | None
) -> None:
    view, data = views.view(head, pending), views.references(head)
    leads = np.array([lead(view, view.theta, u) for u in data.X])
    slopes, root = np.array([slope(view, u) for u in data.X]), np.sqrt(data.w)
    c = np.linalg.lstsq((root * leads)[:, None], root * slopes, rcond=None)[0][0]
    expected = [abs(slope(view, x) - c * lead(view, view.theta, x)) / abs(lead(view, view.theta, x)) for x in X]
    np.testing.assert_allclose(score(view), expected, rtol=1e-9)


@heads
def test_a_tangent_that_only_rescales_the_model_flips_nothing(head: str) -> None:
    view = views.view(head)
    np.testing.assert_allclose(score(replace(view, log_tangent=-0.7 * view.theta)), 0.0, atol=1e-12)
    rescaled = replace(view, log_tangent=view.log_tangent + 3.0 * view.theta)
    np.testing.assert_allclose(score(rescaled), score(view), rtol=1e-9)


def test_its_inverse_is_the_change_of_log_lambda_at_which_the_prediction_flips() -> None:
    view, data = views.view("logistic"), views.references("logistic")
    f, f_dot = view.model.response(view.theta, view.log_tangent, data.X)
    c = float((data.w * (f * f_dot)[:, 0]).sum() / (data.w * f[:, 0] ** 2).sum())
    turning = view.log_tangent - c * view.theta
    for x, s in zip(X, score(view), strict=True):
        before = view.model.outputs(view.theta, x[None])[0, 0]
        signs = [
            {np.sign(view.model.outputs(view.theta + way * size / s * turning, x[None])[0, 0]) for way in (-1.0, 1.0)}
            for size in (0.999, 1.001)
        ]
        assert {np.sign(before)} == signs[0]
        assert {-1.0, 1.0} == signs[1]


def test_a_tie_between_classes_has_a_finite_score() -> None:
    view = replace(views.view("softmax"), theta=np.zeros(16))
    assert np.isfinite(score(view)).all()
