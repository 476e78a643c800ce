"""Small labeled streams and a learner that runs over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from streamlearn.config import Configuration, Features, Regularity, Training, Validation
from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, settings, state
from streamlearn.learner.learner import Labeled
from streamlearn.learner.problem import Label
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

WIDTH = 3


def told(
    solver: str = "newton",
    validation: str = "progressive",
    keep: int = 0,
    learn: bool = True,
    standardise: bool = True,
) -> Settings:
    return settings.from_configuration(
        replace(
            Configuration(),
            features=Features(standardise=standardise),
            training=Training(solver=solver, keep=keep),
            regularity=Regularity(validation=validation, learn=learn, fixed=0.05),
            validation=Validation(test_share=0.3),
        )
    )


ANSWERS: dict[str, Callable[[float], Label]] = {
    "squared": lambda score: round(score, 3) + 1e-4,  # never a whole number
    "logistic": lambda score: score > 0.0,
    "softmax": lambda score: "low" if score < -0.8 else "high" if score > 0.8 else "middle",
}


def labels(head: str, count: int, seed: int = 0, test_share: float = 0.0, folds: int = 1) -> list[Labeled]:
    """Random examples of a noisy linear problem; weights differ, every fifth label answers an audit.

    `test_share` of them are in fold 1, or they are spread over `folds`; else in fold 0.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, WIDTH))
    scores = X @ np.array([1.0, -0.5, 0.25]) + 0.5 * rng.normal(size=count)
    weights, draws = rng.choice([0.5, 1.0, 2.0], size=count), rng.random(count)
    fold = draws < test_share if folds == 1 else 1 + np.floor(folds * draws)
    return [
        Labeled(X[i], ANSWERS[head](float(scores[i])), float(weights[i]), i % 5 == 0, int(fold[i]))
        for i in range(count)
    ]


def start(told: Settings, X: Array | None = None, classes: tuple[Label, ...] = (), loss: str = "") -> State:
    """A learner that has seen 40 events (or X), but no label."""
    rows = np.random.default_rng(99).normal(size=(40, WIDTH)) * [1.0, 3.0, 0.2] + [0.0, 5.0, -1.0] if X is None else X
    here = state.init(told, columns.State(), loss, classes)
    new_columns, encoded = columns.encode(here.columns, rows.tolist())
    return learner.observe(here, new_columns, encoded.rows)


def learned(here: State, told: Settings, given: Sequence[Labeled]) -> State:
    for label in given:
        here = learner.step(here, told, label)
    return here
