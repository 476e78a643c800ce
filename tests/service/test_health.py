"""Liveness is the age of the loop's last turn; readiness is what the parts say."""

from __future__ import annotations

import pytest

from streamlearn.service.health import DEAD_AFTER_S, OF_A_DAEMON, OF_A_SCORER, PARTS, Health


def test_it_lives_while_the_loop_turns() -> None:
    health = Health()
    health.turned(100.0)
    assert health.live(100.0 + DEAD_AFTER_S - 0.1)
    assert not health.live(100.0 + DEAD_AFTER_S)
    health.turned(200.0)
    assert health.live(200.0)
    assert health.age(203.5) == 3.5


def test_before_the_first_turn_the_age_counts_from_the_first_question() -> None:
    health = Health()
    assert health.live(1000.0)
    assert not health.live(1000.0 + DEAD_AFTER_S)


def test_it_is_starting_until_it_has_started() -> None:
    health = Health()
    assert health.readiness() == {"start": "starting"}
    health.ready("start")
    assert health.readiness() == {}


def test_a_part_that_is_not_ready_says_why_and_does_not_end_liveness() -> None:
    health = Health()
    health.ready("start")
    health.turned(0.0)
    health.unready("store", "disk full")
    health.unready("log", "broker away")
    health.unready("log", "broker still away")
    assert list(health.readiness().items()) == [("log", "broker still away"), ("store", "disk full")]
    assert health.live(1.0)
    health.ready("log")
    health.ready("log")
    assert health.readiness() == {"store": "disk full"}


def test_a_daemon_and_a_scorer_have_parts_of_their_own() -> None:
    assert (Health().parts, Health(OF_A_SCORER).parts) == (OF_A_DAEMON, OF_A_SCORER)
    assert set(PARTS) == {*OF_A_DAEMON, *OF_A_SCORER}


def test_an_unknown_part_is_our_own_fault() -> None:
    with pytest.raises(AssertionError):
        Health().unready("broker", "away")
