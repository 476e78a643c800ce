"""Hierarchy in the learner: everybody's parameters, of which λ, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.users import hierarchy, together
from streamlearn.core.users.groups import Groups, grouped
from streamlearn.core.users.together import Together
from streamlearn.learner import deviation, everybody, exact, learner, settings
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data
from tests.learner import streams

HEADS = ("squared", "logistic", "softmax", "poisson")
USERS = ("ann", "ben", "", "eve")
heads = pytest.mark.parametrize("head", HEADS)
solvers = pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])


def told(solver: str = "newton", learn: bool = True, kind: str = "hierarchy") -> Settings:
    here = replace(streams.told(solver, learn=learn), users=Users(kind))
    return replace(here, penalty=replace(here.penalty, elsewhere=settings.ELSEWHERE.get(kind, 0.0)))


def of_users(head: str, count: int, seed: int = 0) -> list[Labeled]:
    """Ann has another opinion of the first feature."""
    turned = [
        replace(label, user=USERS[i % 4], x=label.x * [-1.0, 1.0, 1.0] if USERS[i % 4] == "ann" else label.x)
        for i, label in enumerate(streams.labels("squared" if head == "poisson" else head, count, seed))
    ]
    if head != "poisson":
        return turned
    draws = np.random.default_rng(seed)
    return [replace(label, y=int(draws.poisson(np.exp(0.5 * float(label.y))))) for label in turned]  # type: ignore[arg-type]


def learned(here: Settings, head: str = "squared", count: int = 80) -> State:
    return streams.learned(
        streams.start(here, loss="poisson" if head == "poisson" else ""), here, of_users(head, count)
    )


def known(state: State) -> Together:
    assert state.published is not None
    assert state.published.everybody is not None
    return state.published.everybody


def everybodys(state: State, here: Settings) -> tuple[Array, Array]:
    """θ_u and θ̇_u (U, d) of all users named."""
    fit = state.published
    assert fit is not None
    own = [deviation.of_user(state, here, fit, user) for user in known(state).names]
    both = [each.added(fit.theta, fit.log_tangent) for each in own if each is not None]
    return np.array([theta for theta, _ in both]), np.array([tangent for _, tangent in both])


def anew(state: State, here: Settings) -> State:
    """Everything found again, on all labels."""
    return exact.refit(everybody.outdated(state), here)


def groups_of(state: State, here: Settings) -> Groups:
    assert state.fit is not None
    every = data(state, here, state.fit.frame, state.examples.end, "all")
    places = {name: place for place, name in enumerate(known(state).names)}
    whose = np.array([places[user] for user in state.examples.user[: len(state.examples)]], dtype=np.intp)
    return grouped(Data(every.X, every.y, every.w), whose, len(places))


@heads
def test_everybodys_parameters_are_the_hierarchys_on_these_labels_and_this_regularity(head: str) -> None:
    here = told()
    state = anew(learned(here, head), here)
    fit, found = state.fit, known(state)
    assert fit is not None
    groups, size = groups_of(state, here), fit.model.size
    weights = np.arange(size) % fit.model.columns > 0
    by_hand, precision = hierarchy.init(size, len(found.names)), hierarchy.PRECISION
    for _ in range(together.ROUNDS):
        anchor = np.where(weights, precision, 0.01)
        by_hand, info = hierarchy.step(by_hand, fit.model, groups, fit.regularity, anchor)  # type: ignore[arg-type]
        assert info.ok
        precision = hierarchy.learned(precision, by_hand, info, weights.astype(float))
    assert_allclose(found.theta, by_hand.theta, rtol=1e-9)
    assert_allclose(found.complexity, by_hand.mu @ by_hand.mu)
    for place, user in enumerate(found.names):
        own = deviation.of_user(state, here, fit, user)
        assert own is not None
        theta, tangent = own.added(fit.theta, fit.log_tangent)
        assert_allclose(theta, by_hand.thetas[place], rtol=1e-9, atol=1e-12)
        assert_allclose(tangent, by_hand.tangents[place], rtol=1e-9, atol=1e-12)
        assert deviation.weight_of(here, fit, user) == 1.0
    assert set(found.names) == set(USERS)
    new = deviation.of_user(state, here, fit, "zoe")
    assert new is not None
    assert_allclose(new.added(fit.theta, fit.log_tangent), [by_hand.theta, by_hand.log_tangent], atol=1e-12)


@heads
def test_tangents_are_the_derivatives_of_refits_of_everything(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "ROUNDS", 1)  # the precision of θ₀'s prior is held by the tangents
    here = replace(told(learn=False), fixed_regularity=0.05)
    state = learned(here, head)

    def at(step: float) -> tuple[Together, tuple[Array, Array]]:
        moved = replace(here, fixed_regularity=0.05 * np.exp(step))
        refitted = anew(state, moved)
        return known(refitted), everybodys(refitted, moved)

    (found, own), (up, own_up), (down, own_down) = at(0.0), at(1e-4), at(-1e-4)
    for one, other, tangent in (
        (own_up[0], own_down[0], own[1]),
        (up.theta, down.theta, found.log_tangent),
        (np.log(up.precisions), np.log(down.precisions), found.rates),
    ):
        assert_allclose(tangent, (one - other) / 2e-4, atol=1e-5 * np.abs(tangent).max())
    assert np.abs(own[1]).max() > 1e-4


@solvers
def test_nothing_of_the_fit_that_strategies_see_moves_with_the_regularity_and_it_can_be_trusted(solver: str) -> None:
    state = learned(told(solver), "logistic")
    fit = state.fit
    assert fit is not None
    assert not fit.log_tangent.any()
    assert fit.residual == 0.0
    assert fit.certificate.trusted
    if solver == "sgdf":
        return
    other = replace(state, tuner=replace(state.tuner, log_precision=state.tuner.log_precision + 3.0))
    moved, stayed = anew(other, told(solver)), anew(state, told(solver))
    assert moved.fit is not None
    assert stayed.fit is not None
    assert_allclose(moved.fit.theta, stayed.fit.theta, rtol=1e-12)
    assert np.abs(everybodys(moved, told(solver))[0] - everybodys(stayed, told(solver))[0]).max() > 1e-3


@solvers
def test_the_regularity_is_tuned_by_the_users_own_tangents(solver: str) -> None:
    here = told(solver)
    state = learned(here, "logistic")
    fit = state.fit
    assert fit is not None
    label = replace(streams.labels("logistic", 1, seed=5)[0], user="ann")
    after = learner.keep(state, here, label, tunes=True)
    own = deviation.of_user(state, here, fit, "ann")
    assert own is not None
    x, y = fit.frame.design(label.x[None, :]), np.array([float(label.y)])  # type: ignore[arg-type]
    f, f_dot = fit.model.response(*own.added(fit.theta, fit.log_tangent), x)
    gradient = float((fit.model.loss.gradient(f, y) * f_dot).sum()) * label.weight
    assert after.tuner.gradient == pytest.approx(gradient)
    assert gradient != 0.0
    assert state.tuner.log_precision != after.tuner.log_precision


def test_the_regularity_stays_where_users_still_move_with_it() -> None:
    here = told()
    state = learned(here, "logistic")
    assert state.fit is not None
    least = hierarchy.least(state.fit.model.size)
    low = replace(state, tuner=replace(state.tuner, log_precision=np.log(0.01)))
    after = learner.keep(low, here, of_users("logistic", 1, seed=3)[0], tunes=True)
    assert after.tuner.log_precision == np.log(least)
    assert np.abs(everybodys(anew(after, here), here)[1]).max() > 1e-3


def test_without_anybodys_parameters_the_regularity_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    here = told()
    given = [replace(label, user="ann") for label in streams.labels("logistic", 40)]
    nobody = [replace(label, user="") for label in given]
    assert known(streams.learned(streams.start(here), here, nobody)).nobody[1].any()
    assert everybody.left_out(streams.learned(streams.start(here), here, given), here) == 0
    monkeypatch.setattr(everybody, "SIZE_MOST", 3)  # less than the model has
    state = streams.learned(streams.start(here), here, given)
    assert state.fit is not None
    assert state.fit.everybody is None
    assert everybody.left_out(state, here) == 1
    assert deviation.of_user(state, here, state.fit, "ann") is None
    assert state.tuner.log_precision == np.log(here.initial_precision)


@pytest.mark.parametrize("before", ["none", "deviation", "personality", "gamma-normal"])
def test_a_store_that_was_of_another_kind_is_solved_with_the_next_fit(before: str) -> None:
    state = everybody.told_anew(learned(told(kind=before)))
    here = told()
    state = learner.step(state, here, of_users("squared", 1, seed=3)[0])
    while state.unfitted:
        state = learner.step(state, here, of_users("squared", 1, seed=4)[0])
    assert state.fit is not None
    assert state.fit.prior is None
    assert_array_equal(known(state).weights, 1.0)
    assert state.fit.users_at == state.labels


def test_the_labels_of_a_user_who_is_forgotten_are_gone_from_everybodys_parameters() -> None:
    here, labels = told(learn=False), of_users("logistic", 80)
    state = learned(here, "logistic")
    for serial, label in enumerate(labels):
        if label.user == "ann":
            state = learner.revise(state, here, serial, None)
    rest = [label for label in labels if label.user != "ann"]
    without = anew(streams.learned(streams.start(here), here, rest), here)
    assert known(state).names == known(without).names == ("", "ben", "eve")
    assert_allclose(everybodys(state, here)[0], everybodys(without, here)[0], rtol=1e-5, atol=1e-7)
