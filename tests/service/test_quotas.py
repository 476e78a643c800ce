"""Quotas: how often a user was asked within 24 hours, and what is kept of it."""

from __future__ import annotations

import math

from streamlearn.service.ports import AskedOf, Changes
from streamlearn.service.quotas import DAY_S, Quotas


def taken(quotas: Quotas) -> Changes:
    changes = Changes()
    quotas.take(changes)
    return changes


def test_a_query_counts_for_a_day() -> None:
    quotas = Quotas(2)
    for time in (0.0, 10.0):
        assert quotas.allows("ann", time)
        quotas.asked("ann", time)
    assert [False, False, True] == [quotas.allows("ann", time) for time in (20.0, DAY_S - 0.1, DAY_S)]
    assert quotas.allows("ben", 20.0)


def test_nobody_and_without_a_bound_everybody_may_always_be_asked() -> None:
    for quotas, user in ((Quotas(1), ""), (Quotas(0), "ann")):
        for _ in range(5):
            assert quotas.allows(user, 0.0)
            quotas.asked(user, 0.0)
        changes = taken(quotas)
        assert ([], -math.inf) == (changes.asked_added, changes.asked_horizon)


def test_what_counts_no_more_is_dropped_with_the_next_commit() -> None:
    quotas = Quotas(3)
    quotas.asked("ann", 0.0)
    assert [AskedOf("ann", 0.0)] == taken(quotas).asked_added
    quotas.asked("ben", DAY_S + 1.0)
    changes = taken(quotas)
    assert ([AskedOf("ben", DAY_S + 1.0)], 1.0) == (changes.asked_added, changes.asked_horizon)
    assert ["ben"] == quotas.counting(DAY_S + 1.0)
    assert not quotas.bounds("ann")


def test_a_clock_that_is_put_back_has_asked_nothing_in_the_future() -> None:
    quotas = Quotas(1)
    quotas.asked("ann", 1e9)
    taken(quotas)
    quotas.hasten(100.0)
    changes = taken(quotas)
    assert ([AskedOf("ann", 100.0)], math.inf) == (changes.asked_added, changes.asked_horizon)
    assert [False, True] == [quotas.allows("ann", time) for time in (101.0, 100.0 + DAY_S)]


def test_of_who_is_forgotten_nothing_is_kept() -> None:
    quotas = Quotas(1)
    quotas.restore([AskedOf("ann", 1.0), AskedOf("ben", 2.0)])
    quotas.forget("ann")
    changes = taken(quotas)
    assert ([AskedOf("ben", 2.0)], math.inf) == (changes.asked_added, changes.asked_horizon)
    assert quotas.allows("ann", 3.0)
    assert not quotas.allows("ben", 3.0)
