"""LiSSA is SGDF on a plane, bit for bit, and converges to the direct solution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest

from streamlearn.core import lissa, sgdf
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import Regularizer
from tests.core.problems import HEADS, breast_cancer, parameters, part, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)


@final
@dataclass(frozen=True, eq=False)
class Plane(Regularizer):
    """R(θ) = −b·θ (137)."""

    b: Array
    smooth = True

    def value(self, theta: Array) -> float:
        return -float(self.b @ theta)

    def gradient(self, theta: Array) -> Array:
        return -self.b

    def hvp(self, theta: Array, v: Array) -> Array:
        return np.zeros_like(v)

    def hessian(self, theta: Array) -> Array:
        return np.zeros((len(theta), len(theta)))


@heads
def test_it_is_sgdf_on_a_plane_with_theta_held_to_the_last_bit(head: str) -> None:
    objective, data = small(head)
    objective = Objective(objective.model, 0.01, free=())
    near, rate = (0.1, 0.003) if head == "poisson" else (1.0, 0.1)  # where SGDF does not shorten its steps
    theta, b, rng = near * parameters(objective), parameters(objective, 5), np.random.default_rng(0)
    plane = Objective(objective.model, 0.01, Plane(b), free=())
    state, other = lissa.init(len(theta)), sgdf.init(theta)
    for _ in range(50):
        batch = part(data, rng.integers(0, len(data.y), 4))
        state, info = lissa.step(state, objective, theta, b, batch, 90.0, 0.0, rate, 20)
        assert info.ok
        # λ = 1: C alone is the plane's, and E's Hessian has nothing of L2's.
        other, _ = sgdf.step(replace(other, theta=theta), plane, batch, 90.0, 1.0, rate, 20)
        np.testing.assert_array_equal(other.log_tangent, state.v)
        np.testing.assert_array_equal(other.mean_log_tangent, state.mean)
    assert np.abs(state.v).max() > 0.05


@heads
def test_a_full_batch_converges_to_the_direct_solution(head: str) -> None:
    objective, data = small(head)
    theta, b, state = parameters(objective), parameters(objective, 5), lissa.init(objective.model.size)
    rate = 0.02 if head == "poisson" else 0.5  # whose curvature at this θ is the largest of all
    for _ in range(2000 if rate == 0.5 else 6000):
        state, _ = lissa.step(state, objective, theta, b, data, float(data.w.sum()), 0.1, rate, 1)
    H = objective.hessian(theta, data, 0.1)
    if head == "softmax":  # the shift of all intercepts, with next to no curvature, takes longer than anyone waits
        shift = np.zeros_like(theta)
        shift[::5] = 1.0 / np.sqrt(3.0)
        b, state = b - shift * (shift @ b), replace(state, mean=state.mean - shift * (shift @ state.mean))
    assert relative(state.mean, np.linalg.solve(H, b)) < 1e-6


def test_steps_of_one_are_lissas_own_recursion_where_the_hessian_is_below_two() -> None:
    objective, data = breast_cancer()
    scaled = Data(data.X * np.array([1.0, *[0.3] * 30]), data.y, data.w)
    assert np.linalg.eigvalsh(objective.hessian(np.zeros(31), scaled, 0.1))[-1] < 2.0
    theta, b = solved(objective, scaled, 0.1).theta, parameters(objective, 5)
    H, state, v = objective.hessian(theta, scaled, 0.1), lissa.init(31), np.zeros(31)
    for _ in range(400):
        state, _ = lissa.step(state, objective, theta, b, scaled, 569.0, 0.1, 1.0, 1)
        v = b + v - H @ v
    assert relative(state.v, v) < 1e-10
    assert relative(state.v, np.linalg.solve(H, b)) < 1e-4


def test_on_batches_the_running_mean_ends_near_the_direct_solution() -> None:
    objective, data = breast_cancer()
    theta, b, rng = solved(objective, data, 1e-2).theta, parameters(objective, 5), np.random.default_rng(0)
    state, rate = lissa.init(31), 0.5 * sgdf.critical_rate(objective, data, 1e-2, 8, theta)
    for _ in range(8000):
        batch = part(data, rng.integers(0, len(data.y), 8))
        state, _ = lissa.step(state, objective, theta, b, batch, 569.0, 1e-2, rate, 4000)
    direct = np.linalg.solve(objective.hessian(theta, data, 1e-2), b)
    assert relative(state.mean, direct) < 0.1
    assert relative(state.mean, direct) < relative(state.v, direct)


def test_a_batch_that_is_not_finite_is_reported_and_not_learned() -> None:
    objective, data = small("logistic")
    before = lissa.init(5)
    after, info = lissa.step(
        before, objective, np.zeros(5), np.ones(5), Data(data.X * np.nan, data.y, data.w), 90.0, 0.1, 0.1, 1
    )
    assert not info.ok
    assert after is before
    v = replace(before, v=np.full(5, 1e308))
    after, info = lissa.step(
        v, objective, np.zeros(5), np.ones(5), Data(data.X * 1e3, data.y, data.w), 90.0, 0.1, 1.0, 1
    )
    assert not info.ok
    assert after is v
