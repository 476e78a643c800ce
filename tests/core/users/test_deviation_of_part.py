"""Users who deviate in chosen parameters of a network: against a generic solver, refits, the last layer's way, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from streamlearn.core import conjugate
from streamlearn.core.losses import Array
from streamlearn.core.models.differentiation import Rules
from streamlearn.core.models.network import Network
from streamlearn.core.objective import Data, Objective
from streamlearn.core.users import deviation_l2, deviation_of_part
from streamlearn.core.users.deviation import Deviation, Shared, deviating, response
from tests.core.models.nets import network, rows, sample, somewhere
from tests.core.problems import HEADS, relative

heads = pytest.mark.parametrize("head", HEADS)
HIDDEN = ("2.bias", "4.*")  # a hidden layer's bias, and the last layer
PARTS = {"mlp": HIDDEN, "cnn": ("1.*",), "embedding-bag": ("*",), "one-layer": ("bias",)}
kinds = pytest.mark.parametrize("kind", PARTS)


def problem(
    kind: str, head: str, own: tuple[str, ...] = HIDDEN, precision: float = 0.3, count: int = 12, dtype: str = "float64"
) -> tuple[Shared, Data]:
    """Some θ₀ that goes some way, and a user's examples."""
    model = network(kind, head, dtype=dtype, of_users=True, own=own)
    return Shared(model, somewhere(model), somewhere(model, 2), precision), sample(kind, head, count)


def found(shared: Shared, data: Data) -> Deviation:
    own = deviation_of_part.solve(shared, data)
    assert own is not None
    return own


def theta(shared: Shared, delta: Array) -> Array:
    assert shared.model.part is not None
    out = shared.theta.astype(float)
    out[shared.model.part.at] += delta
    return out


def moved(shared: Shared, step: float) -> Shared:
    """Where log λ is so much larger, and θ₀ follows."""
    return replace(shared, theta=shared.theta + step * shared.log_tangent, precision=shared.precision * np.exp(step))


@heads
@kinds
def test_the_deviation_is_the_optimum_of_a_generic_solver(kind: str, head: str) -> None:
    shared, data = problem(kind, head, PARTS[kind], precision=1.0)  # with one minimum

    def value(delta: Array) -> tuple[float, Array]:
        at = theta(shared, delta)
        f, part = shared.model.outputs(at, data.X), shared.model.part
        assert part is not None
        _, gradient = shared.model.gradient(at, data.X, data.y, data.w)
        loss = float(data.w @ shared.model.loss.value(f, data.y)) + 0.5 * shared.precision * float(delta @ delta)
        return loss, gradient[part.at] * data.w.sum() + shared.precision * delta

    other = minimize(value, np.zeros(deviating(shared.model)), jac=True, method="L-BFGS-B", tol=1e-14)
    mine = found(shared, data).delta
    assert value(mine)[0] <= other.fun + 1e-9
    assert_allclose(mine, other.x, atol=1e-4)


@heads
@kinds
def test_the_tangent_is_the_derivative_of_refits_from_a_network_that_moves(kind: str, head: str) -> None:
    shared, data = problem(kind, head, PARTS[kind])
    own, h, unseen = found(shared, data), 1e-4, rows(kind, 5, seed=9)
    ahead, behind = (moved(shared, step) for step in (h, -h))
    difference = (found(ahead, data).delta - found(behind, data).delta) / (2.0 * h)
    assert relative(own.log_tangent, difference) < 1e-5
    f = [each.model.outputs(theta(each, found(each, data).delta), unseen) for each in (ahead, behind)]
    told = response(shared.model, shared.theta, shared.log_tangent, unseen, own)
    assert_allclose(told[0], shared.model.outputs(theta(shared, own.delta), unseen), atol=1e-12)
    assert relative(told[1], (f[0] - f[1]) / (2.0 * h)) < 1e-5


