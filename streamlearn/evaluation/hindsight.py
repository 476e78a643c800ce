"""Hindsight: which λ would have been the best, now that the evaluation set is known.

The final model is refitted on the very labels that were asked for, at every λ of a grid, and judged where it was judged. What
the tuned λ loses against the best of them is the price of not knowing: it contains that the tuner has no evaluation set, that
it sees few labels, and that those were chosen. The tuned λ is of the grid too, so the price is never below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamlearn.evaluation.quality import Quality
from streamlearn.learner import everybody, exact, solver
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

STEP = math.log(10.0) / 2.0  # of the grid, in log λ


class Hindsight(NamedTuple):
    """The best λ, and the loss and score on the evaluation set that it brings."""

    regularity: float
    loss: float
    score: float


def of(state: State, settings: Settings, quality: Callable[[State], Quality | None]) -> Hindsight | None:
    """quality: of a state's published model. None where the model has no one optimum to refit to, or λ is fixed."""
    fit, tuned = state.published, quality(state)
    if fit is None or tuned is None or not settings.learn_regularity or solver.choose(state, settings) == "sgdf":
        return None
    best = Hindsight(fit.regularity, *tuned)
    lowest, highest = map(math.log, settings.bounds_of(fit.model))
    for log_precision in np.arange(highest, lowest - 0.5 * STEP, -STEP):
        at = replace(state, tuner=replace(state.tuner, log_precision=float(log_precision)))
        state = exact.refit(everybody.outdated(at), settings, rounds=0)  # warm-started at the λ before
        there = quality(state)
        if there is not None and state.published is not None and there.loss < best.loss:
            best = Hindsight(state.published.regularity, *there)
    return best
