"""scikit-activeml's stream strategies, and scikit-learn's logistic regression refitted on all labels so far."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final, final

import numpy as np
from skactiveml.classifier import SklearnClassifier
from skactiveml.stream import FixedUncertainty, Split, StreamProbabilisticAL, VariableUncertainty
from skactiveml.utils import call_func
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.peers.peer import Array, Peer, Task

STRATEGIES: Final[dict[str, Callable[[Task], Any]]] = {
    "probabilistic": lambda task: StreamProbabilisticAL(metric="rbf", budget=task.budget, random_state=task.seed),
    "variable": lambda task: VariableUncertainty(budget=task.budget, random_state=task.seed),
    "split": lambda task: Split(budget=task.budget, random_state=task.seed),
    "fixed": lambda task: FixedUncertainty(list(range(task.classes)), budget=task.budget, random_state=task.seed),
}


# Of one class it can only tell how often it was met, of one row no bandwidth; and it says so each time.
warnings.filterwarnings("ignore", category=UserWarning, module="skactiveml")


@final
class ScikitActiveml(Peer):
    """Query, then update, as its tutorial does. It is not told of refusals: its budget managers would ask the more for them."""

    def __init__(self, task: Task, strategy: str) -> None:
        self._strategy = STRATEGIES[strategy](task)
        self._classifier = SklearnClassifier(LogisticRegression(), classes=list(range(task.classes)))
        self._scaler = StandardScaler()
        self._xs, self._ys = list[Array](), list[float]()
        self._fitted: int | None = None  # on how many labels
        self._X: Array = np.empty((0, 0))
        self._shift, self._scale = np.zeros_like(task.rows[0]), np.ones_like(task.rows[0])

    def asks(self, event: int, x: Array) -> bool:
        self._scaler.partial_fit(x[None, :])
        self._fit(x)
        candidates = self._standardised(x[None, :])
        queried, utilities = call_func(
            self._strategy.query,
            candidates=candidates,
            clf=self._classifier,
            X=self._X,
            y=self._targets(),
            fit_clf=False,
            return_utilities=True,
        )
        call_func(
            self._strategy.update,
            candidates=candidates,
            queried_indices=queried,
            budget_manager_param_dict={"utilities": utilities},
        )
        return len(queried) > 0

    def learn(self, event: int, x: Array, y: int) -> None:
        self._xs.append(x)
        self._ys.append(float(y))

    def probabilities(self, X: Array) -> Array:
        self._fit(X[0])
        return np.asarray(self._classifier.predict_proba(self._standardised(X)))

    def _fit(self, x: Array) -> None:
        """On all labels, where there are new ones; without any, on this row without a label."""
        if self._fitted == len(self._ys):
            return
        self._fitted = len(self._ys)
        self._shift, self._scale = self._scaler.mean_.copy(), self._scaler.scale_.copy()
        self._X = self._standardised(np.array(self._xs or [x]))
        self._classifier.fit(self._X, self._targets())

    def _targets(self) -> Array:
        return np.array(self._ys or [np.nan])

    def _standardised(self, X: Array) -> Array:
        return (X - self._shift) / self._scale
