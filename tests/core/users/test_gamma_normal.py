"""The Gamma–normal minimum against a general optimiser, its tangent against a dense solve and refits, and what κ is for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from streamlearn.core.losses import Array, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.users import gamma_normal
from streamlearn.core.users.arrow import Point
from streamlearn.core.users.gamma_normal import Gamma, Problem, State
from streamlearn.core.users.groups import Groups, grouped
from tests.core.problems import central, relative
from tests.core.users.test_arrow import as_dense, flat
from tests.core.users.users import COLUMNS, USERS, some

LAMBDA, PRIOR = 0.03, Gamma(1.5, 0.5, 0.4)
both_ways = pytest.mark.parametrize("marginal", [True, False])
OBJECTIVE = Objective(Linear(Squared(), 1, COLUMNS), 0.1)


def solved(groups: Groups, regularity: float = LAMBDA, start: State | None = None, marginal: bool = True) -> State:
    begin = start or gamma_normal.init(COLUMNS, groups.count, PRIOR)
    state, info = gamma_normal.step(begin, OBJECTIVE, groups, regularity, PRIOR, marginal)
    assert info.ok
    return state


def some_users() -> Groups:
    return some("squared")[1]


def problem(groups: Groups, marginal: bool) -> Problem:
    return Problem(OBJECTIVE, *gamma_normal.summary(groups), LAMBDA, PRIOR, marginal)


def point(state: State) -> Point:
    return Point(state.theta, np.column_stack([state.thetas, np.log(state.tau), np.log(state.kappa)]))


def unflat(vector: Array) -> Point:
    return Point(vector[:COLUMNS], vector[COLUMNS:].reshape(-1, COLUMNS + 2))


@both_ways
def test_the_value_is_the_negative_logarithm_of_the_program_and_its_derivatives_are_central_differences(
    marginal: bool,
) -> None:
    groups = some_users()
    of, at = problem(groups, marginal), flat(point(solved(groups)))
    at = at + 0.2 * np.random.default_rng(1).normal(size=len(at))
    shared, users = unflat(at)
    tau, kappa = np.exp(users[:, -2:]).T
    r = (groups.data.X * users[groups.user, :COLUMNS]).sum(axis=1) - groups.data.y
    of_labels = groups.data.w @ (0.5 * kappa[groups.user] * r**2 - 0.5 * np.log(kappa[groups.user]))
    away = ((users[:, :COLUMNS] - shared) ** 2).sum(axis=1)
    of_users = 0.5 * tau * away - 0.5 * COLUMNS * np.log(tau)
    of_precisions = -0.5 * np.log(tau * kappa) + 0.5 * tau + 0.4 * kappa  # a − 1 is ½
    of_shared = 0.5 * LAMBDA * groups.weight * shared[1:] @ shared[1:] + 0.05 * shared[0] ** 2
    total = of_labels + (of_users + of_precisions).sum() + of_shared
    for u in range(USERS) if marginal else ():
        X, w = groups.of(u).X, groups.of(u).w
        total += 0.5 * np.linalg.slogdet(kappa[u] * (X.T * w) @ X + tau[u] * np.eye(COLUMNS))[1]
    value, gradient = of.value_gradient(unflat(at))
    assert_allclose(value, total / groups.weight, rtol=1e-12)
    assert relative(flat(gradient), central(lambda v: of.value_gradient(unflat(v))[0], at)) < 1e-6
    H = as_dense(of.hessian(unflat(at), convex=False))
    assert relative(H, central(lambda v: flat(of.value_gradient(unflat(v))[1]), at)) < 1e-6
    assert np.linalg.eigvalsh(as_dense(of.hessian(unflat(at), convex=True)))[0] > 0.0


@both_ways
def test_the_minimum_is_that_of_a_general_optimiser_and_has_the_precisions_of_the_closed_form(marginal: bool) -> None:
    groups = some_users()
    state, of = solved(groups, marginal=marginal), problem(groups, marginal)

    def both(v: Array) -> tuple[float, Array]:
        value, gradient = of.value_gradient(unflat(v))
        return value, flat(gradient)

    start = flat(point(gamma_normal.init(COLUMNS, USERS, PRIOR)))
    other = minimize(both, start, method="BFGS", jac=True, options={"gtol": 1e-9, "maxiter": 5000})
    assert_allclose(flat(point(state)), other.x, atol=1e-5)
    assert np.abs(both(flat(point(state)))[1]).max() < 1e-12
    squares, counts = ((state.thetas - state.theta) ** 2).sum(axis=1), groups.sums(groups.data.w)
    determined, left = np.full(USERS, float(COLUMNS)), counts
    if marginal:
        G = gamma_normal.summary(groups)[0][:, :-1, :-1]
        for u in range(USERS):
            whole = state.kappa[u] * G[u]
            determined[u] = np.trace(np.linalg.solve(whole + state.tau[u] * np.eye(COLUMNS), whole))
        left = counts - determined
    assert_allclose(state.tau, (0.5 * determined + 0.5) / (0.5 * squares + 0.5), rtol=1e-9)
    r = (groups.data.X * state.thetas[groups.user]).sum(axis=1) - groups.data.y
    errors = groups.sums(groups.data.w * r**2)
    assert_allclose(state.kappa, (0.5 * left + 0.5) / (0.5 * errors + 0.4), rtol=1e-9)


@both_ways
def test_the_tangent_is_that_of_the_dense_system_and_of_refits(marginal: bool) -> None:
    groups = some_users()
    state = solved(groups, marginal=marginal)
    tangent = flat(Point(state.log_tangent, np.column_stack([state.tangents, state.tau_tangent, state.kappa_tangent])))
    H = as_dense(problem(groups, marginal).hessian(point(state), convex=False))
    source = np.zeros(len(H))
    source[:COLUMNS] = LAMBDA * OBJECTIVE.complexity_gradient(state.theta)
    assert relative(tangent, -np.linalg.solve(H, source)) < 1e-8
    h = 1e-4
    up, down = (flat(point(solved(groups, LAMBDA * np.exp(s), state, marginal))) for s in (h, -h))
    assert relative(tangent, (up - down) / (2.0 * h)) < 1e-6


def test_users_without_labels_are_the_shared_model_and_change_nothing() -> None:
    groups = some_users()
    state = solved(groups)
    more = solved(Groups(groups.data, groups.user, USERS + 10))
    assert_allclose(more.theta, state.theta, rtol=1e-9)
    assert_allclose(more.thetas[USERS - 1 :], np.tile(state.theta, (11, 1)), rtol=1e-9)
    assert_allclose(more.tangents[USERS - 1 :], np.tile(state.log_tangent, (11, 1)), rtol=1e-7)
    assert_allclose(more.kappa[USERS - 1 :], (PRIOR.shape - 1.0) / PRIOR.label_rate)


def test_users_with_noisy_labels_are_weighted_down_in_the_shared_model_and_in_the_test_loss() -> None:
    """Thirty users of one model, ten of whom label at random: with them θ₀ is as good as without, a plain mean is not."""
    rng = np.random.default_rng(0)
    truth, users = rng.normal(size=COLUMNS), 30
    user = np.repeat(np.arange(users), 15)
    X = np.column_stack([np.ones(len(user)), rng.normal(size=(len(user), COLUMNS - 1))])
    noise = np.where(np.arange(users) < 10, 4.0, 0.3)
    data = Data(X, X @ truth + noise[user] * rng.normal(size=len(user)), np.ones(len(user)))
    state = solved(grouped(data, user, users), 1e-3)
    plain = np.linalg.lstsq(X, data.y, rcond=None)[0]
    assert np.linalg.norm(state.theta - truth) < 0.4 * np.linalg.norm(plain - truth)
    weight = gamma_normal.weights(state)
    assert weight[:10].max() < 0.1 * weight[10:].min()
    assert_allclose(weight.mean(), 1.0)
    # What a user says moves θ₀ by less if they are noisy: all labels of one are a little higher.
    away = [
        np.linalg.norm(solved(grouped(_raised(data, user == u), user, users), 1e-3, state).theta - state.theta)
        for u in range(users)
    ]
    assert max(away[:10]) < 0.5 * min(away[10:])


def _raised(data: Data, whose: np.ndarray) -> Data:
    return Data(data.X, np.where(whose, data.y + 1e-3, data.y), data.w)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_reported_and_the_state_is_left_alone(bad: float) -> None:
    groups, before = some_users(), gamma_normal.init(COLUMNS, USERS, PRIOR)
    for where in ("X", "y", "w"):
        parts = {name: getattr(groups.data, name).copy() for name in ("X", "y", "w")}
        parts[where][3] = bad
        spoilt = Groups(Data(**parts), groups.user, USERS)
        after, info = gamma_normal.step(before, OBJECTIVE, spoilt, LAMBDA, PRIOR)
        assert not info.ok
        assert after is before
    after, info = gamma_normal.step(before, OBJECTIVE, groups, bad, PRIOR)
    assert not info.ok
    assert after is before


def test_it_is_of_the_squared_loss_with_l2_alone() -> None:
    assert gamma_normal.solves(OBJECTIVE)
    assert not gamma_normal.solves(Objective(some("logistic")[0], 0.1))


def test_the_rates_are_learned_from_all_users_and_those_without_labels_say_nothing() -> None:
    rng, users, labels, d = np.random.default_rng(0), 300, 12, COLUMNS
    user = np.repeat(np.arange(users), labels)
    thetas = np.array([1.0, -1.0, 0.5]) + rng.normal(size=(users, d)) / np.sqrt(20.0)
    X = np.column_stack([np.ones(len(user)), rng.normal(size=(len(user), d - 1))])
    y = (X * thetas[user]).sum(axis=1) + rng.normal(size=len(user)) / np.sqrt(5.0)
    groups = grouped(Data(X, y, np.ones(len(user))), user, users)
    prior, state = PRIOR, gamma_normal.init(d, users, PRIOR)
    for _ in range(20):
        state, info = gamma_normal.step(state, OBJECTIVE, groups, LAMBDA, prior)
        assert info.ok
        prior = gamma_normal.learned(prior, state, groups.sums(groups.data.w))
    assert 10.0 < (prior.shape - 1.0) / prior.rate < 40.0
    assert 4.0 < (prior.shape - 1.0) / prior.label_rate < 6.0
    counts = np.where(np.arange(users) == 0, 1.0, 0.0)
    assert gamma_normal.learned(prior, gamma_normal.init(d, users, prior), counts) == pytest.approx(prior)


def test_far_from_every_minimum_where_l_bends_down_one_is_found_all_the_same() -> None:
    """About as many labels as parameters, some of them noise, and a prior that holds no one back: L is not convex."""
    rng, users, d = np.random.default_rng(85), 20, 6
    user = np.repeat(np.arange(users), rng.integers(1, 12, users))
    X = np.column_stack([np.ones(len(user)), rng.normal(size=(len(user), d - 1))])
    thetas = rng.normal(size=d) + rng.normal(size=(users, d)) * rng.choice([0.1, 0.5], users)[:, None]
    y = (X * thetas[user]).sum(axis=1) + rng.choice([0.1, 1.5], users)[user] * rng.normal(size=len(user))
    groups, prior = grouped(Data(X, y, np.ones(len(y))), user, users), Gamma(1.2, 0.005, 0.01)
    objective = Objective(Linear(Squared(), 1, d), 0.01)
    for marginal in (True, False):  # without the doubling of short steps the second is not found
        begin = gamma_normal.init(d, users, prior)
        state, info = gamma_normal.step(begin, objective, groups, 1.0 / groups.weight, prior, marginal)
        assert info.ok
        of = Problem(objective, *gamma_normal.summary(groups), 1.0 / groups.weight, prior, marginal)
        assert np.abs(flat(of.value_gradient(point(state))[1])).max() < 1e-10
        assert np.linalg.eigvalsh(as_dense(of.hessian(point(state), convex=False)))[0] > 0.0
