"""A scorer: events to what the daemon would say of them, by a model that it has published for scorers.

It carries nothing from one event to the next. The code that scores is the daemon's (`asking.look`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.learner import columns, problem
from streamlearn.learner.settings import unwatched
from streamlearn.service import scoring
from streamlearn.service.asking import look
from streamlearn.service.blocks import BLOCK
from streamlearn.service.model_snapshot import ModelSnapshot


@final
@dataclass(frozen=True)
class Judged:
    """Of events: raw rows (n, columns); reasons of those that cannot be scored, by their place; scores (n,), NaN where the
    strategy cannot judge; outputs (n, k) and predictions (n,) of the model.
    """

    rows: Array
    reasons: dict[int, str]
    scores: Array
    outputs: Array
    predictions: Array


@final
class Scorer:
    """model: the snapshot's, with what is needed to compute; computing: entered around that."""

    def __init__(
        self, snapshot: ModelSnapshot, model: Model, computing: Callable[[], AbstractContextManager[object]]
    ) -> None:
        """Raises ValueError where the snapshot has not what scorers need."""
        if snapshot.scoring is None:
            raise ValueError("the model was published without models.for_scorers = true")
        self.snapshot, self._computing = snapshot, computing
        self._strategy = scoring.strategy(snapshot.scoring)
        self._sight = scoring.sight(snapshot.scoring, model, snapshot.theta, snapshot.log_tangent)
        self._problem = problem.State(model.loss.name, snapshot.classes)
        self.threshold = snapshot.scoring.threshold
        self.trusted = snapshot.trusted or not self._strategy.by_tangent

    def score(self, xs: Sequence[columns.Features], draws: Array, alive: Callable[[], None] = unwatched) -> Judged:
        """draws (n,): a uniform number an event, a hash of its id. alive: called between blocks."""
        _, encoded = columns.encode(self.snapshot.columns, xs)
        rows, k = encoded.rows, self._sight.whole.model.outputs_count
        scores, outputs, predictions = np.empty(len(xs)), np.empty((len(xs), k)), np.empty(len(xs))
        with self._computing():
            for start in range(0, len(xs), BLOCK):
                alive()
                part = slice(start, start + BLOCK)
                looked = look(self._sight, self.snapshot.frame, [self._strategy], rows[part], draws[part], 0)
                assert looked.outputs is not None
                assert looked.predictions is not None
                scores[part], outputs[part], predictions[part] = looked.scores[0], looked.outputs, looked.predictions
        return Judged(rows, encoded.reasons, scores, outputs, predictions)

    def said(self, prediction: float) -> problem.Label:
        """A prediction as a user reads it."""
        of_classes = self._sight.whole.model.loss.of_classes
        value = prediction if of_classes else self.snapshot.frame.value(prediction)
        return problem.prediction(self._problem, value)

    def passes(self, judged: Judged) -> NDArray[np.bool_]:
        """Which of them are candidates by their score, (n,): also those of which nothing can be said."""
        return ~(judged.scores < self.threshold)
