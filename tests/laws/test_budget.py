"""The budget's two bounds, after every single event, whatever the scores do; and what chance decides is left to chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.core.losses import Array
from streamlearn.queries import selector
from streamlearn.queries.budget import Budget

MODERATE = settings(max_examples=15, deadline=None, derandomize=True)
N = 800

SCORES: dict[str, Callable[[Array], Array]] = {
    "stationary": lambda noise: noise,
    "drifting up": lambda noise: noise + np.linspace(0.0, 20.0, len(noise)),
    "drifting down": lambda noise: noise - np.linspace(0.0, 20.0, len(noise)),
    "a step up": lambda noise: noise + 10.0 * (np.arange(len(noise)) > len(noise) // 2),
    "a step down": lambda noise: noise - 10.0 * (np.arange(len(noise)) > len(noise) // 2),
    "constant": np.zeros_like,
    "never finite": lambda noise: np.full(len(noise), np.nan),
    "not finite at first": lambda noise: np.where(np.arange(len(noise)) < len(noise) // 3, np.nan, noise),
    "heavy tails": lambda noise: np.exp(3.0 * noise),
}


@dataclass
class Run:
    """What a selector did: after every event the queries so far, and which events were asked about, with the reason."""

    state: selector.State = field(default_factory=selector.init)
    issued: list[int] = field(default_factory=list)
    entitled: list[int] = field(default_factory=list)
    asked: dict[int, str] = field(default_factory=dict)


def run(
    budget: Budget,
    scores: Array,
    audit: Array,
    askable: Array,
    cuts: list[int] | None = None,
    resting: Array | None = None,
) -> Run:
    """One event after another, or cut into batches that end at `cuts`; resting: alike throughout a batch."""
    done = Run()
    stops = [*range(1, len(scores) + 1)] if cuts is None else [*sorted({*cuts, len(scores)} - {0})]
    at = 0
    for stop in stops:
        while at < stop:
            part = slice(at, stop)
            rests = resting is not None and bool(resting[at])
            done.state, info = selector.step(
                done.state, budget, scores[part], audit[part], askable[part], resting=rests
            )
            at += info.used
            if info.chosen:
                done.asked[at - 1] = info.reason
        done.issued.append(done.state.issued)
        done.entitled.append(done.state.entitled)
    return done


def stream(kind: str, share: float, audit_share: float, seed: int, n: int = N) -> tuple[Array, Array]:
    """Scores and audit flags of n events."""
    rng = np.random.default_rng(seed)
    return SCORES[kind](rng.normal(size=n)), rng.random(n) < share * audit_share


def assert_bounds(share: float, entitled: list[int], issued: list[int]) -> None:
    for n, q in zip(entitled, issued, strict=True):
        assert q <= math.ceil(share * n - 1e-9)
        assert share * n - q < max(5.0, 2.0 * math.sqrt(share * n))


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_both_bounds_hold_after_every_event(kind: str, share: float) -> None:
    for audit_share in (0.0, 0.2, 1.0):
        scores, audit = stream(kind, share, audit_share, seed=3)
        done = run(Budget(share, audit_share, 10**9), scores, audit, np.ones(N, dtype=bool))
        assert [*range(1, N + 1)] == done.entitled
        assert_bounds(share, done.entitled, done.issued)


@MODERATE
@given(
    kind=st.sampled_from(sorted(SCORES)),
    share=st.floats(0.001, 1.0),
    audit_share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32),
    taken=st.floats(0.0, 0.9),
)
def test_both_bounds_hold_for_any_share_where_some_events_have_labels_already(
    kind: str, share: float, audit_share: float, seed: int, taken: float
) -> None:
    scores, audit = stream(kind, share, audit_share, seed, n=800)
    askable = np.random.default_rng(seed + 1).random(800) >= taken
    done = run(Budget(share, audit_share, 10**9), scores, audit, askable)
    assert np.cumsum(askable).tolist() == done.entitled
    assert_bounds(share, done.entitled, done.issued)
    assert all(askable[i] for i in done.asked)


@MODERATE
@given(
    kind=st.sampled_from(sorted(SCORES)),
    share=st.floats(0.001, 1.0),
    audit_share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32),
)
def test_the_first_event_is_asked_about(kind: str, share: float, audit_share: float, seed: int) -> None:
    scores, audit = stream(kind, share, audit_share, seed, n=1)
    assert [1] == run(Budget(share, audit_share, 1), scores, audit, np.ones(1, dtype=bool)).issued


@MODERATE
@given(
    share=st.floats(0.01, 1.0),
    audit_share=st.floats(0.0, 1.0),
    cap=st.integers(1, 12),
    delay=st.integers(1, 400),
    seed=st.integers(0, 2**32),
)
def test_at_the_cap_nothing_is_asked_and_what_was_forfeited_is_not_caught_up(
    share: float, audit_share: float, cap: int, delay: int, seed: int
) -> None:
    """Answers come `delay` events late; the second bound holds over the events that could be asked about."""
    n = 800
    scores, audit = stream("drifting down", share, audit_share, seed, n)
    budget, state = Budget(share, audit_share, cap), selector.init()
    due: list[int] = []
    for i in range(n):
        answers = sum(at <= i for at in due)
        state, due = selector.answered(state, answers), [at for at in due if at > i]
        before, at_cap = state, len(due) >= cap
        state, info = selector.step(state, budget, scores[i : i + 1], audit[i : i + 1], np.ones(1, dtype=bool))
        assert 1 == info.used
        if info.chosen:
            due.append(i + delay)
        assert len(due) == state.outstanding <= cap
        assert before.entitled + (not at_cap) == state.entitled
        if at_cap:
            assert not info.chosen
        assert state.issued <= math.ceil(share * state.entitled - 1e-9) <= math.ceil(share * (i + 1))
        assert share * state.entitled - state.issued < max(5.0, 2.0 * math.sqrt(share * state.entitled))


def test_after_a_long_wait_at_the_cap_spending_goes_on_at_its_usual_pace() -> None:
    budget, n = Budget(0.1, 0.2, 20), 6000
    scores, audit = stream("stationary", 0.1, 0.2, seed=11, n=n)
    askable = np.ones(n, dtype=bool)
    first = run(budget, scores[:3000], audit[:3000], askable[:3000])
    assert 20 == first.state.outstanding == first.state.issued  # it stood at the cap for most of that time
    state, asked = selector.answered(first.state, 20), 0
    for i in range(3000, 3100):
        state, info = selector.step(state, budget, scores[i : i + 1], audit[i : i + 1], askable[:1])
        asked += info.chosen
    assert asked <= 10 + 5


@MODERATE
@given(
    kind=st.sampled_from(sorted(SCORES)),
    share=st.floats(0.005, 1.0),
    audit_share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32),
    cap=st.sampled_from([3, 10**9]),
    cuts=st.lists(st.integers(1, 600), max_size=20),
)
def test_the_same_events_are_asked_about_however_the_stream_is_cut(
    kind: str, share: float, audit_share: float, seed: int, cap: int, cuts: list[int]
) -> None:
    scores, audit = stream(kind, share, audit_share, seed, n=600)
    askable = np.random.default_rng(seed + 1).random(600) > 0.1
    budget = Budget(share, audit_share, cap)
    one_by_one, cut = run(budget, scores, audit, askable), run(budget, scores, audit, askable, cuts)
    assert one_by_one.asked == cut.asked
    for name in ("seen", "entitled", "issued", "audits", "outstanding", "written", "threshold"):
        assert getattr(one_by_one.state, name) == getattr(cut.state, name)
    np.testing.assert_array_equal(one_by_one.state.window, cut.state.window)
    np.testing.assert_array_equal(one_by_one.state.ranked, cut.state.ranked)


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("audit_share", [0.2, 0.5])
@pytest.mark.parametrize("kind", ["stationary", "drifting up"])
def test_audits_are_their_share_of_the_budget_and_few_are_refused(share: float, audit_share: float, kind: str) -> None:
    n = 10_000
    scores, audit = stream(kind, share, audit_share, seed=21, n=n)
    done = run(Budget(share, audit_share, 10**9), scores, audit, np.ones(n, dtype=bool), [*range(0, n, 500)])
    kept = [i for i, reason in done.asked.items() if reason == "audit"]
    assert len(kept) == done.state.audits
    assert all(audit[i] for i in kept)
    expected = share * audit_share * n
    assert abs(len(kept) - expected) < 4.0 * math.sqrt(expected)
    assert len(kept) >= 0.92 * audit.sum()


def test_where_all_scores_are_equal_score_queries_crowd_out_few_audits() -> None:
    n = 10_000
    scores, audit = stream("constant", 0.1, 0.2, seed=21, n=n)
    done = run(Budget(0.1, 0.2, 10**9), scores, audit, np.ones(n, dtype=bool), [*range(0, n, 500)])
    assert done.state.audits >= 0.9 * audit.sum()


@MODERATE
@given(
    share=st.floats(0.01, 1.0),
    audit_share=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**32),
    at=st.integers(0, 299),
    score=st.floats(allow_nan=True, allow_infinity=True),
)
def test_whether_an_event_is_an_audit_does_not_depend_on_its_score_or_later_ones(
    share: float, audit_share: float, seed: int, at: int, score: float
) -> None:
    scores, audit = stream("stationary", share, audit_share, seed, n=300)
    budget, askable = Budget(share, audit_share, 10**9), np.ones(300, dtype=bool)
    other = scores.copy()
    other[at:] = score
    before, after = run(budget, scores, audit, askable).asked, run(budget, other, audit, askable).asked
    assert (before.get(at) == "audit") == (after.get(at) == "audit")


def test_the_propensity_of_an_audit_is_known_before_its_score() -> None:
    budget = Budget(0.1, 0.2, 10)
    yes = np.ones(1, dtype=bool)
    _, audit = selector.step(selector.init(), budget, np.array([0.5]), yes, yes)
    _, score = selector.step(selector.init(), budget, np.array([0.5]), ~yes, yes)
    assert ("audit", budget.share * budget.audit_share) == (audit.reason, audit.probability)
    assert ("score", 1.0) == (score.reason, score.probability)


@MODERATE
@given(
    share=st.floats(0.01, 1.0),
    audit_share=st.floats(0.05, 0.5),
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, 600), max_size=20),
)
def test_while_it_rests_only_audits_are_asked_and_nothing_is_saved_up(
    share: float, audit_share: float, seed: int, cuts: list[int]
) -> None:
    scores, audit = stream("drifting up", share, audit_share, seed, n=900)
    budget, askable = Budget(share, audit_share, 10**9), np.ones(900, dtype=bool)
    resting = (np.arange(900) >= 300) & (np.arange(900) < 600)
    done = [run(budget, scores, audit, askable, each, resting) for each in (None, [*cuts, 300, 600])]
    assert done[0].asked == done[1].asked
    assert done[0].state.threshold == done[1].state.threshold
    assert done[0].state.entitled == done[1].state.entitled
    asked = done[0].asked
    rested = {i: reason for i, reason in asked.items() if resting[i]}
    assert set(rested.values()) <= {"audit"}
    assert len(rested) >= 0.8 * audit[300:600].sum() - 3.0
    awake = sum(i >= 600 for i in asked)
    assert awake <= share * 300 + max(5.0, 2.0 * math.sqrt(share * 900)) + 1.0
    for n, q in zip(done[0].entitled, done[0].issued, strict=True):
        assert q <= math.ceil(share * n - 1e-9)


def test_after_a_change_of_strategy_old_scores_are_not_compared_with_new_ones() -> None:
    budget = Budget(0.1, 0.0, 10**9)
    scores, audit = stream("stationary", 0.1, 0.0, seed=5, n=640)
    askable = np.ones(640, dtype=bool)
    state = selector.forget_scores(run(budget, 1e6 + scores, audit, askable).state)
    first, asked = state.issued, 0
    for i in range(640):
        state, info = selector.step(state, budget, scores[i : i + 1], audit[i : i + 1], askable[:1])
        asked += info.chosen
        assert_bounds(0.1, [state.entitled], [state.issued])
    assert abs(asked - 64) <= 20
    assert first + asked == state.issued
