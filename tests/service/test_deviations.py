"""Users' deviations in memory: found anew whenever one is stale, and no more of them than is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamlearn.config import Users
from streamlearn.learner import deviation, learner
from streamlearn.service import deviations
from streamlearn.service.deviations import Deviations
from tests.learner import streams

TOLD = replace(streams.told(), users=Users("deviation"))
GIVEN = [replace(label, user=f"u{i % 5}") for i, label in enumerate(streams.labels("logistic", 140))]
STATE = streams.learned(streams.start(TOLD), TOLD, GIVEN)


def test_what_is_kept_is_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Deviations(TOLD, 10)
    first = here.of(STATE, "u1")
    assert first is not None
    assert first is here.of(STATE, "u1")
    assert here.of(STATE, "nobody") is here.of(STATE, "") is None
    assert len(here) == 1


def test_what_moved_makes_it_stale() -> None:
    here = Deviations(TOLD, 10)
    first = here.of(STATE, "u1")
    refined = learner.step(STATE, TOLD, replace(GIVEN[0], user="u1"))
    if refined.published is not STATE.published:
        refined = replace(refined, published=STATE.published)
    assert here.of(refined, "u1") is not first
    here.of(STATE, "u1")
    refitted = learner.settle(replace(STATE, unfitted=1), TOLD)
    assert refitted.published is not STATE.published
    here.of(refitted, "u2")
    assert len(here) == 1, "of another model"
    replaced = learner.revise(STATE, TOLD, 1, replace(GIVEN[1], x=-GIVEN[1].x), learns=False)
    before = here.of(STATE, "u1")
    here.touched("u1")
    after = here.of(replaced, "u1")
    assert before is not None
    assert after is not None
    assert (before.delta != after.delta).any()


def test_only_the_ones_used_last_are_kept() -> None:
    here = Deviations(TOLD, 2)
    first = [here.of(STATE, user) for user in ("u1", "u2", "u1", "u3")]
    assert len(here) == 2
    assert here.of(STATE, "u1") is first[0]
    again = here.of(STATE, "u2")
    assert again is not first[1]
    assert again is not None
    assert first[1] is not None
    assert (again.delta == first[1].delta).all(), "to the last bit"


def test_no_more_numbers_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deviations, "DEVIATIONS_MOST", 2 * 2 * 4)  # of two users with δ and δ̇ of four parameters
    here = Deviations(TOLD, 10)
    first = [here.of(STATE, user) for user in ("u1", "u2", "u3")]
    assert len(here) == 2
    here.touched("u2")
    here.touched("u2")
    assert here.of(STATE, "u3") is first[2]
    again = here.of(STATE, "u1")
    assert again is not first[0]
    assert len(here) == 2
    monkeypatch.setattr(deviations, "DEVIATIONS_MOST", 1)
    here = Deviations(TOLD, 10)
    newest = here.of(STATE, "u1")
    assert here.of(STATE, "u1") is newest, "the newest one always"
    here.of(STATE, "u2")
    assert len(here) == 1


def test_what_a_model_before_had_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deviations, "DEVIATIONS_MOST", 2 * 2 * 4)
    here, state = Deviations(TOLD, 10), STATE
    for _ in range(3):
        for user in ("u1", "u2"):
            here.of(state, user)
        assert len(here) == 2
        state = learner.settle(replace(state, unfitted=1), TOLD)


def test_who_has_no_labels_takes_no_memory() -> None:
    here = Deviations(TOLD, 10)
    for i in range(1000):
        assert here.of(STATE, f"new {i}") is None
    assert len(here) == 0
    assert STATE.published is not None
    assert len(deviation.learned(STATE, STATE.published, "u1")) == 28
