"""The learner as a classifier and a regressor of river: a linear model that is refitted on the labels, and tunes λ itself.

Not a step of SGD a label: the labeled examples are kept, θ and the tangent dθ/dλ are refitted on them (exactly where that is
bearable, see `learner/solver.py`), with every label up to a hundred, later whenever a fiftieth of what is kept is new, and each
label is a test example first, which tunes λ. That costs 15 to 40 times what a step of river's own linear models does
(`benchmarks/river_estimators.py`), and is meant for streams where labels are scarce. Nothing has to be scaled
or encoded first: numbers are standardised, strings are categories (`online.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from random import Random
from typing import TYPE_CHECKING, Any, final

import numpy as np
from river import base

from streamlearn import settings
from streamlearn.core.losses import Array
from streamlearn.river.online import Online, X

if TYPE_CHECKING:
    import pandas as pd


class Estimator(base.Estimator, ABC):
    """What both have in common."""

    def __init__(
        self,
        loss: str,
        regularizer: str,
        fixed_regularity: float | None,
        solver: str,
        keep: int,
        seed: int | None,
    ) -> None:
        self.regularizer, self.fixed_regularity = regularizer, fixed_regularity
        self.solver, self.keep, self.seed = solver, keep, seed
        told: dict[str, object] = {
            "model.loss": loss,
            "regularity.regularizer": regularizer,
            "regularity.learn": fixed_regularity is None,
            "training.solver": solver,
            "training.keep": keep,
            "queries.seed": Random().getrandbits(63) if seed is None else seed,
        }
        if fixed_regularity is not None:
            told["regularity.fixed"] = fixed_regularity
        self.online = Online(settings.given(told, type(self).__name__))

    @property
    def theta(self) -> Array | None:
        """The parameters of standardised features, (outputs · (1 + columns),), output by output with the intercept first.

        None before there is a model. Two classes have one output, of the second of them.
        """
        fit = self.online.fit
        return None if fit is None else fit.theta.copy()

    @property
    def tangent(self) -> Array | None:
        """The regularity tangent dθ/dλ, of the shape of `theta`; None before there is a model."""
        fit = self.online.fit
        return None if fit is None else fit.log_tangent / fit.regularity

    @property
    def regularity(self) -> float | None:
        """λ, which weighs the regularizer against the mean loss; None before there is a model."""
        fit = self.online.fit
        return None if fit is None else fit.regularity

    @property
    def columns(self) -> list[str]:
        """The names behind `theta`, (columns,) of them; a category as `name=category`."""
        names, fit = self.online.state.columns.names, self.online.fit
        return [] if fit is None else names[: fit.model.columns - 1]

    @abstractmethod
    def learn_one(self, x: X, y: Any) -> None:
        """Learn one labeled example."""

    def learn_many(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Learn rows in order: the same as `learn_one` of each, however the stream is cut into batches."""
        for x, label in zip(X.to_dict("records"), y.tolist(), strict=True):
            self.learn_one(x, label)


