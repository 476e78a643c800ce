"""The best λ in hindsight, against an optimiser of another library at every λ of the grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.evaluation import datasets, hindsight, trial
from streamlearn.evaluation.quality import Quality
from streamlearn.learner import state
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State
from tests.learner.streams import labels, learned, start, told

PRECISIONS = 10.0 ** np.arange(3.0, -2.1, -0.5)
UNSEEN = labels("logistic", 300, seed=5)
Y = np.array([float(bool(label.y)) for label in UNSEEN])


def loss(fit: Fit, theta: Array) -> float:
    """On examples that were never labeled."""
    X = fit.frame.design(np.array([label.x for label in UNSEEN]))
    return float(fit.model.loss.value(fit.model.outputs(theta, X), Y).mean())


def judged(here: State) -> Quality | None:
    return here.published and Quality(loss(here.published, here.published.theta), 0.0)


@pytest.mark.parametrize("count", [25, 80])
def test_it_is_the_best_of_what_another_optimiser_finds(count: int) -> None:
    settings = told()
    here = learned(start(settings), settings, labels("logistic", count))
    fit = here.published
    assert fit is not None
    train = state.data(here, settings, fit.frame, here.examples.end, "all")
    objective, weight = state.objective(here, settings, fit.model, fit.frame), float(train.w.sum())

    def refitted(precision: float) -> float:
        def descend(theta: Array) -> tuple[float, Array]:
            return objective.value_gradient(theta, train, precision / weight)

        return loss(fit, minimize(descend, np.zeros(fit.model.size), jac=True, method="BFGS").x)

    losses, tuned = [refitted(precision) for precision in PRECISIONS], loss(fit, fit.theta)
    found = hindsight.of(here, settings, judged)
    assert found is not None
    assert found.loss == pytest.approx(min(*losses, tuned), rel=1e-4)
    best = PRECISIONS[int(np.argmin(losses))] / weight if min(losses) < tuned else fit.regularity
    assert found.regularity == pytest.approx(best)


@pytest.mark.parametrize("kind", ["gamma-normal", "hierarchy"])
def test_users_who_are_solved_for_at_once_are_so_at_every_regularity(kind: str) -> None:
    settings, seen = replace(told(), users=Users(kind)), list[bytes]()
    given = [replace(label, user="ab"[i % 2]) for i, label in enumerate(labels("squared", 40))]

    def noted(here: State) -> Quality | None:
        assert here.published is not None
        assert here.published.everybody is not None
        seen.append(here.published.everybody.precisions.tobytes())
        return judged(here)

    assert hindsight.of(learned(start(settings), settings, given), settings, noted) is not None
    assert len(set(seen)) == len(seen) > 5


def test_there_is_none_of_a_fixed_regularity_nor_where_steps_learn() -> None:
    for settings in (told(learn=False), told(solver="sgdf")):
        here = learned(start(settings), settings, labels("logistic", 30))
        assert hindsight.of(here, settings, judged) is None


def test_a_trial_that_looks_back_is_the_same_trial(tmp_path: Path) -> None:
    plan = trial.Plan("random", 0, 0.1, 20, dataset="iris")
    folders = [tmp_path / name for name in ("plain", "back")]
    for folder in folders:
        folder.mkdir()
    iris = datasets.load("iris", None)
    plain, back = (
        play(iris, plan, folder, lambda *_: True)
        for play, folder in zip((trial.run, trial.looking_back), folders, strict=True)
    )
    assert plain.hindsight is None
    assert back.hindsight is not None
    assert (plain.points, plain.asked) == (back.points, back.asked)
    assert back.hindsight.loss <= back.points[-1].loss
