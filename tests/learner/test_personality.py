"""When it is learned how users differ, of whom, and that nothing is left of what was forgotten."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamlearn.config import Users
from streamlearn.core.users.deviation import Prior
from streamlearn.learner import deviation, exact, learner
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.learner import streams

USERS = ("ann", "ben", "", "eve", "kim", "zoe")


def told(solver: str = "newton", learn: bool = True) -> Settings:
    return replace(streams.told(solver, learn=learn), users=Users("personality", directions=1))


def of_users(count: int, head: str = "logistic", seed: int = 0) -> list[Labeled]:
    """Who comes later in the alphabet answers more and more the other way round."""
    found = []
    for i, label in enumerate(streams.labels(head, count, seed)):
        turns = head == "logistic" and USERS[i % 6] > "d" and label.x[0] > 0.0
        found.append(replace(label, user=USERS[i % 6], y=not label.y if turns else label.y))
    return found


def prior(state: State) -> Prior:
    assert state.published is not None
    assert state.published.prior is not None
    return state.published.prior


@pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])
def test_it_is_learned_anew_as_labels_grow_by_an_eighth_and_stays_between(solver: str) -> None:
    settings, moments, state = told(solver), [], streams.start(told(solver))
    for label in of_users(90):
        state = learner.step(state, settings, label)
        if state.fit is not None and state.fit.users_at == state.labels:
            moments.append(state.labels)
        assert state.published is state.fit
    assert moments[-1] > 80
    assert [later - moment for moment, later in pairwise(moments)] == [moment // 8 + 1 for moment in moments[:-1]]
    assert prior(state).directions.shape == (4, 1)


@pytest.mark.parametrize("solver", ["newton", "sgdf"])
def test_between_it_means_the_same_in_the_parameters_of_every_fit(solver: str) -> None:
    settings = told(solver)
    state = streams.learned(streams.start(settings), settings, of_users(60))
    assert state.fit is not None
    raw = np.random.default_rng(4).normal(size=(6, 3)) * [1.0, 3.0, 0.2]
    before = state.fit.frame.design(raw) @ prior(state).directions
    state = learner.observe(state, state.columns, np.random.default_rng(1).normal(2.0, 3.0, size=(400, 3)))
    same = replace(state, fit=replace(state.fit, users_at=10_000))
    moved = streams.learned(same, settings, of_users(8, seed=1))
    assert moved.fit is not None
    assert (moved.fit.frame.scaling.shift != state.fit.frame.scaling.shift).all()
    assert_allclose(moved.fit.frame.design(raw) @ prior(moved).directions, before, atol=1e-9)
    assert prior(moved).spread == prior(state).spread


def test_a_new_class_and_new_columns_leave_what_was_learned() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users(60, "softmax"))
    assert prior(state).directions.shape == (12, 1)
    assert state.fit is not None
    state = replace(state, fit=replace(state.fit, users_at=10_000))
    more = [replace(label, y="another") for label in of_users(3, "softmax", seed=3)]
    assert prior(streams.learned(state, settings, more)).directions.shape == (16, 1)


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
def test_a_users_tangent_is_the_derivative_of_refits_under_one_prior(head: str) -> None:
    settings = replace(told(learn=False), fixed_regularity=0.004)
    state = streams.learned(streams.start(settings), settings, of_users(60, head))
    known = prior(state)

    def at(step: float) -> tuple[np.ndarray, np.ndarray]:
        moved = replace(settings, fixed_regularity=0.004 * np.exp(step))
        fit = exact.refit(state, moved).published
        assert fit is not None
        own = deviation.of_user(state, moved, replace(fit, prior=known), "ann")
        assert own is not None
        return own.added(fit.theta, fit.log_tangent)

    assert_allclose(at(0.0)[1], (at(1e-5)[0] - at(-1e-5)[0]) / 2e-5, atol=1e-6)


def test_without_users_there_is_none_and_everybody_has_the_shared_model() -> None:
    settings = told()
    anonymous = [replace(label, user="") for label in of_users(60)]
    state = streams.learned(streams.start(settings), settings, anonymous)
    plain = streams.learned(streams.start(settings), streams.told(), anonymous)
    assert state.published is not None
    assert plain.published is not None
    assert state.published.prior is None
    assert_array_equal(state.published.theta, plain.published.theta)


@pytest.mark.parametrize("solver", ["newton", "cg"])
def test_nothing_is_left_of_an_example_that_was_forgotten(solver: str) -> None:
    settings, labels = told(solver, learn=False), of_users(70)
    state = streams.learned(streams.start(settings), settings, labels)
    for serial, label in enumerate(labels):
        if label.user == "zoe":
            state = learner.revise(state, settings, serial, None)
    without = streams.learned(streams.start(settings), settings, [label for label in labels if label.user != "zoe"])
    assert without.fit is not None
    without = exact.refit(replace(without, fit=replace(without.fit, users_at=0)), settings)
    assert_allclose(prior(state).directions, prior(without).directions, rtol=1e-5, atol=1e-7)
    assert_allclose(prior(state).spread, prior(without).spread, rtol=1e-5)


def test_while_nothing_is_learned_it_stays_until_the_next_fit() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users(70))
    paused = learner.revise(state, settings, 5, None, learns=False)
    assert prior(paused) is prior(state)
    resumed = learner.catch_up(paused, settings)
    assert resumed.fit is not None
    assert resumed.fit.users_at == resumed.labels
