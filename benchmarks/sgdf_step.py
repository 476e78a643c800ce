"""An SGDF step (θ and θ̇) against a step of θ alone of the same logistic model: time, and memory beside the batch.

θ alone takes plain, Adagrad or Adam steps as SGDF does. Memory is the peak of what numpy holds while steps are taken, state
included, in vectors of d.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from streamlearn.core import preconditioners, sgdf
from streamlearn.core.losses import Array, Logistic
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective

ROUNDS, WORK = 7, 2e8  # work: multiplications a round
RATE, LAMBDA, TOTAL, MEMORY = 1e-3, 0.01, 10_000.0, 1000
SHAPES = ((21, 32), (101, 32), (1001, 32), (1001, 256), (100_001, 32), (1_000_001, 8))
Steps = Callable[[int], None]


def problem(columns: int, batch_size: int) -> tuple[Objective, Data]:
    X = np.random.default_rng(0).normal(size=(batch_size, columns))
    return Objective(Linear(Logistic(), 1, columns), 0.01), Data(X, (X[:, 1] > 0).astype(float), np.ones(batch_size))


def both(objective: Objective, batch: Data, name: str) -> Steps:
    """So many steps of θ and θ̇."""
    preconditioner = preconditioners.named(name)

    def steps(count: int) -> None:
        state = sgdf.init(np.zeros(objective.model.size))
        for _ in range(count):
            state, _ = sgdf.step(state, objective, batch, TOTAL, LAMBDA, RATE, MEMORY, preconditioner)

    return steps


def alone(objective: Objective, batch: Data, name: str) -> Steps:
    """So many steps of θ."""

    def steps(count: int) -> None:
        theta = np.zeros(objective.model.size)
        mean, square = theta, theta
        for t in range(1, count + 1):
            _, gradient = objective.value_gradient(theta, batch, LAMBDA)
            down: Array = gradient
            if name == "adagrad":
                square = square + gradient * gradient
                down = gradient / np.sqrt(square + 1e-12)
            elif name == "adam":
                mean = mean + 0.1 * (gradient - mean)
                square = square + 0.001 * (gradient * gradient - square)
                down = mean / (1.0 - 0.9**t) / np.sqrt(square / (1.0 - 0.999**t) + 1e-12)
            theta = theta - RATE * down

    return steps


def seconds(steps: Steps, count: int) -> float:
    began = time.perf_counter()
    steps(count)
    return time.perf_counter() - began


def peak(steps: Steps, columns: int) -> float:
    """In vectors of d."""
    tracemalloc.start()
    steps(3)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / (8.0 * columns)


def main() -> None:
    for columns, batch_size in SHAPES:
        objective, batch = problem(columns, batch_size)
        count = max(3, min(500, int(WORK / (columns * batch_size))))
        for name in preconditioners.NAMES:
            ours, theirs = both(objective, batch, name), alone(objective, batch, name)
            ratio = statistics.median(seconds(ours, count) / seconds(theirs, count) for _ in range(ROUNDS))
            text = f"d = {columns:9,}, batch {batch_size:3}, {name:7}: {ratio:.2f} × the time of θ alone"
            if columns > 10_000:
                vectors, fewer = peak(ours, columns), peak(theirs, columns)
                whole = (vectors + batch_size) / (fewer + batch_size)
                text += f"; {vectors:.1f} vectors of d against {fewer:.1f}, {vectors / fewer:.2f} ×"
                text += f" (the batch included {whole:.2f} ×)"
            print(text, flush=True)


if __name__ == "__main__":
    main()
