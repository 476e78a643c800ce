"""One rule moves ρ at a time; the others take it over where it stands."""

from __future__ import annotations

import math

import pytest

from streamlearn.core.regularity import capped, progressive, sign
from streamlearn.learner import tuner

BOUNDS = (0.01, 1000.0)


def test_it_starts_at_the_configured_precision() -> None:
    assert math.log(10.0) == tuner.init(10.0).log_precision


def test_a_label_moves_it_by_the_progressive_rule() -> None:
    state, rule = tuner.init(10.0), progressive.init(10.0)
    for gradient in [0.5, -0.2, 1.0] * 10:
        state = tuner.on_label(state, gradient, BOUNDS, 0.7)
        rule, _ = progressive.step(rule, gradient, BOUNDS, 0.7)
    assert (rule.log_precision, rule, 1.0) == (state.log_precision, state.progressive, state.gradient)
    assert rule.log_precision != math.log(10.0)


def test_a_refit_moves_it_by_the_sign_rule() -> None:
    state, rule = tuner.init(10.0), sign.init(10.0)
    for gradient in [0.5, 0.2, -1.0]:
        state = tuner.on_refit(state, gradient, BOUNDS)
        rule, _ = sign.step(rule, gradient, BOUNDS)
    assert (rule.log_precision, rule) == (state.log_precision, state.sign)


def test_stochastic_steps_move_it_by_the_capped_rule() -> None:
    state, rule = tuner.init(10.0), capped.init(10.0)
    for gradient in [0.5, 0.2, -1.0]:
        state = tuner.on_steps(state, gradient, BOUNDS, 0.01)
        rule, _ = capped.step(rule, gradient, BOUNDS, 0.01)
    assert (rule.log_precision, rule) == (state.log_precision, state.capped)
    assert abs(rule.log_precision - math.log(10.0)) <= 0.03


def test_a_fold_moves_it_by_the_progressive_rule_as_its_examples_would() -> None:
    state, rule = tuner.init(10.0), progressive.init(10.0)
    for gradient in [0.5, -0.2, 1.0] * 10:
        state = tuner.on_fold(state, gradient, 3.0, BOUNDS)
        rule, _ = progressive.step(rule, 3.0 * gradient, BOUNDS)
    assert (rule.log_precision, rule, 1.0) == (state.log_precision, state.progressive, state.gradient)
    assert rule.log_precision != math.log(10.0)


def test_a_change_of_solver_goes_on_from_where_the_other_was() -> None:
    state = tuner.on_refit(tuner.init(10.0), 1.0, BOUNDS)
    reached = state.log_precision
    state = tuner.on_steps(state, 1.0, BOUNDS, 0.01)
    assert reached - 0.01 == pytest.approx(state.log_precision)
    assert state.progressive == tuner.init(10.0).progressive


@pytest.mark.parametrize("gradient", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_moves_nothing(gradient: float) -> None:
    state = tuner.init(10.0)
    for moved in (
        tuner.on_label(state, gradient, BOUNDS, 0.7),
        tuner.on_refit(state, gradient, BOUNDS),
        tuner.on_steps(state, gradient, BOUNDS, 0.1),
    ):
        assert state.log_precision == moved.log_precision


def test_it_stays_within_its_bounds() -> None:
    low = high = tuner.init(10.0)
    for _ in range(60):
        low, high = tuner.on_refit(low, 1.0, BOUNDS), tuner.on_refit(high, -1.0, BOUNDS)
    assert (math.log(BOUNDS[0]), math.log(BOUNDS[1])) == (low.log_precision, high.log_precision)
