"""Capped steps beside SGDF end near the regularity that minimises the held-out loss, though the tangent lags."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from streamlearn.core import sgdf
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularity import capped
from tests.core.problems import breast_cancer, diabetes, held_out_loss, hold_out, part, scalar_gradient

BOUNDS = (1e-3, 1e5)
BATCH, STEPS, ROUNDS = 8, 5, 3500


def tuned(
    objective: Objective, train: Data, test: Data, start: float, cap: Callable[[float, float, int], float]
) -> list[float]:
    """λ after every round of a few SGDF steps and one of the rule."""
    n, total, memory, rate = len(train.y), float(train.w.sum()), 500, 0.0
    rng, rule, state, path = (
        np.random.default_rng(1),
        capped.init(start * total),
        sgdf.init(np.zeros(objective.model.size)),
        [],
    )
    for t in range(ROUNDS):
        regularity = math.exp(rule.log_precision) / total
        if t % 100 == 0:
            rate = 0.5 * sgdf.critical_rate(objective, train, regularity, BATCH, state.mean_theta)
        for _ in range(STEPS):
            batch = part(train, rng.integers(0, n, BATCH))
            state, _ = sgdf.step(state, objective, batch, total, regularity, rate, memory)
        gradient = scalar_gradient(objective, test, state.mean_theta, state.mean_log_tangent)
        rule, _ = capped.step(rule, gradient, BOUNDS, STEPS * cap(rate, regularity, memory))
        path.append(math.exp(rule.log_precision) / total)
    return path


@pytest.mark.parametrize("start", [1.0, 10.0])
@pytest.mark.parametrize("problem", [breast_cancer, diabetes], ids=lambda problem: problem.__name__)
def test_it_ends_within_a_factor_of_two_of_the_grids_best_and_stays_there(
    problem: Callable[[], tuple[Objective, Data]], start: float
) -> None:
    objective, data = problem()
    train, test = hold_out(data, seed=1)
    grid = np.exp(np.linspace(math.log(1e-5), math.log(30.0), 120))
    best = grid[np.argmin([held_out_loss(objective, train, test, lam) for lam in grid])]
    path = tuned(objective, train, test, start, capped.cap)
    ratios = np.array(path[-1000:]) / best
    assert ratios.min() >= 0.5
    assert ratios.max() <= 2.0


def test_without_the_cap_regularity_runs_away_from_the_best() -> None:
    # The control: what the cap is for.
    objective, data = breast_cancer()
    train, test = hold_out(data, seed=1)
    capped_path = tuned(objective, train, test, 1.0, capped.cap)
    wild = tuned(objective, train, test, 1.0, lambda _rate, _regularity, _memory: 0.02)
    assert min(wild) < 0.1 * min(capped_path)


def test_the_cap_follows_the_slower_of_theta_and_its_running_mean() -> None:
    assert capped.cap(0.1, 0.01) == pytest.approx(capped.CAP * 0.001)
    assert capped.cap(0.1, 0.01, 100) == pytest.approx(capped.CAP * 0.001)
    assert capped.cap(0.1, 0.01, 5000) == pytest.approx(capped.CAP / 5000)


def test_a_step_is_in_proportion_to_the_largest_gradient_and_never_above_the_most() -> None:
    state, info = capped.step(capped.init(1.0), 3.0, BOUNDS, 0.01)
    assert info.change == pytest.approx(-0.01)
    state, info = capped.step(state, -0.03, BOUNDS, 0.01)
    assert info.change == pytest.approx(0.01 * capped.GAIN * 0.03 / (3.0 * math.sqrt(capped.DECAY)))
    assert state.count == 2


def test_it_stays_within_its_bounds() -> None:
    state = capped.init(1.0)
    for _ in range(40):
        state, _ = capped.step(state, 1.0, BOUNDS, 0.5)
    assert state.log_precision == math.log(1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad: float) -> None:
    state = capped.init(1.0)
    after, info = capped.step(state, bad, BOUNDS, 0.1)
    assert after is state
    assert info.change == 0.0


def test_a_gradient_of_zero_moves_nothing() -> None:
    state, info = capped.step(capped.init(2.0), 0.0, BOUNDS, 0.1)
    assert info.change == 0.0
    assert state.log_precision == math.log(2.0)


def test_a_step_leaves_its_input_unchanged() -> None:
    state = capped.init(1.0)
    capped.step(state, 0.4, BOUNDS, 0.1)
    assert state == capped.init(1.0)
