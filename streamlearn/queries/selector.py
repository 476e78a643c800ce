"""The selector: which events are asked about. Strategy and budget meet here.

An event is asked about when it is an audit (a hash of its id, before any score is looked at) or when its score reaches the
threshold: the quantile of the last `WINDOW` scores that lets the share pass which the budget wants at this moment. So the
threshold follows the stream. Until there are scores to compare with, everything that the budget has room for is asked.

Defined event by event. Computed many at once: between two queries the debt of every coming event is known, so the next
query is found by one vectorised comparison; the loop is over queries, not over events. The sorted window is renewed
whenever the count of events is a multiple of `REFRESH`, wherever a batch ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.queries import sifting
from streamlearn.queries.budget import ROUNDING, Budget

WINDOW, REFRESH, JUDGE_LEAST = 64, 32, 8


@final
@dataclass(frozen=True)
class State:
    """seen: events; entitled: those that could be asked about; issued, audits: queries; outstanding: unanswered ones.

    window: ring of the last scores (WINDOW,), `written` of them so far; ranked: the scores in order as of the last renewal.
    threshold: the last one used (−inf while there is none). sifted: where others pass on the top of the stream, and `seen` are
    those that came; None: all events come.
    """

    seen: int
    entitled: int
    issued: int
    audits: int
    outstanding: int
    window: Array
    written: int
    ranked: Array
    threshold: float
    sifted: sifting.State | None = None


@final
@dataclass(frozen=True)
class Info:
    """used: how many events were dealt with; chosen: whether the last of them is to be asked about; reason: audit | score.

    probability: the audit rate for an audit; 1 for a query by score, which leaves nothing to chance.
    """

    used: int
    chosen: bool
    reason: str
    probability: float


def init(sifted: bool = False) -> State:
    return State(0, 0, 0, 0, 0, np.zeros(WINDOW), 0, np.empty(0), -np.inf, sifting.init(WINDOW) if sifted else None)


def forget_scores(state: State) -> State:
    """The scores so far mean nothing any more (another strategy acts)."""
    sifted = None if state.sifted is None else sifting.forget_scores(state.sifted)
    return replace(state, window=np.zeros(WINDOW), written=0, ranked=np.empty(0), threshold=-np.inf, sifted=sifted)


def answered(state: State, count: int) -> State:
    """`count` pending queries were answered, forgotten or expired."""
    assert state.outstanding >= count, "more answers than questions"
    return replace(state, outstanding=state.outstanding - count)


def asked(state: State, reason: str) -> State:
    """An event was asked about that was not chosen here: by a daemon before this one."""
    audits = state.audits + (reason == "audit")
    return replace(
        state, seen=state.seen + 1, issued=state.issued + 1, outstanding=state.outstanding + 1, audits=audits
    )


def earned(state: State, count: int) -> State:
    """So many events were counted that cannot be asked about themselves."""
    assert state.sifted is not None, "all events come"
    return replace(state, sifted=sifting.earned(state.sifted, count))


def spent(state: State, budget: Budget) -> State:
    """The budget is as far as the queries issued have spent it: nothing was saved up that nobody knows of."""
    return replace(state, entitled=_entitling(state.issued, budget))


def step(
    state: State,
    budget: Budget,
    scores: Array,
    audit: NDArray[np.bool_],
    askable: NDArray[np.bool_],
    paused: bool = False,
    resting: bool = False,
    counted: NDArray[np.int64] | None = None,
) -> tuple[State, Info]:
    """Deal with events in order, up to and including the first that is to be asked about, or a renewal of the window.

    paused: none is asked about; resting: audits only. What could have been asked is not caught up later.
    counted: of candidates, how many events were counted when each came.
    """
    refresh = _refresh(state.sifted)
    count = min(len(scores), refresh - state.seen % refresh)
    scores, audit, askable = scores[:count], audit[:count], askable[:count]
    chosen, reason, threshold = -1, "", state.threshold
    sifted, earns = state.sifted, askable.astype(int)
    if sifted is not None:
        assert counted is not None, "candidates say how many events there were"
        earns = counted[:count].copy()
        earns[0] += sifted.waiting
    if paused or state.outstanding >= budget.outstanding_most:
        entitled = np.full(count, state.entitled)
    else:
        entitled = state.entitled + np.cumsum(earns)
        if resting:  # nothing is saved up but for the next audit
            entitled = np.minimum(entitled, max(state.entitled, _entitling(state.issued + 1, budget)))
        room_audit, room_score = budget.room(entitled.astype(float), state.issued)
        level = budget.level(entitled.astype(float), state.issued)
        thresholds = _thresholds(state.ranked, level if sifted is None else np.minimum(level * sifted.factor, 1.0))
        passes = ~(scores < thresholds) & (not resting)  # also where a score is NaN: nothing can be judged yet
        audits = askable & audit & room_audit
        hits = np.flatnonzero(audits | (askable & passes & room_score))
        last = int(hits[0]) if len(hits) else count - 1
        threshold = float(thresholds[last])
        if len(hits):
            chosen, reason = last, "audit" if audits[last] else "score"
    used = chosen + 1 if chosen >= 0 else count
    kept = askable[:used] & np.isfinite(scores[:used])
    if sifted is not None:
        kept &= ~audit[:used]
        sifted = sifting.take(sifted, earns[:used], kept, state.written)
    state = _consume(replace(state, sifted=sifted), scores[:used], kept, int(entitled[used - 1]), threshold)
    if chosen >= 0:
        state = replace(
            state,
            issued=state.issued + 1,
            outstanding=state.outstanding + 1,
            audits=state.audits + (reason == "audit"),
        )
    return state, Info(used, chosen >= 0, reason, budget.audit_rate if reason == "audit" else 1.0)


def _refresh(sifted: sifting.State | None) -> int:
    """Candidates stand for several events each, so fewer of them bring a renewal."""
    return REFRESH if sifted is None else max(JUDGE_LEAST, int(REFRESH / sifted.factor))


def _entitling(issued: int, budget: Budget) -> int:
    """The least number of events whose budget is that many queries."""
    return math.ceil(issued / budget.share - ROUNDING)


def _thresholds(ranked: Array, level: Array) -> Array:
    if len(ranked) < JUDGE_LEAST:
        return np.full(len(level), -np.inf)
    index = np.minimum(((1.0 - level) * len(ranked)).astype(int), len(ranked) - 1)
    return np.where(level >= 1.0, -np.inf, ranked[index])


def _consume(state: State, scores: Array, kept: NDArray[np.bool_], entitled: int, threshold: float) -> State:
    window, count = state.window.copy(), int(kept.sum())
    window[(state.written + np.arange(count)) % WINDOW] = scores[kept]
    written, seen, ranked, sifted = state.written + count, state.seen + len(scores), state.ranked, state.sifted
    if seen % _refresh(sifted) == 0:
        newest = np.arange(written - 1, max(written - WINDOW, 0) - 1, -1) % WINDOW
        if sifted is not None:
            newest = newest[: sifting.lately(sifted, newest, WINDOW, JUDGE_LEAST)]
            sifted = sifting.renew(sifted, newest)
        ranked = np.sort(window[newest])
    return replace(
        state,
        seen=seen,
        entitled=entitled,
        window=window,
        written=written,
        ranked=ranked,
        threshold=threshold,
        sifted=sifted,
    )
