"""Earlier fits: few, dense where they are recent, and none that has learned what was forgotten since."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from streamlearn.service import fits
from streamlearn.service.ports import Changes, Earlier
from tests.learner.streams import labels, learned, start, told

SETTINGS = told()
STATE = learned(start(SETTINGS), SETTINGS, labels("logistic", 12))


def test_of_many_fits_a_few_are_kept_dense_where_they_are_recent() -> None:
    state, kept, changes = STATE, list[Earlier](), Changes()
    for number in range(1, 3001):
        kept = fits.note(kept, replace(state, labels=number), number, 0.0, changes)
        assert len(kept) <= fits.KEPT_MOST
    ages = [3000 - entry.labels for entry in kept]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] == 2999, "the oldest stays"
    assert ages[-1] < 3000 / fits.GROWTH
    older = [age for age in ages if age > 3000 / fits.GROWTH]
    assert all(1.05 < before / after < 4.0 for before, after in pairwise(older)), ages
    added, removed = {entry.number for entry in changes.fits_added}, set(changes.fits_removed)
    assert added - removed == {entry.number for entry in kept}


def test_large_fits_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    state, kept = STATE, list[Earlier]()
    size = len(fits.note([], state, 1, 0.0, Changes())[0].value)
    monkeypatch.setattr(fits, "BYTES_MOST", 5 * size)
    for number in range(1, 300):
        kept = fits.note(kept, replace(state, labels=number), number, 0.0, Changes())
        assert sum(len(entry.value) for entry in kept) <= 5 * size
    assert len(kept) >= 4


def test_a_fit_that_has_learned_what_is_forgotten_goes() -> None:
    state, kept = STATE, list[Earlier]()
    for number in (3, 6, 9, 12):
        kept = fits.note(kept, replace(state, labels=number), number, 0.0, Changes())
    changes = Changes(examples_removed=[7])
    kept = fits.note(kept, replace(state, labels=12), 13, 0.0, changes)
    assert [3, 6, 13] == [entry.number for entry in kept], "and the fit of now, which has not"
    assert [9, 12] == changes.fits_removed


def test_the_fit_of_a_commit_is_the_newest_that_is_not_later() -> None:
    kept = [Earlier(number, number, 0.0, b"") for number in (2, 5, 9)]
    found = [fits.as_of(kept, number) for number in (1, 2, 4, 5, 100)]
    assert [None, 2, 2, 5, 9] == [entry and entry.number for entry in found]
