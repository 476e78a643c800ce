"""What river's estimators have in common: the learner's state, fed with dictionaries.

A number is a column, a string a category of its name. A name that is absent is 0, also before it was ever there, as to river's
own linear models; None and NaN count as the mean. Statistics of features are those of labeled examples, for `predict_one` of
river changes nothing. Rows are dense, of at most 4,096 columns; names beyond are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, problem, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled

X = dict[Any, Any]


@final
class Online:
    """The learner, told by keys of the configuration."""

    def __init__(self, told: Configuration) -> None:
        self.settings = assemble.learner_settings(told)
        self.state = state.init(self.settings, columns.State(zeros=True), told.model.loss, ())

    @property
    def fit(self) -> Fit | None:
        """What is served; None before anything could be fitted."""
        return self.state.published

    def learn(self, x: X, y: problem.Label, w: float) -> None:
        """One labeled example of weight w. ValueError: it cannot be taken, and why."""
        if not (w >= 0.0 and math.isfinite(w)):
            raise ValueError(f"the weight is {w}; it must be a finite number of at least 0")
        refusal = problem.refusal(self.state.problem, y)
        if refusal:
            raise ValueError(refusal)
        if w == 0.0:
            return
        known, rows = self._encoded([x])
        here = learner.observe(self.state, known, rows)
        self.state = learner.step(here, self.settings, Labeled(rows[0], y, w, audit=False, fold=0))

    def meet(self, x: X) -> Array:
        """The raw row (1, columns) of an event without a label; what it brings of columns is known from now on."""
        known, rows = self._encoded([x])
        self.state = learner.observe(self.state, known, rows[:0])
        return rows

    def outputs(self, fit: Fit, xs: Sequence[X]) -> Array:
        """f (n, outputs)."""
        return fit.model.outputs(fit.theta, fit.frame.design(self._encoded(xs)[1]))

    def _encoded(self, xs: Sequence[X]) -> tuple[columns.State, Array]:
        """The columns known then, and raw rows (n, columns)."""
        xs = [{name: _plain(value) for name, value in x.items()} for x in xs]
        known, encoded = columns.encode(self.state.columns, xs)
        for i, reason in encoded.reasons.items():
            raise ValueError(f"x[{i}]: {reason}" if len(xs) > 1 else reason)
        return known, encoded.rows


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value
