"""A user's few numbers against a general optimiser and refits that refit θ₀ too, and directions against those known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from streamlearn.core import newton
from streamlearn.core.losses import Array, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L2
from streamlearn.core.users import personality
from streamlearn.core.users.groups import Groups
from streamlearn.core.users.personality import Shared, State
from tests.core.problems import HEADS, relative
from tests.core.users.users import some

heads = pytest.mark.parametrize("head", HEADS)
LAMBDA, USER, WITHOUT = 0.03, 2, 5


def shared(model: Linear, groups: Groups, regularity: float = LAMBDA) -> Shared:
    """θ₀ trained on everybody, and two directions."""
    found, info = newton.step(newton.init(model.size), Objective(model, 0.01), groups.data, regularity)
    assert info.ok
    P = np.random.default_rng(7).normal(size=(model.size, 2))
    return Shared(found.theta, found.log_tangent, P, groups.weight)


def solved(model: Linear, of: Shared, groups: Groups, regularity: float = LAMBDA, user: int = USER) -> State:
    state, info = personality.step(personality.init(of, regularity), model, of, groups.of(user), regularity)
    assert info.ok
    return state


@heads
def test_the_optimum_is_that_of_a_general_optimiser(head: str) -> None:
    model, groups = some(head)
    of, own = shared(model, groups), groups.of(USER)

    def value(s: Array) -> float:
        f = model.outputs(of.theta + of.directions @ s, own.X)
        return float(own.w @ model.loss.value(f, own.y)) / groups.weight + 0.5 * LAMBDA * float(s @ s)

    state = solved(model, of, groups)
    other = minimize(value, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    assert_allclose(state.s, other.x, atol=1e-6)
    assert np.linalg.norm(state.s) > 0.01


@heads
def test_the_tangent_is_the_difference_of_refits_that_refit_the_shared_model_too(head: str) -> None:
    model, groups = some(head)
    of = shared(model, groups)
    thetas = []
    for h in (1e-4, -1e-4):
        moved = shared(model, groups, LAMBDA * np.exp(h))
        thetas.append(personality.theta(moved, solved(model, moved, groups, LAMBDA * np.exp(h))))
    tangent = personality.log_tangent(of, solved(model, of, groups))
    assert relative(tangent, (thetas[0] - thetas[1]) / 2e-4) < 1e-6


@heads
def test_a_user_without_labels_is_the_shared_model_to_the_last_bit(head: str) -> None:
    model, groups = some(head)
    of = shared(model, groups)
    state = solved(model, of, groups, user=WITHOUT)
    assert (personality.theta(of, state) == of.theta).all()
    assert (personality.log_tangent(of, state) == of.log_tangent).all()


def test_along_every_direction_it_is_the_deviation_with_l2() -> None:
    model, groups = some("logistic")
    of, own = replace(shared(model, groups), directions=np.eye(model.size)), groups.of(USER)
    weight = float(own.w.sum())
    deviation = Objective(model, 0.0, L2(of.theta), free=())
    other, info = newton.step(newton.init(model.size), deviation, own, LAMBDA * groups.weight / weight)
    assert info.ok
    state = solved(model, of, groups)
    assert_allclose(personality.theta(of, state), other.theta, atol=1e-9)
    assert_allclose(personality.covariance(of, state), other.covariance, rtol=1e-7, atol=1e-12)


def test_known_directions_are_found_again_by_size_and_with_the_same_signs() -> None:
    rng = np.random.default_rng(0)
    d, users, labels = 12, 200, 25
    axes = np.linalg.qr(rng.normal(size=(d, 2)))[0]
    true = rng.normal(size=(users, 2)) * [2.0, 1.0]
    deviations = np.empty((users, d))
    for u in range(users):
        X = rng.normal(size=(labels, d))
        y = X @ (axes @ true[u]) + 0.5 * rng.normal(size=labels)
        deviations[u] = np.linalg.solve(X.T @ X + 3.0 * np.eye(d), X.T @ y)
    weights = np.full(users, float(labels))
    P = personality.directions(deviations, weights, 2)
    angles = np.linalg.svd(np.linalg.qr(P)[0].T @ axes)[1]
    assert angles.min() > 0.99
    lengths = np.linalg.norm(P, axis=0)
    assert_allclose(lengths / lengths[0], [1.0, 0.5], atol=0.1)
    assert_allclose(lengths @ lengths, d)
    assert (P[np.abs(P).argmax(axis=0), [0, 1]] > 0.0).all()
    assert_allclose(personality.directions(-deviations[::-1], weights, 2), P, atol=1e-9)
    assert_allclose(P @ personality.carried(P @ [1.0, -2.0], P), P @ [1.0, -2.0], atol=1e-12)


def test_users_who_weigh_nothing_and_directions_that_nobody_has_do_not_count() -> None:
    rng = np.random.default_rng(1)
    deviations = np.outer(rng.normal(size=20), np.eye(5)[1])
    spoilt = np.concatenate([deviations, rng.normal(size=(20, 5))])
    weights = np.repeat([1.0, 0.0], 20)
    assert_allclose(personality.directions(spoilt, weights, 3), np.sqrt(5.0) * np.eye(5)[:, 1:2], atol=1e-12)
    assert personality.directions(np.zeros((20, 5)), np.ones(20), 3).shape == (5, 0)
    assert personality.directions(spoilt, np.zeros(40), 3).shape == (5, 0)
    of = Shared(np.ones(5), np.ones(5), np.zeros((5, 0)), 10.0)
    own = Data(rng.normal(size=(4, 5)), np.ones(4), np.ones(4))
    state, info = personality.step(personality.init(of, 0.1), Linear(Squared(), 1, 5), of, own, 0.1)
    assert info.ok
    assert (personality.theta(of, state) == 1.0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_reported_and_the_state_is_left_alone(bad: float) -> None:
    model, groups = some("logistic")
    of, own = shared(model, groups), groups.of(USER)
    before = personality.init(of, LAMBDA)
    for where in ("X", "y", "w"):
        parts = {name: getattr(own, name).copy() for name in ("X", "y", "w")}
        parts[where][3] = bad
        after, info = personality.step(before, model, of, Data(**parts), LAMBDA)
        assert not info.ok
        assert after is before
