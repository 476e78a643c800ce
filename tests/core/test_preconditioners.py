"""Momentum, Adagrad and Adam: textbook paths of θ, tangents that are derivatives of the run with D held, fixed points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core import preconditioners, sgdf
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.core.preconditioners import Adagrad, Adam, Momentum, Plain, Preconditioner
from streamlearn.core.preconditioners import State as Scaling
from streamlearn.core.regularizers import L1
from tests.core.problems import HEADS, breast_cancer, parameters, part, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)
adaptive = pytest.mark.parametrize("preconditioner", [Adagrad(), Adam()], ids=["adagrad", "adam"])
LAMBDA, STEPS, MEMORY = 0.3, 60, 20


def batches(data: Data) -> list[Data]:
    rng = np.random.default_rng(8)
    return [part(data, rng.integers(0, len(data.y), 8)) for _ in range(STEPS)]


def run(head: str, preconditioner: Preconditioner, rho: float, rate: float = 0.02) -> list[sgdf.State]:
    objective, data = small(head)
    states = [sgdf.init(parameters(objective))]
    for batch in batches(data):
        state, info = sgdf.step(
            states[-1], objective, batch, float(data.w.sum()), float(np.exp(rho)), rate, MEMORY, preconditioner
        )
        assert info.ok
        states.append(state)
    return states


def gradients(head: str, thetas: list[Array]) -> list[Array]:
    """∇L on each batch at each θ, by its definition."""
    objective, data = small(head)
    found = []
    for theta, batch in zip(thetas, batches(data), strict=True):
        g = objective.model.gradient(theta, batch.X, batch.y, batch.w)[1]
        prior = objective.anchor / data.w.sum() * (1.0 - objective.penalised)
        found.append(g + (LAMBDA * objective.penalised + prior) * theta)
    return found


def floored(root: Array) -> Array:
    return np.maximum(root, preconditioners.FLOOR * root.max())


@heads
def test_adagrad_walks_the_textbooks_path(head: str) -> None:
    states = run(head, Adagrad(), np.log(LAMBDA))
    theta, total = states[0].theta, np.zeros_like(states[0].theta)
    for g, state in zip(gradients(head, [each.theta for each in states[:-1]]), states[1:], strict=True):
        total = total + g**2
        theta = theta - 0.02 * g / floored(np.sqrt(total))
        assert_allclose(state.theta, theta, rtol=1e-12, atol=1e-13)


@heads
def test_adam_walks_the_textbooks_path_with_both_biases_corrected(head: str) -> None:
    states = run(head, Adam(0.9, 0.999), np.log(LAMBDA))
    theta = states[0].theta
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    walked = gradients(head, [each.theta for each in states[:-1]])
    for t, (g, state) in enumerate(zip(walked, states[1:], strict=True), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta = theta - 0.02 * (m / (1.0 - 0.9**t)) / floored(np.sqrt(v / (1.0 - 0.999**t)))
        assert_allclose(state.theta, theta, rtol=1e-11, atol=1e-12)


@heads
def test_momentum_steps_against_the_running_mean_of_gradients(head: str) -> None:
    states = run(head, Momentum(0.9), np.log(LAMBDA))
    theta, velocity = states[0].theta, np.zeros_like(states[0].theta)
    for g, state in zip(gradients(head, [each.theta for each in states[:-1]]), states[1:], strict=True):
        velocity = 0.9 * velocity + 0.1 * g
        theta = theta - 0.02 * velocity
        assert_allclose(state.theta, theta, rtol=1e-12, atol=1e-13)


@heads
def test_momentums_recursion_is_the_finite_difference_of_the_whole_run(head: str) -> None:
    rho, h = np.log(LAMBDA), 1e-5
    up, down = (run(head, Momentum(), r)[-1].theta for r in (rho + h, rho - h))
    assert relative(run(head, Momentum(), rho)[-1].log_tangent, (up - down) / (2.0 * h)) < 1e-6


def test_momentum_goes_as_far_under_a_constant_gradient_as_plain_steps() -> None:
    state, g, down = Momentum().init(np.zeros(3)), np.arange(3.0), np.zeros(3)
    for _ in range(200):
        state, down, tangent = Momentum().step(state, g, -g)
    assert_allclose(down, g, rtol=1e-8)
    assert_allclose(tangent, -g, rtol=1e-8)


@final
@dataclass(frozen=True)
class Held(Preconditioner):
    """Adam with the divisors of another run."""

    divisors: tuple[Array, ...]
    fade: float

    def init(self, square: Array) -> Scaling | None:
        return None

    def step(self, state: Scaling | None, gradient: Array, tangent: Array) -> tuple[Scaling | None, Array, Array]:
        before = state or Scaling(np.empty(0), np.zeros_like(gradient), np.zeros_like(gradient), 0)
        mean = self.fade * before.mean + (1.0 - self.fade) * gradient
        D = self.divisors[before.steps] * (1.0 - self.fade ** (before.steps + 1))
        return replace(before, mean=mean, steps=before.steps + 1), mean / D, np.zeros_like(tangent)

    def divisor(self, state: Scaling | None) -> Array | None:
        return None


@heads
@adaptive
def test_the_recursion_is_the_finite_difference_of_the_whole_run_with_the_divisors_held(
    head: str, preconditioner: Preconditioner
) -> None:
    rho, h = np.log(LAMBDA), 1e-5
    states = run(head, preconditioner, rho)
    divisors = tuple(preconditioner.divisor(state.scaling) for state in states[1:])
    held = Held(divisors, preconditioner.fade if isinstance(preconditioner, Adam) else 0.0)  # type: ignore[arg-type]
    up, down = (run(head, held, r)[-1].theta for r in (rho + h, rho - h))
    assert relative(states[-1].theta, 0.5 * (up + down)) < 1e-8
    assert relative(states[-1].log_tangent, (up - down) / (2.0 * h)) < 1e-6
    # A control: what ignoring the divisor's own dependence leaves out would be seen.
    up, down = (run(head, preconditioner, r)[-1].theta for r in (rho + h, rho - h))
    assert relative(states[-1].log_tangent, (up - down) / (2.0 * h)) > 1e-3


@heads
@adaptive
def test_a_full_batch_converges_to_the_direct_solution(head: str, preconditioner: Preconditioner) -> None:
    objective, data = small(head, anchor=9.0)  # as stiff as the rest: divided by D, a softmax's intercepts drift apart
    direct, state = solved(objective, data, 0.1), sgdf.init(np.zeros(objective.model.size))
    total = float(data.w.sum())
    square = sgdf.gradient_square(objective, data, 0.1, 4, state.theta)
    state = replace(state, scaling=preconditioner.init(square))
    for count in range(3000):
        if count % 100 == 0:
            divisor = preconditioner.divisor(state.scaling)
            rate = 0.5 * sgdf.critical_rate(objective, data, 0.1, len(data.y), state.theta, divisor)
        state, _ = sgdf.step(state, objective, data, total, 0.1, rate, 1, preconditioner)
    assert_allclose(state.theta, direct.theta, atol=1e-5)
    assert_allclose(state.log_tangent, direct.log_tangent, atol=1e-4)


@adaptive
def test_columns_in_very_different_units_do_not_slow_it_as_they_slow_plain_steps(
    preconditioner: Preconditioner,
) -> None:
    objective, data = breast_cancer()
    units = np.array([1.0, *np.geomspace(0.2, 5.0, 30)])
    other = Data(data.X * units, data.y, data.w)
    direct = solved(objective, other, 1e-2)

    def error(preconditioner: Preconditioner) -> float:
        rng, state = np.random.default_rng(0), sgdf.init(np.zeros(31))
        square = sgdf.gradient_square(objective, other, 1e-2, 8, state.theta)
        state = replace(state, scaling=preconditioner.init(square))
        for count in range(3000):
            if count % 200 == 0:
                divisor = preconditioner.divisor(state.scaling)
                rate = 0.5 * sgdf.critical_rate(objective, other, 1e-2, 8, state.theta, divisor)
            batch = part(other, rng.integers(0, 569, 8))
            state, _ = sgdf.step(state, objective, batch, 569.0, 1e-2, rate, 1000, preconditioner)
        return relative(state.mean_theta * units, direct.theta * units)

    assert error(preconditioner) < error(Plain())


@adaptive
def test_the_squares_that_it_starts_from_are_those_of_random_batches(preconditioner: Preconditioner) -> None:
    objective, data = small("softmax")
    data = Data(data.X, data.y, np.ones(len(data.y)))
    theta, rng = parameters(objective), np.random.default_rng(3)
    squares = []
    for _ in range(4000):
        batch = part(data, rng.integers(0, len(data.y), 4))
        squares.append(objective.products(theta, theta, batch, 0.1, 60.0).gradient ** 2)
    found = sgdf.gradient_square(objective, data, 0.1, 4, theta)
    assert relative(found, np.mean(squares, axis=0)) < 0.05
    divisor = preconditioner.divisor(preconditioner.init(found))
    assert divisor is not None
    assert_allclose(divisor, floored(np.sqrt(found)), rtol=1e-12)


def test_a_divisor_makes_the_critical_rate_that_of_the_coordinates_it_makes() -> None:
    objective, data = breast_cancer()
    D = np.geomspace(0.1, 10.0, 31)
    other = Data(data.X / np.sqrt(D), data.y, data.w)
    expected = sgdf.critical_rate(objective, other, 0.0, 4)
    assert sgdf.critical_rate(objective, data, 0.0, 4, divisor=D) == pytest.approx(expected)
    # Half of it does not explode, whatever D: the largest eigenvalue of D⁻¹H is below 2.
    H = objective.hessian(np.zeros(31), data, 0.01)
    rate = 0.5 * sgdf.critical_rate(objective, data, 0.01, 1, divisor=D)
    assert rate * np.abs(np.linalg.eigvals(H / D[:, None])).max() < 2.0


@adaptive
def test_a_coordinate_whose_gradient_is_zero_does_not_leap_nor_do_all(preconditioner: Preconditioner) -> None:
    zero, one = np.zeros(3), np.array([1.0, 0.0, 0.0])
    _, down, tangent = preconditioner.step(None, one, np.ones(3))
    assert np.abs(tangent).max() <= 1.0 / preconditioners.FLOOR * (1.0 + 1e-12)
    assert np.isfinite(down).all()
    _, down, tangent = preconditioner.step(None, zero, zero)
    assert (down == 0.0).all()
    assert (tangent == 0.0).all()


def test_plain_steps_carry_nothing_and_change_nothing() -> None:
    g, t = np.arange(3.0), np.ones(3)
    assert Plain().step(None, g, t) == (None, g, t)
    assert Plain().init(g) is None
    assert Plain().divisor(None) is None


@adaptive
def test_restarting_the_tangent_forgets_its_running_mean_and_keeps_the_divisor(preconditioner: Preconditioner) -> None:
    state = run("logistic", preconditioner, np.log(LAMBDA))[-1]
    again = sgdf.restart_tangent(state)
    assert state.scaling is not None
    assert again.scaling is not None
    assert (again.scaling.mean_tangent == 0.0).all()
    np.testing.assert_array_equal(state.scaling.square, again.scaling.square)


def test_a_kink_is_not_preconditioned() -> None:
    objective, data = small("logistic")
    kinked = Objective(objective.model, 0.01, L1())
    with pytest.raises(AssertionError, match="plain"):
        sgdf.step(sgdf.init(np.zeros(5)), kinked, data, 90.0, 0.1, 0.1, 1, Adam())


@heads
@adaptive
def test_a_step_leaves_its_input_unchanged(head: str, preconditioner: Preconditioner) -> None:
    objective, data = small(head)
    state = run(head, preconditioner, np.log(LAMBDA))[-1]
    assert state.scaling is not None
    arrays = (state.theta, state.log_tangent, state.scaling.square, state.scaling.mean, state.scaling.mean_tangent)
    copies = [array.copy() for array in arrays]
    sgdf.step(state, objective, data, 90.0, LAMBDA, 0.1, MEMORY, preconditioner)
    for array, copy in zip(arrays, copies, strict=True):
        assert (array == copy).all()
