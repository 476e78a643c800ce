"""river's EntropySampler around its logistic (or softmax) regression on standardised features, defaults throughout."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from river import active, compose, linear_model, preprocessing

from benchmarks.peers import desk
from benchmarks.peers.peer import Array, Peer, Task

OFTEN, RARELY = 1e-2, 1e5  # discount factors: with steps this small predictions stay near a half for long


@final
class RiverEntropy(Peer):
    """One label, one step."""

    def __init__(self, task: Task, discount: float) -> None:
        self._classes: Final = task.classes
        last = linear_model.LogisticRegression() if task.classes == 2 else linear_model.SoftmaxRegression()
        self._model: Any = preprocessing.StandardScaler() | last
        self._sampler: Any = active.EntropySampler(self._model, discount_factor=discount, seed=task.seed)

    def asks(self, event: int, x: Array) -> bool:
        with compose.learn_during_predict():  # the scaler, from every event
            asked = self._sampler.predict_one(_named(x))[1]
        return bool(asked)

    def learn(self, event: int, x: Array, y: int) -> None:
        self._sampler.learn_one(_named(x), bool(y) if self._classes == 2 else y)

    def probabilities(self, X: Array) -> Array:
        found = [self._model.predict_proba_one(_named(x)) for x in X]
        return np.array([[told.get(y, 0.0) for y in range(self._classes)] for told in found])  # False is 0, True is 1


def make(task: Task) -> Peer:
    """Asking for the budget."""
    return RiverEntropy(task, desk.fitted(lambda discount: RiverEntropy(task, discount), task, OFTEN, RARELY))


def learner(task: Task) -> Peer:
    """For others that decide what it asks."""
    return RiverEntropy(task, 1.0)


def _named(x: Array) -> dict[int, float]:
    return dict(enumerate(x.tolist()))
