"""What labels buy, against what they bought: many simulated data sets, learned to the end, tested on the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core import newton
from streamlearn.core.losses import Array, Logistic, Loss, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.queries import benefit
from streamlearn.queries.strategy import View
from tests.queries import views

COLUMNS, LABELS, MORE, STREAM, TRIALS, NOISE = 5, 120, 60, 400, 200, 0.5
WEAK = 1e-4  # λ: the prior is of no account


def learned(loss: Loss, X: Array, y: Array) -> newton.State:
    objective = Objective(Linear(loss, 1, COLUMNS), WEAK)
    state = newton.init(objective.model.size)
    for _ in range(30):
        state, _ = newton.step(state, objective, Data(X, y, np.ones(len(y))), WEAK)
    return state


def labels(rng: np.random.Generator, head: str, f: Array) -> Array:
    return f + np.sqrt(NOISE) * rng.normal(size=len(f)) if head == "squared" else 1.0 * (rng.random(len(f)) < mean(f))


def mean(f: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-f)))


def true_loss(head: str, f: Array, truth: Array) -> float:
    """Expected over the labels, but for what no model takes away."""
    if head == "squared":
        return float(0.5 * ((f - truth) ** 2).mean())
    p = mean(truth)
    return float((np.logaddexp(0.0, f) - p * f).mean() - (np.logaddexp(0.0, truth) - p * truth).mean())


@pytest.mark.parametrize("head", ["squared", "logistic"])
def test_it_is_what_labels_buy_on_the_mean(head: str) -> None:
    loss: Loss = Squared(NOISE) if head == "squared" else Logistic()
    rng, model = np.random.default_rng(3), Linear(loss, 1, COLUMNS)
    told, excess, bought = [], [], []
    for _ in range(TRIALS):
        theta = 0.7 * rng.normal(size=COLUMNS)
        X = np.column_stack([np.ones(LABELS + MORE + STREAM), rng.normal(size=(LABELS + MORE + STREAM, COLUMNS - 1))])
        y, stream = labels(rng, head, X @ theta), X[-STREAM:]
        losses = []
        for count in (LABELS, LABELS + MORE):
            state = learned(loss, X[:count], y[:count])
            losses.append(true_loss(head, stream @ state.theta, stream @ theta))
            A = state.covariance
            found = benefit.of(View(model, state.theta, state.log_tangent, A, A, None, stream[:100]))
            assert found is not None
            told.append(found.label)
            excess.append(found.excess)
        bought.append(losses)
    measured = np.array(bought).mean(axis=0)
    error = np.array(bought).std(axis=0, ddof=1) / np.sqrt(TRIALS)
    by_count = np.array(excess).reshape(TRIALS, 2).mean(axis=0)
    # To second order, so with few labels the truth is a little above.
    assert np.all(np.abs(by_count - measured) < 0.15 * measured + 3.0 * error)
    fell = -np.diff(np.array(bought), axis=1)
    noise = float(fell.std(ddof=1)) / np.sqrt(TRIALS)
    assert MORE * np.mean(told) == pytest.approx(fell.mean(), abs=0.15 * fell.mean() + 3.0 * noise)
    assert 3.0 * noise < 0.5 * fell.mean()


def test_it_is_not_known_without_an_inverse_or_a_stream() -> None:
    view = views.view("logistic")
    assert benefit.of(view) is not None
    assert benefit.of(replace(view, recent=None)) is None
    assert benefit.of(replace(view, recent=np.empty((0, views.COLUMNS)))) is None
    assert benefit.of(replace(view, covariance=None, base_covariance=None)) is None


def test_pending_queries_have_bought_nothing_yet() -> None:
    assert benefit.of(views.view("softmax", views.design(5, 3))) == benefit.of(views.view("softmax"))
