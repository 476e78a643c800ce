"""Everybody at once: whose parameters are served, when they are found, what noisy users count, what is left of a user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.users import gamma_normal
from streamlearn.core.users.groups import grouped
from streamlearn.core.users.together import PRIOR, ROUNDS, SOLVERS, Together
from streamlearn.learner import deviation, everybody, exact, learner
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, objective, places
from tests.learner import streams

USERS = ("ann", "ben", "", "eve")
solvers = pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])


def told(solver: str = "newton", learn: bool = True) -> Settings:
    return replace(streams.told(solver, learn=learn), users=Users("gamma-normal"))


def of_users(count: int, seed: int = 0) -> list[Labeled]:
    """Ann has another opinion of the first feature; Eve's labels are noise."""
    rng, found = np.random.default_rng(50 + seed), []
    for i, label in enumerate(streams.labels("squared", count, seed)):
        user, y = USERS[i % 4], float(label.y)  # type: ignore[arg-type]
        own = -2.0 * label.x[0] if user == "ann" else 3.0 * rng.normal() if user == "eve" else 0.0
        found.append(replace(label, user=user, y=round(y + float(own), 3) + 1e-4))
    return found


def learned(settings: Settings, count: int = 80) -> State:
    return streams.learned(streams.start(settings), settings, of_users(count))


def together(state: State) -> Together:
    assert state.published is not None
    assert state.published.everybody is not None
    return state.published.everybody


def by_hand(state: State, settings: Settings) -> gamma_normal.State:
    """Everybody's parameters by the joint solve of nobody, Ann, Ben and Eve."""
    fit, kept = state.published, state.examples
    assert fit is not None
    number = {"": 0, "ann": 1, "ben": 2, "eve": 3}
    rows = places(state, settings, kept.end)
    data = Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])
    groups = grouped(data, np.array([number[kept.user[row]] for row in rows]), 4)
    prior, here = PRIOR, gamma_normal.init(fit.model.size, 4, PRIOR)
    for _ in range(ROUNDS):
        here, info = gamma_normal.step(
            here, objective(state, settings, fit.model, fit.frame), groups, fit.regularity, prior
        )
        assert info.ok
        prior = gamma_normal.learned(prior, here, groups.sums(groups.data.w))
    return here


def theta_of(state: State, settings: Settings, user: str) -> tuple[Array, Array]:
    fit = state.published
    assert fit is not None
    own = deviation.of_user(state, settings, fit, user)
    assert own is not None
    return own.added(fit.theta, fit.log_tangent)


def test_whoever_was_solved_for_has_their_part_of_the_solution_and_who_is_new_has_what_all_share() -> None:
    settings = told()
    state = exact.refit(everybody.outdated(learned(settings)), settings)
    known, here = together(state), by_hand(state, settings)
    assert known.names == ("", "ann", "ben", "eve")
    for place, user in enumerate(known.names):
        assert_allclose(theta_of(state, settings, user)[0], here.thetas[place], atol=1e-9)
        assert_allclose(theta_of(state, settings, user)[1], here.tangents[place], atol=1e-9)
    assert np.abs(here.tangents[1:]).max() > 1e-3
    for one, other in zip(theta_of(state, settings, "zoe"), (here.theta, here.log_tangent), strict=True):
        assert_allclose(one, other, atol=1e-12)
    assert theta_of(state, settings, "ann")[0][1] < 0.0 < theta_of(state, settings, "ben")[0][1]


def test_a_label_teaches_its_user_at_once_one_who_is_new_too_and_nobody_else() -> None:
    settings = told()
    state = learned(settings)
    for user in ("ann", "zoe"):
        label = replace(of_users(1)[0], y=40.0, user=user)
        after = learner.keep(state, settings, label)
        after = replace(after, refined=after.examples.end)
        fit = after.published
        assert fit is state.published
        assert fit is not None
        x = fit.frame.design(label.x[None, :])[0]
        assert (theta_of(after, settings, user)[0] - theta_of(state, settings, user)[0]) @ x > 0.1
        assert_array_equal(theta_of(after, settings, "ben")[0], theta_of(state, settings, "ben")[0])


def test_tangents_are_the_derivatives_of_refits_of_everything() -> None:
    settings = replace(told(learn=False), fixed_regularity=0.02)
    state = learned(settings)
    assert state.fit is not None

    def at(step: float) -> dict[str, tuple[Array, Array]]:
        moved = replace(settings, fixed_regularity=0.02 * np.exp(step))
        refitted = exact.refit(everybody.outdated(state), moved)
        return {user: theta_of(refitted, moved, user) for user in (*USERS, "zoe")}

    here, ahead, behind = at(0.0), at(1e-3), at(-1e-3)
    # The rates of the priors are learned on the way, and held by the tangents.
    for user, (_, tangent) in here.items():
        refits = (ahead[user][0] - behind[user][0]) / 2e-3
        assert_allclose(tangent, refits, atol=0.1 * max(np.abs(each).max() for _, each in here.values()))


