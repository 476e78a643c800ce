"""Problems with known answers, shared by the core's tests: small random ones for every head, and scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes

from streamlearn.core import newton
from streamlearn.core.losses import Array, Logistic, Loss, Poisson, Softmax, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective

HEADS = ("squared", "logistic", "softmax", "poisson")
LOSSES: dict[str, Loss] = {"squared": Squared(0.7), "logistic": Logistic(), "softmax": Softmax(), "poisson": Poisson()}


def small(head: str, anchor: float = 0.01, rows: int = 60, seed: int = 0) -> tuple[Objective, Data]:
    """A random weighted problem: four columns and the intercept; three classes for softmax."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(rows), rng.normal(size=(rows, 4))])
    score = X @ rng.normal(size=5) + rng.normal(size=rows)
    counts = np.random.default_rng(seed + 1).poisson(np.exp(0.5 * score))
    y = {
        "squared": score,
        "logistic": score > 0,
        "softmax": np.digitize(score, [-1.0, 1.0]),
        "poisson": counts,
    }[head].astype(float)
    model = Linear(LOSSES[head], 3 if head == "softmax" else 1, 5)
    return Objective(model, anchor), Data(X, y, rng.uniform(0.5, 2.0, rows))


def parameters(objective: Objective, seed: int = 1) -> Array:
    """Some θ (or direction) away from zero."""
    return np.random.default_rng(seed).normal(size=objective.model.size)


def precision_of(objective: Objective, regularity: float, total_weight: float) -> Array:
    """The diagonal of λ∇²R and of the intercepts' prior under L2, shape (d,)."""
    return regularity * objective.penalised + objective.anchor / total_weight * (1.0 - objective.penalised)


@cache
def breast_cancer() -> tuple[Objective, Data]:
    """569 examples, 30 standardised columns, free intercept."""
    X, y = load_breast_cancer(return_X_y=True)
    return Objective(Linear(Logistic(), 1, 31), 0.0), Data(_design(X), y.astype(float), np.ones(len(y)))


@cache
def diabetes() -> tuple[Objective, Data]:
    """442 examples, 10 standardised columns, standardised target."""
    X, y = load_diabetes(return_X_y=True)
    return Objective(Linear(Squared(), 1, 11), 0.0), Data(_design(X), (y - y.mean()) / y.std(), np.ones(len(y)))


def _design(X: Array) -> Array:
    return np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)])


def hold_out(data: Data, seed: int) -> tuple[Data, Data]:
    """Four fifths to train on, a fifth to test on."""
    order = np.random.default_rng(seed).permutation(len(data.y))
    return part(data, order[len(order) // 5 :]), part(data, order[: len(order) // 5])


def part(data: Data, rows: np.ndarray) -> Data:
    return Data(data.X[rows], data.y[rows], data.w[rows])


def solved(objective: Objective, data: Data, regularity: float) -> newton.State:
    """The optimum, from zero."""
    state, info = newton.step(newton.init(objective.model.size), objective, data, regularity)
    assert info.ok
    return state


def scalar_gradient(objective: Objective, test: Data, theta: Array, log_tangent: Array) -> float:
    """mean ∇ℓ·θ̇ over the test examples."""
    f, f_dot = objective.model.response(theta, log_tangent, test.X)
    return float((objective.model.loss.gradient(f, test.y) * f_dot).sum(axis=1).mean())


def held_out_loss(objective: Objective, train: Data, test: Data, regularity: float) -> float:
    """Mean loss on the test examples at the optimum of the training examples."""
    theta = solved(objective, train, regularity).theta
    return float(objective.model.loss.value(objective.model.outputs(theta, test.X), test.y).mean())


def central(function: Callable[[Array], Array | float], at: Array, h: float = 1e-6) -> Array:
    """Central differences of a function by each parameter, last axis the parameter."""
    columns = []
    for j in range(len(at)):
        e = np.zeros_like(at)
        e[j] = h
        columns.append((np.asarray(function(at + e)) - np.asarray(function(at - e))) / (2.0 * h))
    return np.stack(columns, axis=-1)


def relative(actual: Array, expected: Array) -> float:
    """‖actual − expected‖/‖expected‖."""
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
