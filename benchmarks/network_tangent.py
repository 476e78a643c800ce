"""How a network learns θ, θ̇ and λ, by what it is told: the optimizer, when θ̇ begins, what stands for the Hessian.

A multilayer perceptron on digits, 200 labels at random, told one after the other to the daemon's learner, which then settles.
Of every setting: the loss and accuracy on 500 other examples on the way and at the end, the mean loss of labels before they
were learned, and α = λW at the end, beside which stand the losses of some λ that were held. And what θ̇ is worth: how the
examples rank by ∇ℓ·θ̇ against how they do

    exact       by linear conjugate gradients on the same θ, with the same curvature and damping (rank, and the cosine of θ̇)
    refitted    by the loss's derivative between optima at λe^{±0.2}, reached from θ; of the first seeds, for it takes long

Prints a Markdown table: means over seeds ± the standard error where one is shown. Arguments: names of settings, else all.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from math import exp
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from streamlearn.config import Configuration
from streamlearn.core import conjugate
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.edges import networks
from streamlearn.learner import columns, learner, problem, settings, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled

SEEDS, REFITTED_SEEDS, LABELS, UNSEEN, ON_THE_WAY = range(10), range(2), 200, 500, (50, 100, 200)
APART, REFITS_MOST = 0.2, 3  # of log λ between optima, and how often a refit goes on
Sections = dict[str, dict[str, object]]
SETTINGS: dict[str, Sections] = {
    **{name: {"training": {"optimizer": name}} for name in ("sgd", "momentum", "adagrad", "adam")},
    "α from 10": {"regularity": {"initial_precision": 10.0}},
    "α from 1000": {"regularity": {"initial_precision": 1000.0}},
    "tangent settled": {"training": {"tangent": "settled"}},
    "hessian": {"training": {"curvature": "hessian"}},
    "hessian, damping 0.01": {"training": {"curvature": "hessian", "damping": 0.01}},
    "damping 0.01": {"training": {"damping": 0.01}},
    **{f"λ = {a}/200": {"regularity": {"learn": False, "fixed": a / LABELS}} for a in (5.0, 2.0, 1.0, 0.5, 0.2, 0.1)},
    "linear": {"model": {"kind": "linear"}, "training": {"solver": "sgdf"}},
}


class Stream(NamedTuple):
    """A learner that has seen all features, the labels to come, and other examples with theirs."""

    here: state.State
    labels: list[Labeled]
    X: Array
    y: list[problem.Label]


def told(sections: Sections) -> settings.Settings:
    configuration = Configuration()
    for section, keys in ({"model": {"kind": "mlp"}} | sections).items():
        changed = replace(getattr(configuration, section), **keys)
        configuration = replace(configuration, **{section: changed})
    linear = configuration.model.kind == "linear"
    architecture = None if linear else networks.architecture(configuration)
    return settings.from_configuration(configuration, architecture=architecture)


def digits(as_told: settings.Settings, seed: int) -> Stream:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    new_columns, encoded = columns.encode(columns.State(), X.tolist())
    here = learner.observe(state.init(as_told, columns.State(), "", ()), new_columns, encoded.rows)
    names: list[problem.Label] = [f"digit {label}" for label in y]
    labels = [Labeled(encoded.rows[i], names[i], 1.0, False, as_told.fold(0.5)) for i in order[:LABELS]]
    unseen = order[-UNSEEN:]
    return Stream(here, labels, encoded.rows[unseen], [names[i] for i in unseen])


def run(sections: Sections, seed: int) -> dict[str, float]:
    """Column → what was measured."""
    as_told = told(sections)
    here, labels, X, y = digits(as_told, seed)
    found: dict[str, float] = {}
    began = time.perf_counter()
    for count, label in enumerate(labels, start=1):
        here = learner.step(here, as_told, label)
        if count in ON_THE_WAY:
            paused = time.perf_counter()
            measured = of_fit(here, as_told, X, y)
            found |= {f"{each} {count}": measured[each] for each in ("loss", "rank", "cosine", "residual")}
            began += time.perf_counter() - paused
    found |= {"progressive": here.progress.mean or 0.0, "ms a label": 1e3 * (time.perf_counter() - began) / LABELS}
    found |= {"α": exp(here.tuner.log_precision), "restarts": float(here.restarts), "skipped": float(here.skipped)}
    began = time.perf_counter()
    while here.unfitted:
        here = learner.settle(here, as_told)
    found |= {"rounds": float(here.settled), "s to settle": time.perf_counter() - began}
    found |= of_fit(here, as_told, X, y)
    if seed in REFITTED_SEEDS and sections.get("model", {}).get("kind") != "linear":
        found["refitted"] = against_refitting(here, as_told, X, y)
    return found


def of_fit(here: state.State, as_told: settings.Settings, X: Array, y: list[problem.Label]) -> dict[str, float]:
    """Loss and accuracy on unseen examples, and θ̇ against an exact one at this θ."""
    fit = here.published
    assert fit is not None
    test = unseen(here, fit, X, y)
    outputs = fit.model.outputs(fit.theta, test.X)
    whole = state.objective(here, as_told, fit.model, fit.frame)
    train = state.data(here, as_told, fit.frame, here.examples.end, "all")
    source = -fit.regularity * whole.complexity_gradient(fit.theta)
    exact, _ = conjugate.solve(whole.linearised(fit.theta, train, fit.regularity), source, None, 1e-3)
    lengths = float(np.linalg.norm(exact) * np.linalg.norm(fit.log_tangent))
    return {
        "loss": float(fit.model.loss.value(outputs, test.y).mean()),
        "accuracy": float((outputs.argmax(axis=1) == test.y).mean()),
        "rank": ranked(slopes(fit, fit.log_tangent, test), slopes(fit, exact.astype(fit.theta.dtype), test)),
        "cosine": float(exact @ fit.log_tangent) / max(lengths, 1e-30),
        "residual": fit.residual,
    }


def against_refitting(here: state.State, as_told: settings.Settings, X: Array, y: list[problem.Label]) -> float:
    """Rank correlation of ∇ℓ·θ̇ with the difference between optima. These are the same whatever `curvature` is told."""
    fit, plain = here.published, told({})
    assert fit is not None
    model = plain.architecture.model(fit.model.loss, fit.model.outputs_count, fit.model.columns)
    whole = state.objective(here, plain, model, fit.frame)
    train, test = state.data(here, as_told, fit.frame, here.examples.end, "all"), unseen(here, fit, X, y)
    middle = optimum(whole, train, conjugate.State(fit.theta, fit.log_tangent), fit.regularity)
    ends = [optimum(whole, train, middle, fit.regularity * exp(sign * APART)) for sign in (-1.0, 1.0)]
    below, above = (model.loss.value(model.outputs(end.theta, test.X), test.y) for end in ends)
    return ranked(slopes(fit, fit.log_tangent, test), above - below)


def optimum(whole: Objective, train: Data, start: conjugate.State, regularity: float) -> conjugate.State:
    for _ in range(REFITS_MOST):
        start, info = conjugate.step(start, whole, train, regularity, 1e-3)
        if info.steps < conjugate.POLISHINGS_MOST:
            break
    return start


def unseen(here: state.State, fit: Fit, X: Array, y: list[problem.Label]) -> Data:
    known = np.array([label in here.problem.classes for label in y])
    targets = np.array([problem.target(here.problem, label) for label in y if label in here.problem.classes])
    return Data(fit.frame.design(X[known]), targets, np.ones(len(targets)))


def slopes(fit: Fit, tangent: Array, test: Data) -> Array:
    """∇ℓ·θ̇ (n,)."""
    f, moved = fit.model.response(fit.theta, tangent, test.X)
    return np.asarray((fit.model.loss.gradient(f, test.y) * moved).sum(axis=1))


def ranked(a: Array, b: Array) -> float:
    return float(spearmanr(a, b).statistic)


COLUMNS = {  # name → digits shown, and whether with the standard error
    **{f"loss {count}": (3, False) for count in ON_THE_WAY},
    **{"loss": (3, True), "accuracy": (3, False), "progressive": (3, True), "α": (2, False)},
    **{f"rank {count}": (2, False) for count in ON_THE_WAY},
    **{"rank": (2, False), "cosine": (2, False), "refitted": (2, False), "residual": (2, False)},
    **{"restarts": (1, False), "skipped": (0, False), "ms a label": (1, False), "rounds": (0, False)},
    "s to settle": (1, False),
}


def main() -> None:
    began = time.perf_counter()
    print("| setting | " + " | ".join(COLUMNS) + " |\n| --- |" + " --- |" * len(COLUMNS), flush=True)
    for name in sys.argv[1:] or SETTINGS:
        found = [run(SETTINGS[name], seed) for seed in SEEDS]
        cells = []
        for column, (places, with_error) in COLUMNS.items():
            values = np.array([each[column] for each in found if column in each])
            error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.{places}f}" if with_error else ""
            cells.append(f"{values.mean():.{places}f}{error}" if len(values) else "–")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        print(f"{name} {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
