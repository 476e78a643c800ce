"""A user's own last layer: the deviation against a generic solver, the tangent against refits from a network that is moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from streamlearn.core.losses import Array
from streamlearn.core.models.differentiation import Rules
from streamlearn.core.models.network import Network
from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l1, deviation_l2, personal
from streamlearn.core.users.deviation import Deviation, Prior, Shared, Solve, deviating, met
from streamlearn.core.users.personal import Personal
from tests.core.models.nets import KINDS, network, rows, sample, somewhere
from tests.core.models.test_last_layer import Functional
from tests.core.problems import HEADS, relative

heads = pytest.mark.parametrize("head", HEADS)
kinds = pytest.mark.parametrize("kind", KINDS)


def some_prior(shared: Shared) -> Prior:
    return Prior(np.random.default_rng(7).normal(size=(deviating(shared.model), 2)), 0.4)


def of_personality(shared: Shared, data: Data) -> Deviation | None:
    return deviation_l2.solve(shared, data, some_prior(shared))


solvers = pytest.mark.parametrize(
    "solve", [deviation_l2.solve, deviation_l1.solve, of_personality], ids=["l2", "l1", "personality"]
)
counts = pytest.mark.parametrize("count", [12, 2], ids=["twelve examples", "fewer than columns"])


def problem(kind: str, head: str, count: int = 12, precision: float = 0.15) -> tuple[Shared, Data]:
    """Some θ₀ that goes some way, and a user's examples."""
    model = network(kind, head)
    return Shared(model, somewhere(model), somewhere(model, 2), precision), sample(kind, head, count)


def moved(shared: Shared, step: float) -> Shared:
    """Where log λ is so much larger, and θ₀ follows."""
    theta = shared.theta + step * shared.log_tangent
    return replace(shared, theta=theta, precision=shared.precision * np.exp(step))


def found(solve: Solve, shared: Shared, data: Data) -> Deviation:
    own = solve(shared, data)
    assert own is not None
    return own


def both(shared: Shared, own: Deviation) -> Array:
    """δ and δ̇, (2, k·columns)."""
    out = np.zeros((2, deviating(shared.model)))
    own.add_to(out)
    return out


def outputs(shared: Shared, delta: Array, X: Array) -> Array:
    """f with the user's δ added to the last layer of the module itself."""
    theta, last = shared.theta.copy(), shared.model.last_layer
    assert last is not None
    theta[last.at] += delta
    return shared.model.outputs(theta, X)


@solvers
@heads
@kinds
@counts
def test_the_tangent_is_the_derivative_of_refits_from_a_network_that_moves(
    solve: Solve, head: str, kind: str, count: int
) -> None:
    shared, data = problem(kind, head, count)
    h, unseen = 1e-4, rows(kind, 5, seed=9)
    own = found(solve, shared, data)
    ahead, behind = (found(solve, moved(shared, step), data) for step in (h, -h))
    tangent = (both(shared, ahead)[0] - both(shared, behind)[0]) / (2.0 * h)
    assert relative(both(shared, own)[1], tangent) < 1e-5
    f = [outputs(moved(shared, step), both(shared, each)[0], unseen) for step, each in ((h, ahead), (-h, behind))]
    told = met(shared.model, shared.theta, shared.log_tangent, unseen).response(own)
    assert_allclose(told[0], outputs(shared, both(shared, own)[0], unseen), atol=1e-12)
    assert relative(told[1], (f[0] - f[1]) / (2.0 * h)) < 1e-5


@heads
@pytest.mark.parametrize("solve", [deviation_l2.solve, of_personality], ids=["l2", "personality"])
def test_the_deviation_is_the_optimum_of_a_generic_solver(solve: Solve, head: str) -> None:
    shared, data = problem("mlp", head)
    M = np.eye(deviating(shared.model))
    if solve is of_personality:
        prior = some_prior(shared)
        M = prior.directions @ prior.directions.T + prior.spread**2 * M
    precision = shared.precision * np.linalg.inv(M)

    def value(delta: Array) -> float:
        f = outputs(shared, delta, data.X)
        return float(data.w @ shared.model.loss.value(f, data.y)) + 0.5 * float(delta @ precision @ delta)

    other = minimize(value, np.zeros(deviating(shared.model)), method="BFGS", tol=1e-9)
    assert_allclose(found(solve, shared, data).delta, other.x, atol=1e-4)


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_without_forward_derivatives_it_is_the_same(kind: str) -> None:
    shared, data = problem(kind, "softmax")
    assert isinstance(shared.model, Network)
    backward = replace(shared.model, body=replace(shared.model.body, rules=Rules(forward=False)))
    mine = found(deviation_l2.solve, replace(shared, model=backward), data)
    its = found(deviation_l2.solve, shared, data)
    assert_allclose(mine.delta, its.delta, atol=1e-12)
    assert_allclose(mine.log_tangent, its.log_tangent, atol=1e-12)


def test_of_a_layer_without_a_bias_a_user_has_none_either() -> None:
    model = network("one-layer", "softmax", factory=Functional)
    shared, data = Shared(model, somewhere(model), somewhere(model, 2), 0.7), sample("one-layer", "softmax")
    assert len(found(deviation_l2.solve, shared, data).delta) == deviating(model) == 15


def test_where_the_last_layer_alone_moves_what_goes_into_it_stays() -> None:
    shared, data = problem("mlp", "softmax")
    last = shared.model.last_layer
    assert last is not None
    only = np.zeros_like(shared.theta)
    only[last.at] = shared.log_tangent[last.at]
    there = met(shared.model, shared.theta, only, data.X)
    assert there.rows_dot is not None
    assert_array_equal(there.rows_dot, np.zeros_like(there.rows))


@solvers
@heads
def test_rows_that_bring_their_users_deviation_meet_their_users_model(solve: Solve, head: str) -> None:
    shared, data = problem("mlp", head)
    own, X = found(solve, shared, data), data.X
    there = met(shared.model, shared.theta, shared.log_tangent, X)
    f, f_dot = there.response(own)
    carried = personal.rows(X, f - there.f, f_dot - there.f_dot)
    theta, model = shared.theta, Personal(shared.model)
    assert_allclose(model.outputs(theta, carried), f, atol=1e-12)
    for mine, its in zip(model.response(theta, shared.log_tangent, carried), (f, f_dot), strict=True):
        assert_allclose(mine, its, atol=1e-12)
    g = shared.model.loss.gradient(f, data.y)
    J = shared.model.pulled(theta, np.tile(np.eye(f.shape[1]), (len(X), 1, 1)), X).reshape(-1, len(X), f.shape[1])
    assert_allclose(model.example_gradients(theta, carried, data.y), np.einsum("dnk,nk->nd", J, g), atol=1e-12)
