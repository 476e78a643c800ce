"""What users have in common: a user's optimum against a general optimiser and refits, and directions against those known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Objective
from streamlearn.core.users import deviation_l2, personality
from streamlearn.core.users.deviation import Deviation, Prior, Shared
from streamlearn.core.users.groups import Groups
from tests.core.problems import HEADS, relative
from tests.core.users.users import some

heads = pytest.mark.parametrize("head", HEADS)
users = pytest.mark.parametrize("user", [2, 4], ids=["fifteen labels", "five"])
LAMBDA = 0.03


def shared(model: Linear, groups: Groups, regularity: float = LAMBDA) -> Shared:
    found, info = newton.step(newton.init(model.size), Objective(model, 0.01), groups.data, regularity)
    assert info.ok
    return Shared(model, found.theta, found.log_tangent, regularity * groups.weight)


def prior(model: Linear) -> Prior:
    return Prior(np.random.default_rng(7).normal(size=(model.size, 2)), 0.4)


def solved(of: Shared, groups: Groups, user: int, prior: Prior | None) -> Deviation:
    own = deviation_l2.solve(of, groups.of(user), prior)
    assert own is not None
    return own


@heads
@users
def test_the_optimum_is_that_of_a_general_optimiser(head: str, user: int) -> None:
    model, groups = some(head)
    of, own, (P, spread) = shared(model, groups), groups.of(user), (prior(model).directions, prior(model).spread)
    precision = np.linalg.inv(P @ P.T + spread**2 * np.eye(model.size))

    def value(delta: Array) -> float:
        f = model.outputs(of.theta + delta, own.X)
        return float(own.w @ model.loss.value(f, own.y) + 0.5 * of.precision * delta @ precision @ delta)

    delta = solved(of, groups, user, prior(model)).delta
    other = minimize(value, np.zeros(model.size), method="BFGS", tol=1e-9)
    assert_allclose(delta, other.x, atol=2e-5)
    assert value(delta) <= other.fun + 1e-12
    assert np.linalg.norm(delta) > 0.01


@heads
@users
def test_the_tangent_is_the_difference_of_refits_that_refit_the_shared_model_too(head: str, user: int) -> None:
    model, groups = some(head)

    def at(step: float) -> tuple[Array, Array]:
        of = shared(model, groups, LAMBDA * np.exp(step))
        return solved(of, groups, user, prior(model)).added(of.theta, of.log_tangent)

    assert relative(at(0.0)[1], (at(1e-4)[0] - at(-1e-4)[0]) / 2e-4) < 1e-6


@heads
def test_where_all_directions_are_alike_it_is_the_deviation(head: str) -> None:
    model, groups = some(head)
    of, alike = shared(model, groups), Prior(0.6 * np.eye(model.size), 0.8)
    one, other = solved(of, groups, 2, alike), solved(of, groups, 2, None)
    assert_allclose(one.delta, other.delta, atol=1e-9)
    assert_allclose(one.log_tangent, other.log_tangent, atol=1e-9)


def test_with_no_spread_users_differ_along_the_directions_alone() -> None:
    model, groups = some("softmax")
    narrow = Prior(prior(model).directions, 0.0)
    own = solved(shared(model, groups), groups, 2, narrow)
    for each in (own.delta, own.log_tangent):
        s = np.linalg.lstsq(narrow.directions, each, rcond=None)[0]
        assert_allclose(narrow.directions @ s, each, atol=1e-12)


def deviations(users: int = 200, labels: int = 25, d: int = 12) -> tuple[Array, Array]:
    """Ridge estimates of users who differ along two known axes (d, 2), and those axes."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(d, 2)))[0]
    true, found = rng.normal(size=(users, 2)) * [2.0, 1.0], np.empty((users, d))
    for u in range(users):
        X = rng.normal(size=(labels, d))
        y = X @ (axes @ true[u]) + 0.5 * rng.normal(size=labels)
        found[u] = np.linalg.solve(X.T @ X + 3.0 * np.eye(d), X.T @ y)
    return found, axes


def test_known_directions_are_found_again_by_size_and_with_the_same_signs() -> None:
    found, axes = deviations()
    learned = personality.prior(found, np.full(200, 25.0), 2)
    assert learned is not None
    P = learned.directions
    assert np.linalg.svd(np.linalg.qr(P)[0].T @ axes)[1].min() > 0.99
    lengths = np.linalg.norm(P, axis=0)
    assert_allclose(lengths / lengths[0], [1.0, 0.5], atol=0.1)
    assert 0.0 < learned.spread < 0.3
    assert_allclose(lengths @ lengths + 12 * learned.spread**2, 12.0)
    assert (P[np.abs(P).argmax(axis=0), [0, 1]] > 0.0).all()
    again = personality.prior(-found[::-1], np.full(200, 25.0), 2)
    assert again is not None
    assert_allclose(again.directions, P, atol=1e-9)


def test_who_weighs_nothing_does_not_count() -> None:
    found, _ = deviations()
    spoilt = np.concatenate([found, np.random.default_rng(1).normal(size=(20, 12))])
    one = personality.prior(found, np.ones(200), 3)
    other = personality.prior(spoilt, np.repeat([1.0, 0.0], [200, 20]), 3)
    assert one is not None
    assert other is not None
    assert_allclose(one.directions, other.directions, atol=1e-9)
    assert_allclose(one.spread, other.spread)


def test_of_a_few_users_it_is_not_believed_that_others_differ_as_they_do_alone() -> None:
    spreads = []
    for count in (1, 2, 5, 200):
        learned = personality.prior(deviations(count)[0], np.ones(count), 3)
        assert learned is not None
        spreads.append(learned.spread)
    assert spreads[0] > spreads[1] > spreads[2] > spreads[3] > 0.0


@pytest.mark.parametrize("bad", [np.zeros((20, 5)), np.full((20, 5), np.nan)])
def test_where_users_do_not_differ_nothing_is_learned(bad: Array) -> None:
    assert personality.prior(bad, np.ones(20), 3) is None
    assert personality.prior(np.ones((20, 5)), np.zeros(20), 3) is None


def test_users_who_differ_alike_in_all_directions_have_none() -> None:
    learned = personality.prior(np.eye(5), np.ones(5), 3)
    assert learned is not None
    assert learned.directions.shape == (5, 0)
    assert_array_equal(learned.spread, 1.0)
