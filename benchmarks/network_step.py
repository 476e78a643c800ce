"""An SGDF step of a network against plain SGD of the same framework, and a score against a forward pass.

The peer is what a torch user writes: the module, its loss, `backward` and `torch.optim.SGD`. Ratios within one run, the rounds
of both taken in turn; medians, with the smallest and the largest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from streamlearn.core import sgdf
from streamlearn.core.losses import Softmax
from streamlearn.core.models import modules
from streamlearn.core.models.networks import NetworkArchitecture, Told
from streamlearn.core.objective import Data, Objective
from streamlearn.queries.sld import SquaredLossDerivative
from streamlearn.queries.strategy import View

ROUNDS, STEPS = 15, 20
CLASSES, RATE, LAMBDA, TOTAL, MEMORY = 10, 1e-3, 0.01, 10_000.0, 1000
SHAPES = ((784, 256, 256), (784, 256, 32), (64, 64, 256), (64, 64, 32))  # inputs, hidden, batch


def timed(count: int, act: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(count):
        act()
    return (time.perf_counter() - began) / count


def ratio(act: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float, float, float]:
    """Median, least and most of the ratio, and the peer's ms."""
    timed(3, act), timed(3, peer)
    rounds = [(timed(STEPS, act), timed(STEPS, peer)) for _ in range(ROUNDS)]
    ratios = [mine / other for mine, other in rounds]
    return statistics.median(ratios), min(ratios), max(ratios), 1e3 * statistics.median(other for _, other in rounds)


def measure(inputs: int, hidden: int, batch: int, curvature: str) -> str:
    told, factory = Told(curvature=curvature), partial(modules.mlp, hidden=(hidden,))
    model = NetworkArchitecture("mlp", factory, told).model(Softmax(), CLASSES, 1 + inputs)
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(batch), rng.normal(size=(batch, inputs))])
    y = rng.integers(0, CLASSES, batch).astype(float)
    objective, data = Objective(model, 0.01, free=()), Data(X, y, np.ones(batch))
    state = sgdf.init(model.first)

    def both() -> None:
        nonlocal state
        state, _ = sgdf.step(state, objective, data, TOTAL, LAMBDA, RATE, MEMORY)

    peer = modules.mlp(inputs, CLASSES, (hidden,))
    optimizer = torch.optim.SGD(peer.parameters(), lr=RATE, weight_decay=LAMBDA)
    rows, targets = torch.from_numpy(X[:, 1:]).float(), torch.from_numpy(y).long()

    def alone() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(peer(rows), targets).backward()
        optimizer.step()

    def forward() -> None:
        with torch.no_grad():
            peer(rows)

    both()
    view, sld = View(model, state.theta, state.log_tangent, None, None), SquaredLossDerivative()
    step, score = ratio(both, alone), ratio(lambda: sld.score(view, X, np.zeros(batch)), forward)
    cells = [f"{inputs}-{hidden}-{CLASSES}", str(model.size), str(batch), curvature]
    for median, least, most, peer_ms in (step, score):
        cells += [f"{peer_ms:.2f} ms", f"{median:.2f} ({least:.2f}–{most:.2f})"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    torch.set_num_threads(1)
    print("| network | d | batch | curvature | SGD step | SGDF step, times that | forward pass | SLD, times that |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for inputs, hidden, batch in SHAPES:
        for curvature in ("gauss-newton", "hessian"):
            print(measure(inputs, hidden, batch, curvature), flush=True)


if __name__ == "__main__":
    main()