@final
class StreamlearnClassifier(Estimator, base.MiniBatchClassifier):
    """Linear classification, logistic or softmax, that tunes its own regularity.

    Parameters
    ----------
    regularizer
        "l2", "l1" (sparse), or "package.module:function" that returns R(θ) and its gradient.
    fixed_regularity
        λ. None: it starts high and is learned, every label being a test example before it is learned.
    solver
        "newton" and "cg" refit θ and its tangent exactly, "sgdf" takes a fixed number of steps a label; "auto" goes from one to
        the next as parameters and labels grow.
    keep
        How many of the newest labeled examples are trained on; 0: all, and memory grows.
    seed
        Of the stochastic solver's batches.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from streamlearn.river import StreamlearnClassifier
    >>> evaluate.progressive_val_score(datasets.Phishing(), StreamlearnClassifier(), metrics.Accuracy())
    Accuracy: 89.83%
    """

    def __init__(
        self,
        regularizer: str = "l2",
        fixed_regularity: float | None = None,
        solver: str = "auto",
        keep: int = 10_000,
        seed: int | None = None,
    ) -> None:
        super().__init__("", regularizer, fixed_regularity, solver, keep, seed)
        self._labels: dict[
            base.typing.ClfTarget, str
        ] = {}  # what the learner calls them: to it numbers might be values

    @property
    def _multiclass(self) -> bool:
        return True

    @property
    def classes(self) -> list[base.typing.ClfTarget]:
        """Those seen so far, in the order of the outputs."""
        labels = list(self._labels)
        return [labels[int(name)] for name in self.online.state.problem.classes]

    def learn_one(self, x: X, y: base.typing.ClfTarget, w: float = 1.0) -> None:
        """Learn one labeled example, of weight w."""
        label = y.item() if isinstance(y, np.generic) else y
        name = self._labels.get(label, str(len(self._labels)))
        self.online.learn(x, name, w)
        if w > 0.0:
            self._labels[label] = name

    def predict_proba_one(self, x: X, **kwargs: Any) -> dict[base.typing.ClfTarget, float]:
        """The probability of each class seen so far; {} before any was."""
        return dict(zip(self.classes, self._probabilities([x])[0].tolist(), strict=True))

    def predict_proba_many(self, X: pd.DataFrame) -> pd.DataFrame:
        """The same of every row, a column a class."""
        import pandas as pd  # an option of river's

        return pd.DataFrame(self._probabilities(X.to_dict("records")), index=X.index, columns=self.classes)

    def _probabilities(self, xs: list[X]) -> Array:
        """(n, classes); 0 of a class that is newer than the fit."""
        fit, count = self.online.fit, len(self._labels)
        if fit is None:
            return np.full((len(xs), count), 1.0 / max(1, count))
        known = fit.model.loss.probabilities(self.online.outputs(fit, xs))
        return np.pad(known, ((0, 0), (0, count - known.shape[1])))


@final
class StreamlearnRegressor(Estimator, base.MiniBatchRegressor):
    """Linear regression, of values or counts, that tunes its own regularity.

    Parameters
    ----------
    loss
        "squared", or "poisson" for counts.
    regularizer
        "l2", "l1" (sparse), or "package.module:function" that returns R(θ) and its gradient.
    fixed_regularity
        λ. None: it starts high and is learned, every label being a test example before it is learned.
    solver
        "newton" and "cg" refit θ and its tangent exactly, "sgdf" takes a fixed number of steps a label; "auto" goes from one to
        the next as parameters and labels grow.
    keep
        How many of the newest labeled examples are trained on; 0: all, and memory grows.
    seed
        Of the stochastic solver's batches.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from streamlearn.river import StreamlearnRegressor
    >>> evaluate.progressive_val_score(datasets.TrumpApproval(), StreamlearnRegressor(), metrics.MAE())
    MAE: 0.524471
    """

    def __init__(
        self,
        loss: str = "squared",
        regularizer: str = "l2",
        fixed_regularity: float | None = None,
        solver: str = "auto",
        keep: int = 10_000,
        seed: int | None = None,
    ) -> None:
        self.loss = loss
        super().__init__(loss, regularizer, fixed_regularity, solver, keep, seed)

    def learn_one(self, x: X, y: base.typing.RegTarget, w: float = 1.0) -> None:
        """Learn one labeled example, of weight w."""
        if not math.isfinite(y):
            raise ValueError(f"the label is {y}; it must be finite")
        self.online.learn(x, float(y), w)

    def predict_one(self, x: X) -> base.typing.RegTarget:
        """The expected value; 0 before there is a model."""
        return float(self._values([x])[0])

    def predict_many(self, X: pd.DataFrame) -> pd.Series:
        """The same of every row."""
        import pandas as pd  # an option of river's

        return pd.Series(self._values(X.to_dict("records")), index=X.index)

    def _values(self, xs: list[X]) -> Array:
        fit = self.online.fit
        if fit is None:
            return np.zeros(len(xs))
        values = fit.model.loss.prediction(self.online.outputs(fit, xs))
        return np.array([fit.frame.value(value) for value in values])
