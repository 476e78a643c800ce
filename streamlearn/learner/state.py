"""The learner's state: everything that learning carries from one label to the next, as one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import columns, examples, penalty, problem, progress, tuner
from streamlearn.learner.fit import Fit, Frame
from streamlearn.learner.settings import Settings

FORGOTTEN = 3.0  # Σηλ: 5 % are left


@final
@dataclass(frozen=True)
class State:
    """fit: trained on training examples; published: what is served (with a hold-out, trained on all; else the same).

    refined: the serial behind the last example that its user's deviation has learned;
    unfitted: labels since the last refit (SGDF: since it last settled);
    settled: rounds of settling since the last label; turns: how often the held-out fold has moved on; forgetting: the Σηλ
    that SGDF has to go until θ has forgotten that fold (below 0: since then);
    skipped, failing: updates that were not finite and not taken, in all and in a row; restarts: of the tangent, exploded.
    """

    columns: columns.State
    problem: problem.State
    moments: moments.State
    examples: examples.State
    tuner: tuner.State
    progress: progress.State
    fit: Fit | None = None
    published: Fit | None = None
    labels: int = 0
    refined: int = 0
    unfitted: int = 0
    settled: int = 0
    turns: int = 0
    forgetting: float = 0.0
    updates: int = 0
    skipped: int = 0
    failing: int = 0
    restarts: int = 0
    test_loss: float | None = None


def init(settings: Settings, known: columns.State, loss: str, classes: tuple[problem.Label, ...]) -> State:
    return State(
        columns=known,
        problem=problem.init(loss, classes),
        moments=moments.init(0),
        examples=examples.init(),
        tuner=tuner.init(settings.initial_precision),
        progress=progress.State(),
    )


def data(state: State, settings: Settings, frame: Frame, end: int, which: str) -> Data:
    """The newest `keep` examples before serial `end`, as solvers take them; which: `train`, `test` or `all`.

    Forgotten ones are left out.
    """
    kept, rows = state.examples, places(state, settings, end, which)
    return Data(frame.design(kept.X[rows]), frame.targets(kept.target[rows]), kept.weight[rows])


def places(state: State, settings: Settings, end: int, which: str = "all") -> NDArray[np.intp]:
    """Where those are among the kept ones, in order."""
    stop = max(0, end - state.examples.first)
    start = max(0, stop - settings.keep) if settings.keep else 0
    return start + np.flatnonzero(weights_of(state, settings, which)[start:stop] > 0.0)


def held(state: State, settings: Settings) -> int:
    """The fold that is held out now; 0: none."""
    if settings.validation == "rotating":
        return 1 + state.turns % settings.folds
    return int(settings.validation == "holdout")


def turned(state: State, settings: Settings) -> State:
    """Where folds rotate, the next one is held out that divides the examples; if none does, one that is empty."""
    if settings.validation != "rotating":
        return state
    kept, part = state.examples, newest(state, settings)
    there = kept.fold[part][kept.weight[part] > 0.0]
    sizes, k = np.bincount(there, minlength=settings.folds + 1), settings.folds
    following = range(state.turns + 1, state.turns + 1 + k)
    dividing = (turns for turns in following if 0 < sizes[1 + turns % k] < len(there))
    empty = (turns for turns in following if sizes[1 + turns % k] == 0)
    return replace(state, turns=next(dividing, next(empty, state.turns)), forgetting=FORGOTTEN)


def newest(state: State, settings: Settings) -> slice:
    """The rows of the newest `keep` examples."""
    n = len(state.examples)
    return slice(max(0, n - settings.keep) if settings.keep else 0, n)


def weights_of(state: State, settings: Settings, which: str) -> Array:
    """The weights of all examples there are, 0 where `which` (`train`, `test` or `all`) leaves one out, (len,)."""
    kept = state.examples
    weights = kept.weight[: len(kept)]
    if which == "all":
        return weights
    tests = examples.members(kept, held(state, settings))
    return weights * (tests if which == "test" else ~tests)


def trains(state: State, settings: Settings) -> bool:
    """Whether there is any example to train on: with a hold-out there may be none as yet, and all may be forgotten."""
    which = "train" if settings.validation == "holdout" else "all"  # a fold that rotates moves on
    return bool(weights_of(state, settings, which)[newest(state, settings)].any())


def without_model(state: State) -> State:
    """What is left when there is nothing to train on; that is no failure."""
    return replace(state, fit=None, published=None, test_loss=None, unfitted=0)


def frame(state: State, settings: Settings) -> Frame:
    """The frame that the moments and targets of this moment give."""
    scaling = moments.scaling(state.moments)
    if not (settings.standardise and state.problem.loss == "squared"):
        return Frame(scaling, settings.standardise, 0.0, 1.0)
    weights = weights_of(state, settings, "train")
    values = state.examples.target[: len(weights)][weights > 0.0]
    scale = float(values.std()) if len(values) > 1 else 1.0
    return Frame(scaling, True, float(values.mean()) if len(values) else 0.0, scale if scale > 0.0 else 1.0)


def regularity(state: State, settings: Settings, weight: float) -> float:
    """λ = α/W for total weight W, or the fixed one."""
    if not settings.learn_regularity:
        return settings.fixed_regularity
    return math.exp(state.tuner.log_precision) / weight


def objective(state: State, settings: Settings, model: Model, frame: Frame) -> Objective:
    """The training objective of this model under this frame."""
    return penalty.objective(settings.penalty, state.columns, state.problem, model, frame)