@heads
def test_the_tangent_is_the_derivative_of_refits_of_the_network_too(head: str) -> None:
    """θ₀ and θ̇₀ are at the optimum of everybody's examples, found again at every λ."""
    model = network("mlp", head, of_users=True, own=HIDDEN, curvature="hessian")
    everybody, ann = sample("mlp", head, 60, seed=3), sample("mlp", head, 8)
    objective, weight = Objective(model, 0.5), float(everybody.w.sum())

    def refitted(log_regularity: float, start: Array) -> Shared:
        regularity = float(np.exp(log_regularity))
        state = conjugate.State(start, np.zeros_like(start))
        state, info = conjugate.step(state, objective, everybody, regularity, 1e-11)
        assert info.ok
        return Shared(model, state.theta, state.log_tangent, regularity * weight)

    at, h = float(np.log(0.05)), 1e-4
    here = refitted(at, somewhere(model))
    ahead, behind = (found(refitted(at + step, here.theta), ann).delta for step in (h, -h))
    assert relative(found(here, ann).log_tangent, (ahead - behind) / (2.0 * h)) < 1e-4


@heads
@pytest.mark.parametrize("count", [12, 2])
def test_in_the_last_layers_parameters_it_is_the_last_layers(head: str, count: int) -> None:
    shared, data = problem("mlp", head, ("4.*",), count=count)
    last, part = shared.model.last_layer, shared.model.part
    assert last is not None
    assert part is not None
    one = deviation_l2.solve(replace(shared, model=network("mlp", head)), data)
    assert one is not None
    here = found(shared, data)
    for mine, its in ((here.delta, one.delta), (here.log_tangent, one.log_tangent)):
        whole, other = np.zeros(shared.model.size), np.zeros(shared.model.size)
        whole[part.at], other[last.at] = mine, its
        assert_allclose(whole, other, atol=1e-8)


@kinds
def test_a_row_meets_its_own_users_model_whoever_else_is_there(kind: str) -> None:
    shared, data = problem(kind, "softmax", PARTS[kind])
    model, X = shared.model, rows(kind, 9, seed=5)
    own = [found(shared, replace(data, w=data.w * scale)) for scale in (0.3, 2.0)]
    assert isinstance(model, Network)
    assert model.part is not None
    table, whose = np.zeros((3, 2, deviating(model))), np.array([0, 1, 2, 2, 0, 1, 1, 2, 1])
    for row, each in zip(table[1:], own, strict=True):
        each.add_to(row)
    given = (shared.theta, shared.log_tangent, X, table)
    f, f_dot = model.part.added(*given, whose)
    assert_array_equal(f[whose == 0], 0.0)
    assert_array_equal(f_dot[whose == 0], 0.0)
    f0, f0_dot = model.response(*given[:3])
    for user, each in enumerate(own, start=1):
        at = whose == user
        told = response(model, shared.theta, shared.log_tangent, X[at], each)
        assert_allclose(f0[at] + f[at], told[0], atol=1e-12)
        assert_allclose(f0_dot[at] + f_dot[at], told[1], atol=1e-12)
    others = model.part.added(*given, np.where(np.arange(9) == 3, whose, 1))
    assert_array_equal(others[0][3], f[3])
    assert_array_equal(others[1][3], f_dot[3])
    for rules in (Rules(rows=False), Rules(forward=False, rows=False)):
        slow = replace(model, body=replace(model.body, rules=rules)).part
        assert slow is not None
        for mine, its in zip(slow.added(*given, whose), (f, f_dot), strict=True):
            assert_allclose(mine, its, atol=1e-12)


@heads
def test_in_single_precision_it_is_as_near_as_that_allows(head: str) -> None:
    near, data = problem("mlp", head, dtype="float32")
    exact = replace(problem("mlp", head)[0], theta=near.theta.astype(float), log_tangent=near.log_tangent.astype(float))
    mine, truth = found(near, data), found(exact, data)
    assert relative(mine.delta, truth.delta) < 1e-3
    assert relative(mine.log_tangent, truth.log_tangent) < 5e-3


def test_what_is_not_finite_is_no_deviation() -> None:
    shared, data = problem("mlp", "poisson")
    with np.errstate(all="ignore"):
        assert deviation_of_part.solve(replace(shared, theta=shared.theta * 1e300), data) is None
