"""An SGDF step (θ and θ̇) against a plain gradient step (θ alone) of the same logistic model."""

from __future__ import annotations

import statistics
import time

import numpy as np

from streamlearn.core import sgdf
from streamlearn.core.losses import Logistic
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective

ROUNDS, STEPS = 9, 500


def ratio(columns: int, batch_size: int) -> float:
    generator = np.random.default_rng(0)
    objective = Objective(Linear(Logistic(), 1, columns), 0.01)
    X = generator.normal(size=(batch_size, columns))
    batch = Data(X, (X[:, 1] > 0).astype(float), np.ones(batch_size))
    rounds = []
    for _ in range(ROUNDS):
        state = sgdf.init(np.zeros(columns))
        began = time.perf_counter()
        for _ in range(STEPS):
            state, _ = sgdf.step(state, objective, batch, batch_size, 0.01, 0.01, 1000)
        between = time.perf_counter()
        theta = np.zeros(columns)
        for _ in range(STEPS):
            _, gradient = objective.value_gradient(theta, batch, 0.01)
            theta = theta - 0.01 * gradient
        rounds.append((between - began) / (time.perf_counter() - between))
    return statistics.median(rounds)


def main() -> None:
    for columns in (21, 101, 1001):
        for batch_size in (32, 256):
            print(f"d = {columns:4}, batch {batch_size:3}: {ratio(columns, batch_size):.2f} × a plain step")


if __name__ == "__main__":
    main()
