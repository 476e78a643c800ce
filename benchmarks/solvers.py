"""Seconds a label of each solver over outputs, columns and labels, and the solver that `auto` takes, in one run.

A learner that holds W labels gets as many more as make a refit due (SGDF: eight), and what that takes is divided by their
number. `auto` is held against the fastest of the solvers that leave a tangent to be trusted (a residual below 0.05).
Beside it, what `learner/solver.py` expects of a refit, over what was measured.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.config import Configuration, Training
from streamlearn.learner import columns, exact, learner, settings, solver, state
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

ROUNDS, SGDF_LABELS, TRUSTED = 3, 8, 0.05
SHAPES = (  # loss, outputs, columns
    ("squared", 1, 30), ("squared", 1, 300), ("logistic", 1, 10), ("logistic", 1, 30), ("logistic", 1, 100),
    ("logistic", 1, 300), ("logistic", 1, 1000), ("softmax", 10, 10), ("softmax", 10, 40), ("softmax", 10, 64),
    ("softmax", 60, 8), ("softmax", 60, 30),
)  # fmt: skip
LABELS = (50, 500, 5000)
TOLD = {
    name: settings.from_configuration(replace(Configuration(), training=Training(solver=name)))
    for name in ("newton", "cg", "sgdf", "auto")
}


def labels(loss: str, outputs: int, width: int, count: int) -> list[Labeled]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, width))
    scores = X @ rng.normal(size=(width, outputs)) / np.sqrt(width) + 0.5 * rng.normal(size=(count, outputs))
    if loss == "softmax":
        ys = [f"c{c}" for c in scores.argmax(axis=1)]
    else:
        ys = [bool(score > 0.0) if loss == "logistic" else float(score) for score in scores[:, 0]]
    return [Labeled(x, y, 1.0, False, False) for x, y in zip(X, ys, strict=True)]


def holding(loss: str, outputs: int, given: list[Labeled]) -> State:
    """A learner that was fitted to these labels by conjugate gradients."""
    classes = tuple(f"c{c}" for c in range(outputs)) if loss == "softmax" else ()
    here = state.init(TOLD["cg"], columns.State(), "" if classes else loss, classes)
    new_columns, encoded = columns.encode(here.columns, [label.x.tolist() for label in given])
    here = learner.observe(here, new_columns, encoded.rows)
    later = replace(TOLD["sgdf"], steps_per_label=1, batch_size=1)
    for label in given:
        here = learner.step(here, later, label)
    return exact.refit(here, TOLD["cg"])


@final
@dataclass(frozen=True)
class Measured:
    """Seconds of a label and of a refit (SGDF: of all labels that were given); the residual of the tangent that is left."""

    label_s: float
    refit_s: float
    residual: float


def measured(here: State, told: Settings, more: list[Labeled]) -> Measured:
    here = exact.refit(here, told) if told.solver != "sgdf" else learner.step(here, told, more[0])
    rounds = []
    for _ in range(ROUNDS):
        after, began = here, time.perf_counter()
        for label in more[1:]:
            after = learner.step(after, told, label)
        rounds.append(time.perf_counter() - began)
    fit, took = after.published, statistics.median(rounds)
    assert fit is not None
    end = after.examples.end if told.solver == "sgdf" else fit.end
    data = state.data(after, told, fit.frame, end, "all")
    whole = state.objective(after, told, fit.model, fit.frame)
    residual = whole.residual(fit.theta, fit.log_tangent, data, fit.regularity)
    return Measured(took / len(more[1:]), took / (after.updates - here.updates), residual)


def main() -> None:
    print(
        "loss       k    D      d      W | ms a label (residual): newton, cg, sgdf | auto, over the fastest | expected"
    )
    ratios = []
    for loss, outputs, width in SHAPES:
        for count in LABELS:
            more = count // 49 + 1  # labels until a refit is due
            given = labels(loss, outputs, width, count + 1 + max(more, SGDF_LABELS))
            here = holding(loss, outputs, given[:count])
            took = {
                name: measured(here, TOLD[name], given[count : count + 1 + (SGDF_LABELS if name == "sgdf" else more)])
                for name in ("newton", "cg", "sgdf")
            }
            chosen = solver.choose(here, TOLD["auto"])
            ratio = took[chosen].label_s / min(each.label_s for each in took.values() if each.residual < TRUSTED)
            off = solver.newton_s(count, outputs, 1 + width, loss == "squared") / took["newton"].refit_s
            shown = ", ".join(f"{1e3 * each.label_s:7.2f} ({each.residual:.0e})" for each in took.values())
            print(
                f"{loss:8} {outputs:3} {1 + width:4} {outputs * (1 + width):6} {count:6} | {shown} | {chosen:6} {ratio:5.2f} |"
                f" {off:.1f}, {solver.conjugate_s(count, outputs, 1 + width) / took['cg'].refit_s:.1f}",
                flush=True,
            )
            ratios.append(ratio)
    print(f"auto over the fastest that can be trusted: median {statistics.median(ratios):.2f}, most {max(ratios):.2f}")


if __name__ == "__main__":
    main()
