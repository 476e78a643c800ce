"""The progressive rule, label by label."""

from __future__ import annotations

import math

import pytest

from streamlearn.core.regularity import progressive

BOUNDS = (1e-2, 1e3)


def after(gradients: list[float], state: progressive.State) -> progressive.State:
    for g in gradients:
        state, _ = progressive.step(state, g, BOUNDS)
    return state


def ready() -> progressive.State:
    """Past the labels during which it is held."""
    return after([0.3] * progressive.HELD, progressive.init(10.0))


def test_it_is_held_until_ten_labels_are_there() -> None:
    state = progressive.init(10.0)
    for label in range(progressive.HELD):
        state, info = progressive.step(state, 5.0, BOUNDS)
        assert info == progressive.Info(5.0, 0.0)
        assert state == progressive.State(math.log(10.0), 0.0, label + 1)
    state, info = progressive.step(state, 5.0, BOUNDS)
    assert info.change < 0.0
    assert state.count == progressive.HELD + 1


def test_a_step_is_adagrads_against_the_gradient() -> None:
    state, info = progressive.step(ready(), 0.05, BOUNDS)
    assert info.change == pytest.approx(-0.05 / math.sqrt(0.01 + 0.05**2))
    assert state.squares == pytest.approx(0.05**2)
    state, info = progressive.step(state, -0.02, BOUNDS)
    assert info.change == pytest.approx(0.02 / math.sqrt(0.01 + 0.05**2 + 0.02**2))


@pytest.mark.parametrize("gradient", [1e3, -1e3])
def test_a_step_is_clipped_on_either_side(gradient: float) -> None:
    _, info = progressive.step(ready(), gradient, BOUNDS)
    assert info.change == pytest.approx(-math.copysign(0.7, gradient))
    _, info = progressive.step(ready(), gradient, BOUNDS, change_most=0.01)
    assert info.change == pytest.approx(-math.copysign(0.01, gradient))
    _, info = progressive.step(ready(), gradient, BOUNDS, change_most=5.0)
    assert info.change == pytest.approx(-math.copysign(0.7, gradient))


def test_it_stays_within_its_bounds_and_reports_the_change_that_was_made() -> None:
    low = after([50.0] * 1000, ready())
    high = after([-50.0] * 1000, ready())
    assert low.log_precision == math.log(1e-2)
    assert high.log_precision == math.log(1e3)
    _, info = progressive.step(low, 50.0, BOUNDS)
    assert info.change == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad: float) -> None:
    state = ready()
    after_bad, info = progressive.step(state, bad, BOUNDS)
    assert after_bad is state
    assert info.change == 0.0


def test_a_step_leaves_its_input_unchanged() -> None:
    state = ready()
    copy = progressive.State(state.log_precision, state.squares, state.count)
    progressive.step(state, 0.4, BOUNDS)
    assert state == copy
