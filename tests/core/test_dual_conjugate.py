"""Dual numbers through conjugate gradients: the derivative of the run, the tangent at its end, and what α̇ is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core import dual_conjugate
from streamlearn.core.dual_conjugate import Info, State
from streamlearn.core.objective import Data, Objective
from tests.core.problems import HEADS, breast_cancer, diabetes, parameters, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)
LAMBDA = 0.1


def states(objective: Objective, data: Data, regularity: float, steps: int) -> Iterator[tuple[State, Info]]:
    state = dual_conjugate.init(0.3 * parameters(objective), objective, data, regularity)
    for _ in range(steps):
        state, info = dual_conjugate.step(state, objective, data, regularity)
        assert info.ok
        yield state, info


def last(objective: Objective, data: Data, regularity: float, steps: int) -> State:
    return list(states(objective, data, regularity, steps))[-1][0]


@heads
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_every_part_of_the_state_is_the_finite_difference_of_the_run(head: str, steps: int) -> None:
    objective, data = small(head)
    h = 1e-5
    at, up, down = (last(objective, data, LAMBDA * np.exp(s), steps) for s in (0.0, h, -h))
    for value, tangent in (
        ("theta", "log_tangent"),
        ("gradient", "gradient_tangent"),
        ("direction", "direction_tangent"),
    ):
        difference = (getattr(up, value) - getattr(down, value)) / (2.0 * h)
        assert relative(getattr(at, tangent), difference) < 1e-4, value


def test_on_the_squared_loss_it_ends_at_optimum_and_tangent_after_as_many_steps_as_parameters() -> None:
    objective, data = small("squared")
    direct, state = solved(objective, data, LAMBDA), last(objective, data, LAMBDA, 5)
    assert relative(state.theta, direct.theta) < 1e-9
    assert relative(state.log_tangent, direct.log_tangent) < 1e-7


def test_it_converges_to_the_direct_solution() -> None:
    objective, data = breast_cancer()
    direct, state = solved(objective, data, LAMBDA), last(objective, data, LAMBDA, 40)
    assert relative(state.theta, direct.theta) < 1e-5
    assert relative(state.log_tangent, direct.log_tangent) < 1e-3


def test_with_the_steps_taken_as_constants_theta_is_right_and_the_tangent_is_not() -> None:
    # What the paper observed: unlike gradient descent's steps, these may not be.
    objective, data = diabetes()
    direct, state = solved(objective, data, LAMBDA), dual_conjugate.init(np.zeros(11), objective, data, LAMBDA)
    tangent, direction_tangent = np.zeros(11), state.direction_tangent
    for _ in range(11):
        after, info = dual_conjugate.step(state, objective, data, LAMBDA)
        tangent = tangent + info.length * direction_tangent
        products = objective.products(after.theta, tangent, data, LAMBDA, float(data.w.sum()))
        beta = (after.direction + after.gradient)[0] / state.direction[0]
        direction_tangent = -(products.hvp + products.source) + beta * direction_tangent
        state = after
    assert relative(state.theta, direct.theta) < 1e-10
    assert relative(state.log_tangent, direct.log_tangent) < 1e-8
    assert relative(tangent, direct.log_tangent) > 1.0


def test_at_the_optimum_there_is_nowhere_to_go_and_it_says_so() -> None:
    objective, data = small("squared")
    state = replace(dual_conjugate.init(np.zeros(5), objective, data, LAMBDA), direction=np.zeros(5))
    after, info = dual_conjugate.step(state, objective, data, LAMBDA)
    assert not info.ok
    assert after is state


def test_data_that_are_not_finite_are_reported() -> None:
    objective, data = small("logistic")
    state = dual_conjugate.init(np.zeros(5), objective, data, LAMBDA)
    after, info = dual_conjugate.step(state, objective, Data(data.X * np.nan, data.y, data.w), LAMBDA)
    assert not info.ok
    assert after is state
