"""The score by progressive validation: balanced accuracy of classes, R² of values, both of late."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

from streamlearn.learner import score
from streamlearn.learner.score import State


def of_classes(told: list[int], labels: list[int], state: State | None = None) -> State:
    state = state or State()
    for prediction, label in zip(told, labels, strict=True):
        state = score.of_class(state, prediction, label)
    return state


def of_values(told: list[float], labels: list[float]) -> State:
    state = State()
    for prediction, label in zip(told, labels, strict=True):
        state = score.of_value(state, prediction, label)
    return state


def test_there_is_none_without_labels() -> None:
    assert score.score(State()) is None
    assert score.score(of_values([1.0], [2.0])) is None, "one value has no variance"


def test_while_labels_are_few_it_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels, told = rng.choice([0, 1, 3], 99, p=[0.8, 0.15, 0.05]), rng.choice([0, 1, 3], 99)
    assert score.score(of_classes(told.tolist(), labels.tolist())) == pytest.approx(
        balanced_accuracy_score(labels, told)
    )
    y = rng.normal(1e6, 2.0, 99)
    f = y + rng.normal(0.0, 1.0, 99)
    assert score.score(of_values(f.tolist(), y.tolist())) == pytest.approx(r2_score(y, f), rel=1e-6)


def test_what_is_long_ago_fades() -> None:
    state = of_classes([0] * 500, [0] * 500)
    assert score.score(state) == 1.0
    assert score.score(of_classes([1] * 500, [0] * 500, state)) == pytest.approx(0.0, abs=0.01)


def test_what_is_not_finite_leaves_it_as_it_is() -> None:
    state = of_values([1.0, 2.0], [1.5, 2.5])
    for told, label in ((math.nan, 1.0), (math.inf, 1.0), (1e200, 1.0)):
        assert score.of_value(state, told, label) == state
