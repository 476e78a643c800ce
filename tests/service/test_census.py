"""Every event is counted once, and so are its features, whatever is told again, late, or out of order."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streamlearn.core import moments
from streamlearn.edges.formats.candidates import CandidateCodec
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.learner import columns
from streamlearn.service import tally
from streamlearn.service.census import FAR, Census
from streamlearn.service.ports import EVENTS, Passed, Record
from streamlearn.service.tallies import Tallies
from streamlearn.service.tally import STRETCH, Tally

KNOWN = columns.State("array", (("x0", None), ("x1", None)))
END = 2 * STRETCH + 417
X = np.random.default_rng(3).normal(5.0, size=(2, END, 2))
X[:, ::7, 1] = np.nan


CODEC = CandidateCodec(JsonCodec())


def sent(told: Tally) -> Tally:
    """As it comes over the wire."""
    (came,) = CODEC.events(Record(EVENTS, 0, 0, 1, None, tally.encode(told)))
    assert isinstance(came, Tally)
    return came


def told_of(partition: int, begin: int, step: int, known: columns.State = KNOWN) -> list[Passed | Tally]:
    """What a scorer says that reads a partition from `begin`: of each tenth event, and of all at every step."""
    tallies, said = Tallies(), list[Passed | Tally]()
    for offset in range(begin, END):
        record = Record(EVENTS, partition, offset, offset + 1, None, b"")
        if offset % 10 == 0:
            said.append(Passed(partition, offset // STRETCH, tallies.so_far(record) + 1, audit=False))
        said += map(sent, tallies.take(record, X[partition, offset : offset + 1], 0, known))
        if offset % step == step - 1:
            said += map(sent, tallies.news())
    return [*said, *map(sent, tallies.news())]


def take_in(said: list[Passed | Tally], known: columns.State = KNOWN) -> tuple[Census, int, moments.State]:
    census, earned, features = Census(), 0, moments.init(len(known.columns))
    for each in said:
        if isinstance(each, Passed):
            earned += census.passed(each)
        else:
            more, new = census.tallied(each, known)
            earned, features = earned + more, moments.merge(features, new)
    return census, earned, features


def assert_all(features: moments.State, partitions: int = 2) -> None:
    rows = X[:partitions].reshape(-1, 2)
    np.testing.assert_array_equal((~np.isnan(rows)).sum(axis=0), features.count)
    np.testing.assert_allclose(np.nanmean(rows, axis=0), features.mean, rtol=1e-12)
    np.testing.assert_allclose(np.nanvar(rows, axis=0) * features.count, features.square, rtol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_again_and_between_one_another_counts_once(seed: int) -> None:
    chance = random.Random(seed)
    tellers = [told_of(p, begin, chance.randrange(50, 400)) for p in (0, 1) for begin in (0, 0, STRETCH)]
    said = list[Passed | Tally]()
    while any(tellers):  # each tells in order, all at once
        teller = chance.choice([each for each in tellers if each])
        for _ in range(chance.randrange(1, 60)):
            if teller:
                said.append(teller.pop(0))
    census, earned, features = take_in(said)
    assert 2 * END == census.events == earned
    assert_all(features)


@pytest.mark.parametrize("seed", range(4))
def test_out_of_order_too(seed: int) -> None:
    said = told_of(0, 0, 100) + told_of(0, STRETCH, 130)
    random.Random(seed).shuffle(said)
    census, earned, features = take_in(said)
    assert END == census.events == earned
    assert_all(features, 1)


def test_a_partition_may_be_far_behind_the_others() -> None:
    """Candidates of all stretches come first, then every tally, backwards."""
    said = told_of(0, 0, 100)
    census, earned, features = take_in([each for each in said if isinstance(each, Passed)])
    assert END - 24 == earned == census.events
    again = Census()
    again.restore(census.kept())
    for each in reversed([each for each in said if isinstance(each, Tally)]):
        more, new = again.tallied(each, KNOWN)
        earned, features = earned + more, moments.merge(features, new)
    assert END == again.events == earned
    assert_all(features, 1)
    assert [((0, 1),)] == [ranges for _, ranges in again.kept().whole]


def test_nothing_is_taken_of_what_is_too_far_back() -> None:
    census = Census()
    assert 3 == census.passed(Passed(0, FAR, 3, audit=False))
    assert 0 == census.passed(Passed(0, 0, 900, audit=False))
    assert 7 == census.passed(Passed(0, 1, 7, audit=False))
    assert 2 == census.passed(Passed(1, 0, 2, audit=True))
    assert 12 == census.events


def test_of_columns_that_come_meanwhile_and_of_strangers() -> None:
    """A category that came later was 0 before, wherever its name held anything."""
    before = columns.State("map", (("a", None), ("b", "x")))
    now = columns.State("map", (*before.columns, ("b", "y")))
    tallies, census = Tallies(), Census()
    tallies.take(Record(EVENTS, 0, 0, 1, None, b""), np.array([[2.0, 1.0], [4.0, np.nan]]), 0, before)
    earned, features = census.tallied(sent(tallies.news()[0]), now)
    assert (2, [2.0, 1.0, 1.0], [3.0, 1.0, 0.0]) == (earned, features.count.tolist(), features.mean.tolist())
    tallies.forget()
    tallies.take(Record(EVENTS, 0, 0, 1, None, b""), np.array([[2.0, 1.0, 0.0], [4.0, np.nan, np.nan]]), 0, now)
    tallies.take(Record(EVENTS, 0, 1, 2, None, b""), np.array([[6.0, 0.0, 1.0]]), 0, now)
    earned, features = census.tallied(sent(tallies.news()[0]), now)
    assert (1, [1.0, 1.0, 1.0], [6.0, 0.0, 1.0]) == (earned, features.count.tolist(), features.mean.tolist())
    stranger = columns.State("map", (("z", None),))
    other = Tallies()
    other.take(Record(EVENTS, 1, 0, 1, None, b""), np.array([[9.0]]), 0, stranger)
    earned, features = census.tallied(sent(other.news()[0]), now)
    assert (1, 0.0) == (earned, features.count.sum())


def test_it_goes_on_where_it_was() -> None:
    said = told_of(0, 0, 90)
    census, _, _ = take_in(said[:150])
    again = Census()
    again.restore(census.kept())
    for each in said[150:]:
        for one in (census, again):
            if isinstance(each, Passed):
                one.passed(each)
            else:
                one.tallied(each, KNOWN)
    assert END == census.events == again.events
