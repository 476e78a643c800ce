"""A fit under another frame, with more columns or more classes, computes the same function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core.certificate import NONE
from streamlearn.core.losses import Array, Logistic, Softmax, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.moments import Scaling
from streamlearn.learner.fit import Fit, Frame, adapted

RAW = np.random.default_rng(3).normal(size=(20, 2)) * [2.0, 0.1] + [3.0, -1.0]
FRAMES = {
    "raw": Frame(Scaling(np.array([3.0, -1.0]), np.array([2.0, 0.1])), False, 0.0, 1.0),
    "standardised": Frame(Scaling(np.array([3.0, -1.0]), np.array([2.0, 0.1])), True, 0.0, 1.0),
    "of other moments": Frame(Scaling(np.array([2.5, 0.5]), np.array([1.0, 0.7])), True, 0.0, 1.0),
}


def fit(model: Linear, frame: Frame) -> Fit:
    rng = np.random.default_rng(4)
    theta, tangent = rng.normal(size=(2, model.size))
    return Fit(model, frame, theta, tangent, None, 0.1, 0, NONE, 0.0)


def says(model: Linear, frame: Frame, theta: Array, X: Array) -> Array:
    """Outputs in the labels' own units."""
    return model.outputs(theta, frame.design(X)) * frame.target_scale + frame.target_shift


@pytest.mark.parametrize("before", FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize("after", FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize(
    "model", [Linear(Squared(), 1, 3), Linear(Logistic(), 1, 3), Linear(Softmax(), 4, 3)], ids=lambda m: m.loss.name
)
def test_another_frame_gives_the_same_function(before: Frame, after: Frame, model: Linear) -> None:
    if model.loss.name == "squared":
        before = replace(before, target_shift=5.0, target_scale=2.0)
        after = replace(after, target_shift=-1.0, target_scale=0.5)
    old = fit(model, before)
    theta = adapted(old, old.theta, model, after, True)
    np.testing.assert_allclose(
        says(model, after, theta, RAW), says(model, before, old.theta, RAW), rtol=1e-10, atol=1e-10
    )
    tangent = adapted(old, old.log_tangent, model, after, False)
    np.testing.assert_allclose(
        model.outputs(tangent, after.design(RAW)) * after.target_scale,
        model.outputs(old.log_tangent, before.design(RAW)) * before.target_scale,
        rtol=1e-10,
        atol=1e-10,
    )


def test_new_columns_start_at_nothing() -> None:
    old = fit(Linear(Logistic(), 1, 3), FRAMES["standardised"])
    wide = Frame(Scaling(np.array([3.0, -1.0, 7.0]), np.array([2.0, 0.1, 3.0])), True, 0.0, 1.0)
    model = Linear(Logistic(), 1, 4)
    theta = adapted(old, old.theta, model, wide, True)
    X = np.column_stack([RAW, np.random.default_rng(5).normal(size=len(RAW))])
    np.testing.assert_allclose(
        model.outputs(theta, wide.design(X)), old.model.outputs(old.theta, old.frame.design(RAW)), rtol=1e-12
    )
    assert 0.0 == theta[3]


def test_a_third_class_leaves_the_odds_of_the_first_two_as_they_were() -> None:
    old, model = fit(Linear(Logistic(), 1, 3), FRAMES["standardised"]), Linear(Softmax(), 3, 3)
    theta = adapted(old, old.theta, model, FRAMES["of other moments"], True)
    f = model.outputs(theta, FRAMES["of other moments"].design(RAW))
    np.testing.assert_allclose(
        f[:, 1] - f[:, 0], old.model.outputs(old.theta, old.frame.design(RAW))[:, 0], rtol=1e-10, atol=1e-12
    )
    np.testing.assert_array_equal(np.zeros(len(RAW)), f[:, 2])


def test_a_missing_value_counts_as_the_mean() -> None:
    missing, mean = np.array([[np.nan, 0.3]]), np.array([[3.0, 0.3]])
    for name in ("raw", "standardised"):
        np.testing.assert_array_equal(FRAMES[name].design(mean), FRAMES[name].design(missing))


def test_columns_that_came_after_the_fit_are_not_looked_at() -> None:
    wide = np.column_stack([RAW, np.full(len(RAW), np.nan)])
    np.testing.assert_array_equal(FRAMES["standardised"].design(RAW), FRAMES["standardised"].design(wide))


def test_targets_are_in_the_frames_units() -> None:
    frame = replace(FRAMES["raw"], target_shift=10.0, target_scale=4.0)
    np.testing.assert_array_equal([-1.0, 0.5], frame.targets(np.array([6.0, 12.0])))
