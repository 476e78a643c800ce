"""Everybody's parameters at once: whose are served, when they are found, what noisy users count, what is left of a user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.core.users.together import Together
from streamlearn.learner import deviation, everybody, exact, learner
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
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
    assert state.published.together is not None
    return state.published.together


def theta_of(state: State, settings: Settings, user: str) -> tuple[Array, Array]:
    fit = state.published
    assert fit is not None
    own = deviation.of_user(state, settings, fit, user)
    assert own is not None
    return own.added(fit.theta, fit.log_tangent)


def test_everybody_has_their_own_parameters_nobody_too_and_who_is_new_has_those_that_all_share() -> None:
    settings = told()
    state = learned(settings)
    known = together(state)
    assert known.names == ("", "ann", "ben", "eve")
    for place, user in enumerate(known.names):
        assert_allclose(theta_of(state, settings, user)[0], known.thetas[place], atol=1e-12)
        assert_allclose(theta_of(state, settings, user)[1], known.tangents[place], atol=1e-12)
    assert_allclose(theta_of(state, settings, "zoe")[0], known.theta, atol=1e-12)
    assert theta_of(state, settings, "ann")[0][1] < 0.0 < theta_of(state, settings, "ben")[0][1]


def test_tangents_are_the_derivatives_of_refits_of_everything() -> None:
    settings = replace(told(learn=False), fixed_regularity=0.02)
    state = learned(settings)
    assert state.fit is not None

    def at(step: float) -> Together:
        moved = replace(settings, fixed_regularity=0.02 * np.exp(step))
        return together(exact.refit(everybody.outdated(state), moved))

    here = at(0.0)
    # The rates of the priors are learned on the way, and held by the tangents.
    for one, other, tangent in (
        (at(1e-3).thetas, at(-1e-3).thetas, here.tangents),
        (at(1e-3).theta, at(-1e-3).theta, here.log_tangent),
    ):
        assert_allclose(tangent, (one - other) / 2e-3, atol=0.1 * np.abs(tangent).max())
    assert np.abs(here.tangents).max() > 1e-3


@solvers
def test_it_is_found_as_labels_grow_by_an_eighth_and_means_the_same_between(solver: str) -> None:
    settings = told(solver)
    state = learned(settings)
    assert state.fit is not None
    at = state.fit.users_at
    raw = np.random.default_rng(4).normal(size=(6, 3)) * [1.0, 3.0, 0.2]
    fit = state.fit
    before = fit.frame.target_shift + fit.frame.target_scale * (fit.frame.design(raw) @ together(state).thetas.T)
    labels = iter(of_users(40, seed=1))
    while state.labels < at + at // 8:
        state = learner.step(state, settings, next(labels))
        assert state.fit is not None
        assert state.fit.users_at == at
    frame = state.fit.frame
    after = frame.target_shift + frame.target_scale * (frame.design(raw) @ together(state).thetas.T)
    assert_allclose(after, before, atol=1e-9)
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
    assert_allclose(together(state).thetas, together(without).thetas, rtol=1e-5, atol=1e-7)


def test_while_learning_is_paused_what_a_forgotten_user_had_goes_and_the_others_keep_theirs() -> None:
    settings, state = told(), learned(told())
    before = together(state)
    for serial, label in enumerate(of_users(80)):
        if label.user == "ann":
            assert "ann" in together(state).names
            state = learner.revise(state, settings, serial, None, learns=False)
    assert together(state).names == ("", "ben", "eve")
    assert_array_equal(together(state).thetas, before.thetas[[0, 2, 3]])
    assert_allclose(theta_of(state, settings, "ann")[0], before.theta, atol=1e-12)
    assert state.published is state.fit


def test_beyond_the_bound_users_with_fewest_labels_count_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = told()
    monkeypatch.setattr(everybody, "NUMBERS_MOST", 8)  # of 4 parameters
    rest = [replace(label, user="ann" if i < 40 else label.user) for i, label in enumerate(of_users(80))]
    state = streams.learned(streams.start(settings), settings, rest)
    assert together(state).names == ("", "ann", "ben")
    assert_array_equal(theta_of(state, settings, "eve")[0], theta_of(state, settings, "zoe")[0])
    assert everybody.left_out(state) == 1
    monkeypatch.setattr(everybody, "NUMBERS_MOST", 12)
    assert everybody.left_out(state) == 0
