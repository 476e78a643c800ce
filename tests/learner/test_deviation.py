"""What a label teaches its user: the learner with users against refits, and what the test example of λ sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.learner import deviation, exact, examples, learner
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.learner import streams

heads = pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
penalties = pytest.mark.parametrize("penalty", ["l2", "l1"])


def told(penalty: str = "l2", solver: str = "newton", learn: bool = True, keep: int = 0) -> Settings:
    return replace(streams.told(solver, learn=learn, keep=keep), users=Users("deviation", penalty))


def of_users(head: str, count: int = 60, seed: int = 0) -> list[Labeled]:
    """Every fourth label is Ann's, every fourth nobody's, the others Ben's."""
    whose = ["ann", "ben", "", "ben"]
    return [replace(label, user=whose[i % 4]) for i, label in enumerate(streams.labels(head, count, seed))]


def theta_of(state: State, settings: Settings, user: str) -> tuple[Array, Array]:
    fit = state.published
    assert fit is not None
    own = deviation.of_user(state, settings, fit, user)
    return (fit.theta, fit.log_tangent) if own is None else own.added(fit.theta, fit.log_tangent)


@heads
@penalties
def test_a_users_tangent_is_the_derivative_of_refits_of_everything(head: str, penalty: str) -> None:
    settings = replace(told(penalty, learn=False), fixed_regularity=0.004)
    state = streams.learned(streams.start(settings), settings, of_users(head))

    def at(step: float) -> Array:
        moved = replace(settings, fixed_regularity=0.004 * np.exp(step))
        return theta_of(exact.refit(state, moved), moved, "ann")[0]

    difference = (at(1e-5) - at(-1e-5)) / 2e-5
    assert_allclose(theta_of(exact.refit(state, settings), settings, "ann")[1], difference, atol=1e-6)
    assert np.abs(theta_of(state, settings, "ann")[0] - theta_of(state, settings, "zoe")[0]).max() > 1e-2


@heads
def test_the_shared_model_is_the_one_without_users(head: str) -> None:
    """But for λ, which hears of each label what its user's model makes of it."""
    settings = told(learn=False)
    with_, without = (
        streams.learned(streams.start(settings), each, of_users(head)) for each in (settings, streams.told(learn=False))
    )
    assert with_.published is not None
    assert without.published is not None
    assert_array_equal(with_.published.theta, without.published.theta)
    assert_array_equal(with_.published.log_tangent, without.published.log_tangent)


def test_a_user_without_labels_has_the_shared_model() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users("logistic"))
    assert state.published is not None
    for user in ("zoe", ""):
        assert deviation.of_user(state, settings, state.published, user) is None


def test_a_test_example_of_lambda_is_seen_by_its_users_model() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users("logistic"))
    label = replace(streams.labels("logistic", 1, seed=5)[0], user="ann")
    fit, after = state.fit, learner.step(state, settings, label)
    assert fit is not None
    x, y = fit.frame.design(label.x[None, :]), np.array([float(bool(label.y))])
    theta, tangent = theta_of(state, settings, "ann")
    f, f_dot = fit.model.response(theta, tangent, x)
    assert_allclose(after.tuner.gradient, (fit.model.loss.gradient(f, y) * f_dot).sum() * label.weight)
    anonymous = learner.step(state, settings, replace(label, user=""))
    assert anonymous.tuner.gradient != after.tuner.gradient


def test_a_user_is_refined_by_a_label_that_the_shared_model_has_not_learned_yet() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users("logistic", 200))
    label = replace(streams.labels("logistic", 1, seed=5)[0], user="ann")
    after = learner.step(state, settings, label)
    if after.published is not state.published:
        state, after = after, learner.step(after, settings, label)
    assert after.published is state.published
    assert (theta_of(after, settings, "ann")[0] != theta_of(state, settings, "ann")[0]).any()
    assert_array_equal(theta_of(after, settings, "ben")[0], theta_of(state, settings, "ben")[0])


def test_what_is_only_kept_is_not_learned_by_its_user_until_it_is_caught_up() -> None:
    settings = told()
    state = streams.learned(streams.start(settings), settings, of_users("logistic"))
    kept = learner.keep(state, settings, replace(streams.labels("logistic", 1, seed=5)[0], user="ann"))
    assert_array_equal(theta_of(kept, settings, "ann")[0], theta_of(state, settings, "ann")[0])
    assert kept.published is not None
    later = learner.catch_up(kept, settings)
    assert len(deviation.learned(later, kept.published, "ann")) == 16


def test_forgotten_and_replaced_examples_are_none_of_their_users_any_more() -> None:
    settings = told()
    given = of_users("logistic")
    state = streams.learned(streams.start(settings), settings, given)
    without = learner.revise(state, settings, 0, None)
    assert len(examples.of_user(state.examples, "ann")) == 15
    assert len(examples.of_user(without.examples, "ann")) == 14
    assert without.examples.user[0] == ""
    given_away = learner.revise(state, settings, 0, replace(given[0], user="ben"))
    assert len(examples.of_user(given_away.examples, "ben")) == 31
    assert len(examples.of_user(state.examples, "ann")) == 15


def test_only_the_examples_that_are_kept_count() -> None:
    settings = told(keep=20)
    state = streams.learned(streams.start(settings), settings, of_users("logistic"))
    state = learner.settle(state, settings)
    assert len(examples.of_user(state.examples, "ann")) == 5
    assert sum(len(serials) for serials in state.examples.by_user.values()) <= 45


def test_sgdf_has_users_too_who_are_as_exact_as_the_shared_model() -> None:
    """∂θ_u/∂θ₀ = αH_u⁻¹ makes no error larger."""
    settings = replace(told(solver="sgdf", learn=False), fixed_regularity=0.02)
    state = streams.learned(streams.start(settings), settings, of_users("logistic", 120))
    for _ in range(40):
        state = learner.settle(state, settings)
    exactly = exact.refit(state, replace(settings, solver="newton"))
    shared, own = (theta_of(state, settings, user)[0] - theta_of(exactly, settings, user)[0] for user in ("zoe", "ann"))
    assert 0.0 < np.linalg.norm(own) < 1.05 * np.linalg.norm(shared) < 0.5
