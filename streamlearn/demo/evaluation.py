"""The evaluation set: how good the published model is on rows that the daemon never sees.

Test loss: mean log loss, or half the mean squared error in the labels' own units. Score: accuracy, or R².
"""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.rows import Part
from streamlearn.learner import columns
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State

UNHEARD = -np.log(1e-3)  # log loss where the class has not been heard of: as of a probability of 1 in 1,000


class Quality(NamedTuple):
    """Of one model on the evaluation set."""

    loss: float
    score: float


@final
class Evaluation:
    """The rows, encoded once for every set of columns that the daemon has come to know."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._known: tuple[tuple[str, str | None], ...] | None = None
        self._rows: Array = np.empty((0, 0))

    def quality(self, state: State) -> Quality | None:
        """None: there is no model yet."""
        fit = state.published
        if fit is None:
            return None
        if state.columns.columns != self._known:
            self._known = state.columns.columns
            self._rows = columns.encode(state.columns, self._part.xs)[1].rows
        outputs = fit.model.outputs(fit.theta, fit.frame.design(self._rows))
        return self._of_classes(state, fit, outputs) if fit.model.loss.of_classes else self._of_values(fit, outputs)

    def _of_values(self, fit: Fit, outputs: Array) -> Quality:
        y = np.array(self._part.ys, dtype=float)
        errors = fit.model.loss.prediction(outputs) * fit.frame.target_scale + fit.frame.target_shift - y
        squares = float(errors @ errors)
        return Quality(0.5 * squares / len(y), 1.0 - squares / float(((y - y.mean()) ** 2).sum()))

    def _of_classes(self, state: State, fit: Fit, outputs: Array) -> Quality:
        index = {label: i for i, label in enumerate(state.problem.classes)}
        y = np.array([index.get(label, -1) for label in self._part.ys])
        y[y >= max(2, fit.model.outputs_count)] = -1  # heard, but not fitted yet
        losses = np.where(y < 0, UNHEARD, fit.model.loss.value(outputs, np.maximum(y, 0).astype(float)))
        return Quality(float(losses.mean()), float((fit.model.loss.prediction(outputs) == y).mean()))
