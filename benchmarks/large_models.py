"""What H⁻¹ of large models costs where strategies look at it: formed once a fit, scored by it, pending queries counted.

Linear models, whose H⁻¹ is formed when it is looked at; networks, of which the last layer's is; and linear models that are too
wide for either, where pending queries are known by their similarity. The peer of a score is the model's own outputs on the
same rows, of the last layer's the whole network's forward pass. 128 events, 50 pending queries; CPU seconds, as others may use
the machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from streamlearn.core import newton
from streamlearn.core.losses import Array, named
from streamlearn.core.models import modules
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.core.models.networks import NetworkArchitecture, Told
from streamlearn.core.objective import Data, Objective
from streamlearn.queries import similarity
from streamlearn.queries.informed import Informed
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import View
from streamlearn.queries.uncertainty import Uncertainty
from streamlearn.queries.v_optimality import VOptimality

ROUNDS, EVENTS, PENDING, RECENT, SAMPLE = 7, 128, 50, 100, 512
LAMBDA, ANCHOR = 0.01, 0.01
LINEAR = ((1, 513), (10, 65), (1, 1024), (10, 102), (1, 1500), (10, 150))  # outputs, columns
NETWORKS = ((64, 32, 10), (784, 64, 10), (784, 256, 1), (784, 100, 10))  # inputs, hidden, outputs
WIDE = ((1, 5_000), (10, 5_000), (1, 50_000))


def seconds(act: Callable[[], object]) -> float:
    """The median round."""
    rounds = []
    for _ in range(ROUNDS):
        count, began = 0, time.process_time()
        while count == 0 or time.process_time() - began < 0.02:
            act()
            count += 1
        rounds.append((time.process_time() - began) / count)
    return statistics.median(rounds)


def drawn(rows: int, columns: int, seed: int) -> Array:
    return np.column_stack([np.ones(rows), np.random.default_rng(seed).normal(size=(rows, columns - 1))])


def head(outputs: int) -> str:
    return "softmax" if outputs > 1 else "logistic"


def formed(model: Linear, theta: Array, X: Array) -> newton.State:
    data = Data(X, np.zeros(len(X)), np.ones(len(X)))
    return newton.derivatives(theta, Objective(model, ANCHOR), data, LAMBDA)


def costs(sight: Sight, model: Model, columns: int, form: Callable[[], object] | None, seed: int = 0) -> list[str]:
    """Cells: forming in ms; counting one query; outputs; uncertainty, discounted, informed, V-optimality over those outputs."""
    X, asked = drawn(EVENTS, columns, seed + 1), drawn(PENDING, columns, seed + 2)
    sight = sight.looking(drawn(RECENT, columns, seed + 3))
    counted, draws = sight.count_all(asked), np.zeros(EVENTS)
    plain = seconds(lambda: model.outputs(sight.whole.theta, X))
    cells = [
        "–" if form is None else f"{1e3 * seconds(form):.0f} ms",
        f"{1e3 * seconds(lambda: counted.count(asked[0])):.2f} ms",
        f"{1e3 * plain:.2f} ms",
    ]
    judged = [(sight, Uncertainty()), (counted, Uncertainty()), (counted, Informed()), (counted, VOptimality())]
    for seen, strategy in judged:
        view = seen.of(strategy)
        if view.covariance is None and strategy.needs_inverse:
            cells.append("–")
            continue
        took = seconds(partial(seen.scores, [strategy], X, draws))
        cells.append(f"{1e3 * took:.1f} ms ({took / plain:.1f})")
    return cells


def linear(outputs: int, columns: int) -> list[str]:
    model = Linear(named(head(outputs)), outputs, columns)
    theta = np.random.default_rng(4).normal(size=model.size) / columns**0.5
    X = drawn(max(SAMPLE, 2 * model.size), columns, 5)
    state = formed(model, theta, X)
    view = View(model, theta, state.log_tangent, state.covariance, state.covariance)
    return [
        f"linear {columns} × {outputs}",
        str(model.size),
        *costs(Sight(view), model, columns, lambda: formed(model, theta, X)),
    ]


def network(inputs: int, hidden: int, outputs: int) -> list[str]:
    architecture = NetworkArchitecture("mlp", partial(modules.mlp, hidden=(hidden,)), Told())
    model, X = architecture.model(named(head(outputs)), outputs, 1 + inputs), drawn(SAMPLE, 1 + inputs, 5)
    last, theta = model.last_layer, model.first
    assert last is not None
    part, rows = Linear(model.loss, outputs, last.columns), partial(last.rows, theta)
    own = theta[last.at].astype(float)
    state = formed(part, own, rows(X))
    whole = View(model, theta, np.zeros_like(theta), None, None)
    sight = Sight(whole, View(part, own, state.log_tangent, state.covariance, state.covariance), rows)
    cells = costs(sight, model, 1 + inputs, lambda: formed(part, own, rows(X)))
    return [f"mlp {inputs}-{hidden}-{outputs}", f"{model.size} (last {part.size})", *cells]


def wide(outputs: int, columns: int) -> list[str]:
    model = Linear(named(head(outputs)), outputs, columns)
    theta = np.random.default_rng(4).normal(size=model.size) / columns**0.5
    known = similarity.none_pending(np.arange(columns) > 0, LAMBDA * SAMPLE, outputs)
    view = View(model, theta, np.zeros_like(theta), None, None, similar=known)
    return [f"linear {columns} × {outputs}", str(model.size), *costs(Sight(view), model, columns, None)]


def main() -> None:
    torch.set_num_threads(1)
    print(
        "| model | d | form H⁻¹ | count a query | outputs | uncertainty | with queries pending | informed | V-optimality |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for measure, shapes in ((linear, LINEAR), (network, NETWORKS), (wide, WIDE)):
        for shape in shapes:
            print("| " + " | ".join(measure(*shape)) + " |", flush=True)


if __name__ == "__main__":
    main()
