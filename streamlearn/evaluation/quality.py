"""The evaluation set: how good the published model is on rows that the daemon never sees.

Test loss: mean log loss, or half the mean squared error in the labels' own units. Score: accuracy (where classes are imbalanced
the mean over classes of the share that is recognised), or R².

Where rows stand in the order of time the model is judged on the evaluation rows around its moment, `AROUND` of them, as many
before as after: what is asked of a model in a stream that drifts is the concept as it is now, not what was true once. That is
fair because the daemon sees none of those rows, and every strategy is judged on the same ones at that moment; nothing is gained
by having asked much about what has passed. Right after an abrupt change half of them are of the new concept already, which
costs all alike. R² is then against the variance of the whole evaluation set, since within a moment there may be next to none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.evaluation.rows import Dataset, Part
from streamlearn.learner import columns
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State
from streamlearn.service.transforming import Transforming

UNHEARD = -np.log(1e-3)  # log loss where the class has not been heard of: as of a probability of 1 in 1,000
AROUND = 60
PROBABILITY_LEAST = 1e-15


class Quality(NamedTuple):
    """Of one model on the evaluation set."""

    loss: float
    score: float


@final
class Evaluation:
    """The rows set aside of a data set, encoded once for every set of columns that the daemon has come to know.

    A transformer goes on changing what it makes of them: with one they are encoded every time.
    """

    def __init__(self, dataset: Dataset, part: Part) -> None:
        self._dataset, self._part = dataset, part
        self._places, self._ys = np.array(part.places), np.array(part.ys, dtype=float if dataset.values else str)
        self._known: tuple[tuple[str, str | None], ...] | None = None
        self._rows: Array = np.empty((0, 0))

    def quality(self, state: State, place: int, transforming: Transforming | None = None) -> Quality | None:
        """Now that the stream has come to this place. None: there is no model yet."""
        fit = state.published
        if fit is None:
            return None
        now = self._around(place)
        return self.judged(state, fit, fit.model.outputs(fit.theta, self.design(state, fit, transforming)[now]), now)

    def design(self, state: State, fit: Fit, transforming: Transforming | None = None) -> Array:
        """The evaluation rows as the model takes them."""
        if transforming is not None:
            self._rows = transforming.encode(state.columns, self._part.xs, learns=False)[1].rows
        elif state.columns.columns != self._known:
            self._known = state.columns.columns
            self._rows = columns.encode(state.columns, self._part.xs)[1].rows
        return fit.frame.design(self._rows)

    def judged(self, state: State, fit: Fit, outputs: Array, rows: slice | NDArray[np.intp]) -> Quality:
        """What outputs of these evaluation rows are worth."""
        if fit.model.loss.of_classes:
            return self._of_classes(state, fit, outputs, rows)
        return self._of_values(fit, outputs, rows)

    def of_probabilities(
        self, classes: tuple[str, ...], heard: set[str], predict: Callable[[slice], Array], place: int
    ) -> Quality:
        """Of a model that is not the daemon's. predict(rows): a column a class; heard: classes of which it had a label."""
        now = self._around(place)
        labels = self._ys[now]
        known = [classes.index(str(label)) if str(label) in heard else -1 for label in labels]
        y, probabilities = np.array(known), predict(now)
        own = probabilities[np.arange(len(y)), y]
        losses = np.where(y < 0, UNHEARD, -np.log(np.maximum(own, PROBABILITY_LEAST)))
        return self._classified(labels, losses, probabilities.argmax(axis=1) == y)

    def _around(self, place: int) -> slice:
        count = len(self._places)
        if not self._dataset.ordered or count <= AROUND:
            return slice(0, count)
        begin = int(np.clip(np.searchsorted(self._places, place) - AROUND // 2, 0, count - AROUND))
        return slice(begin, begin + AROUND)

    def _of_values(self, fit: Fit, outputs: Array, now: slice | NDArray[np.intp]) -> Quality:
        errors = fit.model.loss.prediction(outputs) * fit.frame.target_scale + fit.frame.target_shift - self._ys[now]
        square = float(errors @ errors) / len(errors)
        return Quality(0.5 * square, 1.0 - square / float(self._ys.var()))

    def _of_classes(self, state: State, fit: Fit, outputs: Array, now: slice | NDArray[np.intp]) -> Quality:
        index = {label: i for i, label in enumerate(state.problem.classes)}
        labels = self._ys[now]
        y = np.array([index.get(str(label), -1) for label in labels])
        y[y >= max(2, fit.model.outputs_count)] = -1  # heard, but not fitted yet
        losses = np.where(y < 0, UNHEARD, fit.model.loss.value(outputs, np.maximum(y, 0).astype(float)))
        return self._classified(labels, losses, fit.model.loss.prediction(outputs) == y)

    def _classified(self, labels: Array, losses: Array, right: Array) -> Quality:
        if self._dataset.imbalanced:
            score = float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
        else:
            score = float(right.mean())
        return Quality(float(losses.mean()), score)