@solvers
def test_it_is_found_as_labels_grow_by_an_eighth_and_means_the_same_between(solver: str) -> None:
    settings = told(solver)
    state = learned(settings)
    assert state.fit is not None
    at = state.fit.users_at
    raw = np.random.default_rng(4).normal(size=(6, 3)) * [1.0, 3.0, 0.2]

    def said(state: State) -> Array:
        """At these rows, by what all share and by what is nobody's."""
        assert state.fit is not None
        frame, known = state.fit.frame, together(state)
        return frame.target_shift + frame.target_scale * (
            frame.design(raw) @ np.array([known.theta, known.nobody[0]]).T
        )

    before, precisions = said(state), together(state).precisions
    labels = iter(of_users(40, seed=1))
    while state.labels < at + at // 8:
        state = learner.step(state, settings, next(labels))
        assert state.fit is not None
        assert state.fit.users_at == at
    assert_allclose(said(state), before, atol=1e-9)
    assert_array_equal(together(state).precisions, precisions)
    state = learner.step(state, settings, next(labels))
    assert state.fit is not None
    assert state.fit.users_at == state.labels
    assert state.published is state.fit


def test_a_test_example_of_a_noisy_user_counts_little() -> None:
    settings = told()
    state = learned(settings)
    weights = dict(zip(together(state).names, together(state).weights, strict=True))
    assert weights["eve"] < 0.2 < weights["ben"]
    label = replace(streams.labels("squared", 1, seed=5)[0], user="eve")
    after, fit = learner.keep(state, settings, label, tunes=True), state.fit
    assert fit is not None
    theta, tangent = theta_of(state, settings, "eve")
    x, y = fit.frame.design(label.x[None, :]), fit.frame.targets(np.array([label.y], dtype=float))
    f, f_dot = fit.model.response(theta, tangent, x)
    gradient = float((f[0, 0] - y[0]) * f_dot[0, 0])
    assert_allclose(after.tuner.gradient, gradient * label.weight * weights["eve"])


def test_where_nothing_finite_is_found_all_stays_as_it_was_if_nothing_is_to_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, state = told(), learned(told())
    before = together(state).precisions
    monkeypatch.setitem(SOLVERS, "gamma-normal", lambda *told: None)
    after = streams.learned(state, settings, of_users(20, seed=1))
    assert after.fit is not None
    assert state.fit is not None
    assert after.fit.users_at > state.fit.users_at
    assert_array_equal(together(after).precisions, before)
    forgotten = learner.revise(after, settings, 0, None)
    assert forgotten.fit is not None
    assert forgotten.fit.everybody is None


@pytest.mark.parametrize("solver", ["newton", "cg"])
def test_nothing_is_left_of_a_user_who_was_forgotten(solver: str) -> None:
    settings = told(solver, learn=False)
    labels, state = of_users(80), learned(settings)
    for serial, label in enumerate(labels):
        if label.user == "ann":
            state = learner.revise(state, settings, serial, None)
    rest = [label for label in labels if label.user != "ann"]
    without = everybody.outdated(streams.learned(streams.start(settings), settings, rest))
    without = exact.refit(without, settings)
    assert together(state).names == together(without).names == ("", "ben", "eve")
    assert_allclose(together(state).precisions, together(without).precisions, rtol=1e-5, atol=1e-7)
    for user in ("", "ben", "eve", "ann"):
        mine, its = (theta_of(each, settings, user)[0] for each in (state, without))
        assert_allclose(mine, its, rtol=1e-5, atol=1e-7)


def test_while_learning_is_paused_what_a_forgotten_user_had_goes_and_the_others_keep_theirs() -> None:
    settings, state = told(), learned(told())
    before = together(state)
    for serial, label in enumerate(of_users(80)):
        if label.user == "ann":
            assert "ann" in together(state).names
            state = learner.revise(state, settings, serial, None, learns=False)
    assert together(state).names == ("", "ben", "eve")
    assert_array_equal(together(state).precisions, before.precisions[[0, 2, 3]])
    assert_allclose(theta_of(state, settings, "ann")[0], before.theta, atol=1e-12)
    assert state.published is state.fit


def test_beyond_the_bound_users_with_fewest_labels_count_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = told()
    monkeypatch.setattr(everybody, "NUMBERS_MOST", 8)  # of 4 parameters
    rest = [replace(label, user="ann" if i < 40 else label.user) for i, label in enumerate(of_users(80))]
    state = streams.learned(streams.start(settings), settings, rest)
    assert together(state).names == ("", "ann", "ben")
    assert (
        together(state).precision_of("eve") == together(state).precision_of("zoe") == (together(state).precision, 0.0)
    )
    assert (theta_of(state, settings, "eve")[0] != theta_of(state, settings, "zoe")[0]).all(), "labels of their own"
    assert everybody.left_out(state, settings) == 1
    monkeypatch.setattr(everybody, "NUMBERS_MOST", 12)
    assert everybody.left_out(state, settings) == 0
