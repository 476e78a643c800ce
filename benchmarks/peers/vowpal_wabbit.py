"""Vowpal Wabbit's `--active`, in this process; two classes.

Its Python package has no call for the importance that it asks with: it writes it beside the prediction, as its daemon answers,
so it is read from there, through a pipe.
"""

from __future__ import annotations

import os
from typing import Any, final

import numpy as np
from vowpalwabbit import Workspace

from benchmarks.peers import desk
from benchmarks.peers.peer import Array, Peer, Task

OFTEN, RARELY = 1e3, 1e-9  # mellowness


@final
class VowpalWabbit(Peer):
    """Raw features: its updates are scale-free."""

    def __init__(self, task: Task, mellowness: float) -> None:
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        self._vw: Any = Workspace(
            "--active --no_daemon --quiet --loss_function logistic --link logistic"
            f" --mellowness {mellowness!r} --random_seed {task.seed + 1} -p /dev/fd/{self._writes}"
        )
        self._importance = dict[int, float]()
        self._examples = dict[bytes, Any]()

    def asks(self, event: int, x: Array) -> bool:
        example = self._vw.parse(_line(x))
        self._vw.predict(example)
        told = self._finished(example)
        if len(told) == 2:  # the prediction, and the importance of the label where it wants one
            self._importance[event] = float(told[1])
        return len(told) == 2

    def learn(self, event: int, x: Array, y: int) -> None:
        example = self._vw.parse(f"{2 * y - 1} {self._importance.pop(event, 1.0)!r} {_line(x)}")
        self._vw.learn(example)
        self._finished(example)

    def probabilities(self, X: Array) -> Array:
        """Examples that are never finished: those would count as events that it was not asked to label."""
        ones = np.array([self._vw.predict(self._kept(x)) for x in X])
        return np.column_stack([1.0 - ones, ones])

    def close(self) -> None:
        for example in self._examples.values():
            self._vw.finish_example(example)
            self._read()
        self._vw.finish()
        os.close(self._reads)
        os.close(self._writes)

    def _kept(self, x: Array) -> Any:
        key = x.tobytes()
        if key not in self._examples:
            self._examples[key] = self._vw.parse(_line(x))
        return self._examples[key]

    def _finished(self, example: Any) -> list[str]:
        self._vw.finish_example(example)
        return self._read().split()

    def _read(self) -> str:
        return os.read(self._reads, 4096).decode()


def make(task: Task) -> Peer:
    """Asking for the budget."""
    return VowpalWabbit(task, desk.fitted(lambda mellowness: VowpalWabbit(task, mellowness), task, OFTEN, RARELY))


def learner(task: Task) -> Peer:
    """For others that decide what it asks."""
    return VowpalWabbit(task, 1.0)


def _line(x: Array) -> str:
    return "| " + " ".join(f"f{i}:{value!r}" for i, value in enumerate(x.tolist()))
