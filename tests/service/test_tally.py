"""However partitions go from one scorer to another, what goes farthest of each stretch adds up to every event, once."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from streamlearn.core import moments
from streamlearn.learner import columns
from streamlearn.service import tally
from streamlearn.service.ports import EVENTS, Record
from streamlearn.service.tallies import Tallies
from streamlearn.service.tally import STRETCH, Tally

KNOWN = columns.State("array", (("x0", None), ("x1", None)))
END = 3 * STRETCH + 417
X = np.random.default_rng(3).normal(size=(END, 2))
X[::7, 1] = np.nan


def record(offset: int) -> Record:
    return Record(EVENTS, 5, offset, offset + 1, None, b"")


def taken(tallies: Tallies, begin: int, end: int, known: columns.State = KNOWN) -> list[Tally]:
    """Every 50th is rejected."""
    ended: list[Tally] = []
    for offset in range(begin, end):
        bad = offset % 50 == 0
        ended += tallies.take(record(offset), X[offset : offset + (not bad)], int(bad), known)
    return ended


@pytest.mark.parametrize("seed", range(5))
def test_they_add_up_whoever_reads_and_whatever_is_read_twice(seed: int) -> None:
    chance, committed, said = random.Random(seed), 0, list[Tally]()
    scorers = [Tallies(), Tallies(), Tallies()]
    while committed < 3 * STRETCH or not any(each.through == END for each in said):
        scorer = chance.choice(scorers)
        scorer.forget()
        at = committed
        while at < END and chance.random() < 0.9:
            to = min(END, at + chance.randrange(1, 400))
            ended, at = taken(scorer, at, to), to
            told = chance.random() < 0.8  # or it is killed, the tally acknowledged or not, the group not told
            said += ended
            if not told:
                break
            committed = max([committed, *((each.stretch + 1) * STRETCH for each in ended)])
            said += scorer.news()
    farthest: dict[int, Tally] = {}
    for each in said:
        if each.stretch not in farthest or farthest[each.stretch].through < each.through:
            farthest[each.stretch] = each
    assert [0, STRETCH, 2 * STRETCH, 3 * STRETCH] == sorted(each.begin for each in farthest.values())
    good = X[np.arange(END) % 50 != 0]
    assert (len(good), END - len(good)) == (
        sum(each.events for each in farthest.values()),
        sum(each.rejected for each in farthest.values()),
    )
    closed = [moments.closed(each.features) for each in farthest.values()]
    np.testing.assert_array_equal((~np.isnan(good)).sum(axis=0), sum(each.count for each in closed))
    np.testing.assert_allclose(np.nansum(good, axis=0), sum(each.count * each.mean for each in closed))


def test_what_is_told_is_what_has_grown() -> None:
    tallies = Tallies()
    assert [] == tallies.news()
    taken(tallies, 0, 10)
    assert [10] == [each.through for each in tallies.news()]
    assert [] == tallies.news()
    taken(tallies, 10, 12)
    (told,) = tallies.news()
    line = json.loads(tally.encode(told))["tally"]
    assert (5, 0, 12, 11, 1) == tuple(line[key] for key in ("partition", "begin", "through", "events", "rejected"))
    np.testing.assert_allclose(np.nanmean(X[1:12], axis=0), line["mean"])
    assert [["x0", None], ["x1", None]] == line["columns"]


def test_columns_that_come_within_a_stretch_count_from_the_next_and_others_begin_anew() -> None:
    more = columns.State("array", (*KNOWN.columns, ("x2", None)))
    tallies, wide = Tallies(), np.ones((1, 3))
    taken(tallies, 0, 10)
    tallies.take(record(10), wide, 0, more)
    assert [(0, 2)] == [(each.begin, len(each.features.count)) for each in tallies.news()]
    (ended,) = tallies.take(record(STRETCH), wide, 0, more)
    assert (STRETCH, 2) == (ended.through, len(ended.features.count))
    assert [(STRETCH, 3)] == [(each.begin, len(each.features.count)) for each in tallies.news()]
    tallies.take(record(STRETCH + 1), X[:1], 0, columns.State("array", (("y", None), ("x0", None))))
    assert [STRETCH + 1] == [each.begin for each in tallies.news()]
