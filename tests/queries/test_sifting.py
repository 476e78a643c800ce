"""Of candidates the same events are asked about as of all events: the threshold knows that it sees the top alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.queries import selector
from streamlearn.queries.budget import Budget

N = 6000


def drifting(seed: int) -> tuple[Array, Array]:
    """Scores, and the draws of audits."""
    generator = np.random.default_rng(seed)
    return generator.gamma(2.0, size=N) * np.linspace(3.0, 1.0, N), generator.random(N)


def asked(budget: Budget, scores: Array, audit: Array, candidates: Array, sifted: bool) -> list[int]:
    """Places in the stream; the first bound holds after every candidate, over all events."""
    state, at, places = selector.init(sifted), 0, list[int]()
    counted = np.diff(candidates, prepend=-1)
    while at < len(candidates):
        part = candidates[at:]
        state, info = selector.step(
            state, budget, scores[part], audit[part], np.ones(len(part), dtype=bool), counted=counted[at:]
        )
        at += info.used
        assert state.issued <= math.ceil(budget.share * (candidates[at - 1] + 1) - 1e-9)
        places += [int(candidates[at - 1])] * info.chosen
    assert state.entitled == candidates[-1] + 1
    return places


def share_of_top(places: list[int], scores: Array, share: float) -> float:
    """How many of these are among that share of the events around them that score highest."""
    top = [scores[i] >= np.quantile(scores[max(0, i - 200) : i + 200], 1.0 - share) for i in places]
    return float(np.mean(top))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("loose", [1.5, 4.0])
def test_as_many_and_as_good_are_asked_about_as_where_all_events_come(share: float, loose: float) -> None:
    scores, drawn = drifting(3)
    budget = Budget(share, 0.2, 10**9)
    audit = drawn < budget.audit_rate
    passes = scores >= np.quantile(scores / np.linspace(3.0, 1.0, N), 1.0 - loose * share) * np.linspace(3.0, 1.0, N)
    whole = asked(budget, scores, audit, np.arange(N), sifted=False)
    sifted = asked(budget, scores, audit, np.flatnonzero(passes | audit), sifted=True)
    assert share * N - len(sifted) < max(5.0, 2.0 * math.sqrt(share * N)) + 1.0
    by_score = [[i for i in each if not audit[i]] for each in (whole, sifted)]
    of_all, of_candidates = (share_of_top(each, scores, 1.5 * share) for each in by_score)
    assert of_candidates > of_all - 0.05
    assert of_all > 0.7


def test_where_every_event_is_a_candidate_the_audits_alone_make_a_difference() -> None:
    scores, _ = drifting(4)
    budget, nobody = Budget(0.1, 0.0, 10**9), np.zeros(N, dtype=bool)
    whole = asked(budget, scores, nobody, np.arange(N), sifted=False)
    assert whole == asked(budget, scores, nobody, np.arange(N), sifted=True)


def test_what_was_counted_at_no_candidate_is_there_for_the_next() -> None:
    budget, one = Budget(0.1, 0.2, 10**9), np.ones(1, dtype=bool)
    state = selector.earned(selector.init(sifted=True), 25)
    for issued in (1, 2, 2):  # of three that 26 events pay for, one is kept for an audit
        state, _ = selector.step(state, budget, np.ones(1), ~one, one, counted=np.array([1 if issued == 1 else 0]))
        assert (26, issued) == (state.entitled, state.issued)


def test_at_the_cap_what_was_counted_is_not_caught_up() -> None:
    budget, one = Budget(0.1, 0.2, 0), np.ones(1, dtype=bool)
    state, _ = selector.step(selector.init(sifted=True), budget, np.ones(1), ~one, one, counted=np.array([50]))
    assert (0, 0) == (state.entitled, state.issued)


def test_audits_count_as_events_and_are_not_in_the_window() -> None:
    """Four candidates that stand for ten events each, and an audit between two that stands for one of those."""
    budget, generator = Budget(0.1, 0.2, 10**9), np.random.default_rng(0)
    audit = np.tile([False, True, False, False, False], 64)
    counted = np.tile([10, 1, 9, 10, 10], 64)
    state, at, scores = selector.init(sifted=True), 0, generator.random(len(audit)) + 1.0
    scores[audit] = -1.0
    while at < len(audit):
        ones = np.ones(len(audit) - at, dtype=bool)
        state, info = selector.step(state, budget, scores[at:], audit[at:], ones, counted=counted[at:])
        at += info.used
    assert state.sifted is not None
    assert (40 * 64, 4 * 64, 10.0) == (state.entitled, state.written, state.sifted.factor)
    assert 1.0 < state.ranked[0]


def test_the_threshold_follows_the_stream_as_quickly_as_where_all_events_come() -> None:
    """Candidates stand for eight events each: of their window so many count as stand for its length in events."""
    budget, nobody = Budget(0.02, 0.0, 10**9), np.zeros(4 * selector.WINDOW, dtype=bool)
    scores = np.concatenate([np.full(3 * selector.WINDOW, 2.0), np.full(selector.WINDOW, 1.0)])
    state, at = selector.init(sifted=True), 0
    while at < len(scores):
        ones = np.ones(len(scores) - at, dtype=bool)
        counted = np.full(len(scores) - at, 8)
        state, info = selector.step(state, budget, scores[at:], nobody[at:], ones, counted=counted)
        at += info.used
    assert [1.0] * (selector.WINDOW // 8) == state.ranked.tolist()
