"""The protocol that tunes λ, against a grid: what it costs in loss on data that nobody trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from river.datasets import Phishing
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from streamlearn.config import Configuration
from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import columns, learner, settings, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled
from streamlearn.learner.testing import mean_loss_gradient

SEEDS, SIZES = range(10), (50, 100, 200)
GRID = np.exp(np.linspace(np.log(1e-2), np.log(1e3), 24))  # of α = λW


def breast_cancer() -> tuple[Array, list]:
    X, y = load_breast_cancer(return_X_y=True)
    return X, [bool(label) for label in y]


def diabetes() -> tuple[Array, list]:
    X, y = load_diabetes(return_X_y=True)
    return X, [float(label) + 0.5 for label in y]


def odd_digits() -> tuple[Array, list]:
    X, y = load_digits(return_X_y=True)
    return X, [bool(label % 2) for label in y]


def phishing() -> tuple[Array, list]:
    rows = list(Phishing())
    return np.array([list(x.values()) for x, _ in rows], dtype=float), [bool(y) for _, y in rows]


def excesses(load: Callable[[], tuple[Array, list]], seed: int, learn: bool) -> list[float]:
    """Loss on unseen data over the grid's best, after each number of labels; of standardised values in regression."""
    X, y = load()
    order = np.random.default_rng(seed).permutation(len(y))
    regularity = replace(Configuration().regularity, learn=learn, fixed=1e-2)
    told = settings.from_configuration(replace(Configuration(), regularity=regularity))
    here = state.init(told, columns.State(), "", ())
    new_columns, encoded = columns.encode(here.columns, X.tolist())
    here = learner.observe(here, new_columns, encoded.rows)
    found = []
    for count, i in enumerate(order[:200], start=1):
        here = learner.step(here, told, Labeled(encoded.rows[i], y[i], 1.0, False, 0))
        if count in SIZES:
            rest = order[200:]
            found.append(_excess(learner.settle(here, told), told, X[rest], [y[j] for j in rest]))
    return found


def _excess(here: state.State, told: settings.Settings, X: Array, y: list) -> float:
    fit = here.published
    assert fit is not None
    test = Data(fit.frame.design(X), fit.frame.targets(np.array(y, dtype=float)), np.ones(len(y)))
    train = state.data(here, told, fit.frame, here.examples.end, "train")
    best = min(_loss_at(fit, state.objective(here, told, fit.model, fit.frame), train, test, alpha) for alpha in GRID)
    return (mean_loss_gradient(fit, test)[0] - best) / fit.frame.target_scale**2


def _loss_at(fit: Fit, objective: Objective, train: Data, test: Data, alpha: float) -> float:
    start = newton.State(fit.theta, fit.log_tangent, np.empty((0, 0)))
    solved, _ = newton.step(start, objective, train, alpha / float(train.w.sum()))
    return mean_loss_gradient(replace(fit, theta=solved.theta), test)[0]


@pytest.fixture(scope="module")
def table() -> dict[bool, Array]:
    """Mean excess over ten seeds and four data sets, (numbers of labels,), with λ learned and with λ = 1e-2."""
    sets = (breast_cancer, diabetes, odd_digits, phishing)
    return {
        learn: np.mean([[excesses(load, seed, learn) for seed in SEEDS] for load in sets], axis=(0, 1))
        for learn in (True, False)
    }


def test_progressive_validation_costs_no_more_than_twice_what_the_prototype_did(table: dict[bool, Array]) -> None:
    assert (table[True] <= 2.0 * np.array([0.021, 0.012, 0.008])).all(), table


def test_progressive_validation_beats_a_fixed_regularity_on_the_mean(table: dict[bool, Array]) -> None:
    assert table[True].mean() < table[False].mean(), table
