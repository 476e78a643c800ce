"""λ learned from a hold-out in the closed loop of the learner, against the λ that a grid finds for the same test loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from streamlearn.config import Configuration, Regularity, Training
from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, settings, state
from streamlearn.learner.learner import Labeled
from streamlearn.learner.testing import mean_loss_gradient

GRID = np.exp(np.linspace(np.log(1e-5), np.log(20.0), 200))


def breast_cancer() -> tuple[Array, list]:
    X, y = load_breast_cancer(return_X_y=True)
    return X, [bool(label) for label in y]


def diabetes() -> tuple[Array, list]:
    X, y = load_diabetes(return_X_y=True)
    return X, [float(label) + 0.5 for label in y]


def factor(data: tuple[Array, list], solver: str, start: float) -> float:
    """λ at the end over the grid's best; `start` is the λ to start from. Every fifth example is held out."""
    X, y = data
    order = np.random.default_rng(0).permutation(len(y))
    precision = start * 0.8 * len(y)
    regularity = Regularity(validation="holdout", initial_precision=precision, precision_bounds=(1e-4, 1e5))
    told = settings.from_configuration(
        replace(Configuration(), regularity=regularity, training=Training(solver=solver))
    )
    here = state.init(told, columns.State(), "", ())
    new_columns, encoded = columns.encode(here.columns, X[order].tolist())
    here = learner.observe(here, new_columns, encoded.rows)
    for count, i in enumerate(order):
        here = learner.step(here, told, Labeled(encoded.rows[count], y[i], 1.0, False, int(count % 5 == 0)))
    before = None
    while here is not before:
        before, here = here, learner.settle(here, told)
    assert here.fit is not None
    return here.fit.regularity / best(here, told)


def best(here: state.State, told: settings.Settings) -> float:
    fit = here.fit
    assert fit is not None
    train, test = (state.data(here, told, fit.frame, here.examples.end, which) for which in ("train", "test"))
    start = newton.State(fit.theta, fit.log_tangent, np.empty((0, 0)))
    losses = []
    for lam in GRID:
        solved, _ = newton.step(start, state.objective(here, told, fit.model, fit.frame), train, lam)
        losses.append(mean_loss_gradient(replace(fit, theta=solved.theta), test)[0])
    return float(GRID[int(np.argmin(losses))])


@pytest.mark.parametrize("load", [breast_cancer, diabetes])
@pytest.mark.parametrize("start", [1e-4, 1e1])
def test_the_exact_solver_ends_within_a_quarter_of_the_best(load, start) -> None:
    assert 1 / 1.25 <= factor(load(), "newton", start) <= 1.25


@pytest.mark.parametrize("load", [breast_cancer, diabetes])
@pytest.mark.parametrize("start", [1.0, 1e1])
def test_sgdf_ends_within_a_factor_of_two_of_the_best(load, start) -> None:
    assert 0.5 <= factor(load(), "sgdf", start) <= 2.0
