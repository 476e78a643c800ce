"""What a peer is to the desk that answers it: asked about one event at a time, told of labels as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Task:
    """rows: the stream's, in order; ys: their classes as numbers, of which the desk tells what was asked."""

    rows: Array
    ys: tuple[int, ...]
    classes: int
    budget: float
    delay: int
    seed: int


class Peer(ABC):
    """Rows are numbers, classes 0 to k − 1."""

    @abstractmethod
    def asks(self, event: int, x: Array) -> bool:
        """Whether it wants the label of this event, the next one in the stream's order."""

    @abstractmethod
    def learn(self, event: int, x: Array, y: int) -> None:
        """The label of an event that was asked for."""

    @abstractmethod
    def probabilities(self, X: Array) -> Array:
        """Of rows, a column a class; nothing is learned from them."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what is held outside Python."""


@final
class ByChance(Peer):
    """The learner of another peer, asking by chance."""

    def __init__(self, learner: Peer, task: Task) -> None:
        self._learner, self._budget = learner, task.budget
        self._generator = np.random.default_rng([task.seed, len(task.rows)])

    def asks(self, event: int, x: Array) -> bool:
        self._learner.asks(event, x)  # for what it learns from every event
        return bool(self._generator.random() < self._budget)

    def learn(self, event: int, x: Array, y: int) -> None:
        self._learner.learn(event, x, y)

    def probabilities(self, X: Array) -> Array:
        return self._learner.probabilities(X)

    def close(self) -> None:
        self._learner.close()
