"""Sign steps with the exact solver end at the regularity that minimises the held-out loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from streamlearn.core import newton
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularity import sign
from tests.core.problems import breast_cancer, diabetes, held_out_loss, hold_out, scalar_gradient

BOUNDS = (1e-3, 1e5)


@pytest.mark.parametrize("start", [1e-4, 1e1])
@pytest.mark.parametrize("problem", [breast_cancer, diabetes], ids=lambda problem: problem.__name__)
def test_it_ends_within_a_quarter_of_the_grids_best_from_either_side(
    problem: Callable[[], tuple[Objective, Data]], start: float
) -> None:
    objective, data = problem()
    train, test = hold_out(data, seed=1)
    grid = np.exp(np.linspace(math.log(1e-5), math.log(30.0), 120))
    best = grid[np.argmin([held_out_loss(objective, train, test, lam) for lam in grid])]
    total = float(train.w.sum())
    rule, state = sign.init(start * total), newton.init(objective.model.size)
    for _ in range(25):
        state, info = newton.step(state, objective, train, math.exp(rule.log_precision) / total)
        assert info.ok
        rule, _ = sign.step(rule, scalar_gradient(objective, test, state.theta, state.log_tangent), BOUNDS)
    assert 1.0 / 1.25 <= math.exp(rule.log_precision) / total / best <= 1.25


def test_steps_grow_while_the_sign_holds_and_halve_when_it_flips() -> None:
    state, sizes = sign.init(1.0), []
    for g in (1.0, 2.0, 0.1, -1.0, -1.0, 3.0):
        state, info = sign.step(state, g, BOUNDS)
        sizes.append(abs(info.change))
        assert info.change * g < 0.0
    assert sizes == pytest.approx([0.7, 0.84, 1.008, 0.504, 0.6048, 0.3024])


def test_the_size_of_the_gradient_does_not_matter() -> None:
    assert sign.step(sign.init(1.0), 1e-9, BOUNDS)[0] == sign.step(sign.init(1.0), 1e9, BOUNDS)[0]


def test_steps_stay_between_the_least_and_the_most_and_within_the_bounds() -> None:
    state = sign.init(1.0)
    for _ in range(50):
        state, _ = sign.step(state, -1.0, BOUNDS)
    assert state.size == sign.STEP_MOST
    assert state.log_precision == math.log(1e5)
    for i in range(50):
        state, _ = sign.step(state, (-1.0) ** i, BOUNDS)
    assert state.size == sign.STEP_LEAST


@pytest.mark.parametrize("nothing", [math.nan, math.inf, 0.0])
def test_a_gradient_without_a_sign_changes_nothing(nothing: float) -> None:
    state = sign.init(1.0)
    after, info = sign.step(state, nothing, BOUNDS)
    assert after is state
    assert info.change == 0.0


def test_a_step_leaves_its_input_unchanged() -> None:
    state = sign.init(1.0)
    sign.step(state, 0.4, BOUNDS)
    assert state == sign.init(1.0)
