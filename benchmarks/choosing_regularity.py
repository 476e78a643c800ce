"""Protocols that choose λ, by what the choice costs: the loss on unseen data over that of the best λ on a grid, × 1000.

Labels are drawn at random. Whatever the protocol, its α = λW is used for a model trained on all labels there are, in the
same frame; unseen data is all other examples. Losses are log-losses, and of standardised targets in regression. Protocols
of `core` search a grid of α; those of the daemon are its learner, label by label and then settled, with its defaults.
Prints a Markdown table: the mean over data sets and seeds ± its standard error over seeds, the data sets being what they
are. Not all sets have enough examples for every column.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from streamlearn.config import Configuration
from streamlearn.core import leave_one_out, newton, validation
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import columns, learner, problem, settings, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled
from streamlearn.learner.split import draws

SEEDS, SIZES, UNSEEN_LEAST = range(10), (20, 50, 100, 200, 500), 60
FINE, COARSE = np.geomspace(1e-2, 1e3, 31), np.geomspace(1e-2, 1e3, 16)  # of α: of the reference, and of searches
EXACT_MOST = 200  # labels: exact leave-one-out of more takes minutes, and is left out
DAEMON = ("progressive", "holdout", "rotating", "leave-one-out")


def breast_cancer() -> tuple[Array, list[Any]]:
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return X, [bool(label) for label in y]


def diabetes() -> tuple[Array, list[Any]]:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return X, [float(label) + 0.5 for label in y]  # never a whole number


def odd_digits() -> tuple[Array, list[Any]]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X, [bool(label % 2) for label in y]


def wine() -> tuple[Array, list[Any]]:
    from sklearn.datasets import load_wine

    X, y = load_wine(return_X_y=True)
    return X, [f"class {label}" for label in y]


def phishing() -> tuple[Array, list[Any]]:
    from river.datasets import Phishing

    rows = list(Phishing())
    return np.array([list(x.values()) for x, _ in rows], dtype=float), [bool(y) for _, y in rows]


def bananas() -> tuple[Array, list[Any]]:
    """Two columns, with random Fourier features: 40 cosines."""
    from river.datasets import Bananas

    rows = list(Bananas())
    X = np.array([list(x.values()) for x, _ in rows], dtype=float)
    rng = np.random.default_rng(0)
    return np.cos(X @ rng.normal(size=(2, 40)) + rng.uniform(0.0, 2.0 * np.pi, 40)), [bool(y) for _, y in rows]


SETS: dict[str, Callable[[], tuple[Array, list[Any]]]] = {
    each.__name__: each for each in (breast_cancer, diabetes, odd_digits, wine, phishing, bananas)
}


def run(name: str, seed: int) -> dict[str, dict[int, float]]:
    """Protocol → number of labels → excess, for one data set in one order."""
    X, y = SETS[name]()
    order = np.random.default_rng(seed).permutation(len(y))
    sizes = [size for size in SIZES if size + UNSEEN_LEAST <= len(y)]
    unseen = order[sizes[-1] :][:2000]
    tuned = {each: snapshots(each, X, y, order, sizes) for each in DAEMON}
    found: dict[str, dict[int, float]] = {}
    for size in sizes:
        here, told = tuned["progressive"][size]
        fit = here.published
        assert fit is not None
        objective = state.objective(here, told, fit.model, fit.frame)
        train = state.data(here, told, fit.frame, here.examples.end, "all")
        targets = np.array([problem.target(here.problem, y[i]) for i in unseen])
        test = Data(fit.frame.design(X[unseen]), fit.frame.targets(targets), np.ones(len(unseen)))
        chosen = searched(objective, train, size, np.random.default_rng(seed))
        chosen |= {f"daemon: {each}": np.exp(tuned[each][size][0].tuner.log_precision) for each in DAEMON}
        best = min(loss(fit, objective, train, test, alpha) for alpha in FINE)
        for protocol, alpha in chosen.items():
            found.setdefault(protocol, {})[size] = 1000.0 * (loss(fit, objective, train, test, float(alpha)) - best)
    return found


def snapshots(
    protocol: str, X: Array, y: list[Any], order: Array, sizes: list[int]
) -> dict[int, tuple[state.State, settings.Settings]]:
    """The learner after each number of labels, settled; all features were seen before."""
    told = settings.from_configuration(
        replace(Configuration(), regularity=replace(Configuration().regularity, validation=protocol))
    )
    here = state.init(told, columns.State(), "", ())
    new_columns, encoded = columns.encode(here.columns, X.tolist())
    here = learner.observe(here, new_columns, encoded.rows)
    uniform = draws([str(i) for i in order[: sizes[-1]]], seed=int(order[0])).holdout
    found = {}
    for count, i in enumerate(order[: sizes[-1]], start=1):
        label = Labeled(encoded.rows[i], y[i], 1.0, False, told.fold(float(uniform[count - 1])))
        here = learner.step(here, told, label)
        if count in sizes:
            found[count] = (learner.settle(here, told), told)
    return found


def searched(objective: Objective, train: Data, size: int, generator: np.random.Generator) -> dict[str, float]:
    """Protocol → α of those that search a grid, and of those that are fixed."""
    folds = validation.refitted(objective, train, COARSE, validation.folds(len(train.y), 5, generator))
    leverage = validation.approximated(objective, train, COARSE)
    first = validation.approximated(objective, train, COARSE, leave_one_out.first_order)
    losses = {
        "5-fold, anchored": (folds, True),
        "leave-one-out by leverage, anchored": (leverage, True),
        "leave-one-out by leverage": (leverage, False),
        "leave-one-out by first order, anchored": (first, True),
        "leave-one-out by first order": (first, False),
    }
    if size <= EXACT_MOST:
        exact = validation.refitted(objective, train, COARSE, np.arange(len(train.y)))
        losses = {"leave-one-out, exact, anchored": (exact, True)} | losses
    chosen = {
        name: validation.choose(each, train.w, COARSE, anchored).precision for name, (each, anchored) in losses.items()
    }
    return chosen | {"fixed α = 1": 1.0, "fixed λ = 1e-2": 1e-2 * float(train.w.sum())}


def loss(fit: Fit, objective: Objective, train: Data, test: Data, alpha: float) -> float:
    """Mean loss on unseen data of the model that is trained with this α."""
    start = newton.State(fit.theta, fit.log_tangent, np.empty((0, 0)))
    solved, _ = newton.step(start, objective, train, alpha / float(train.w.sum()))
    return float(fit.model.loss.value(fit.model.outputs(solved.theta, test.X), test.y).mean())


def main() -> None:
    began, tasks = time.perf_counter(), [(name, seed) for seed in SEEDS for name in SETS]
    with ProcessPoolExecutor(2) as pool:
        found = []
        for task, result in zip(tasks, pool.map(run, *zip(*tasks, strict=True)), strict=True):
            found.append(result)
            print(
                f"{len(found)}/{len(tasks)} {task[0]} {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True
            )
    print("| protocol | " + " | ".join(map(str, SIZES)) + " |")
    print("| --- |" + " --- |" * len(SIZES))
    for protocol in found[0]:
        cells = []
        for size in SIZES:
            values = [each[protocol][size] for each in found if size in each.get(protocol, {})]
            by_seed = np.array(values).reshape(len(SEEDS), -1).mean(axis=1) if values else np.empty(0)
            error = by_seed.std(ddof=1) / np.sqrt(len(SEEDS)) if values else 0.0
            cells.append(f"{by_seed.mean():.0f} ± {error:.0f}" if values else "–")
        print(f"| {protocol} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
