"""Score and select: which of the events just read are asked about.

Scores are computed in blocks of `BLOCK` rows in which every event has the place that its ordinal gives it, so that a score
has the same bits whatever else was polled with it. Where the inverse Hessian is at hand each query changes the scores of
the events behind it (`queries/pending.py`), so the block is scored again; the loop is over queries, not over events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.learner import columns, inverse, learner, problem
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries import benefit, choose, selector, sight
from streamlearn.queries.benefit import Benefit
from streamlearn.queries.budget import Budget
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import Strategy
from streamlearn.service.blocks import BLOCK, bounds
from streamlearn.service.ledger import Ledger, row
from streamlearn.service.ports import Shadow
from streamlearn.service.shadows import Shadows


@final
@dataclass(frozen=True)
class Segment:
    """Consecutive events under one model: raw rows (n, columns), first ordinal, audit and askable flags, draws (n,)."""

    rows: Array
    first: int
    audit: NDArray[np.bool_]
    askable: NDArray[np.bool_]
    draws: Array


@final
@dataclass(frozen=True)
class Scored:
    """What the model says of a segment's events from `start` on: scores (n,), NaN where it cannot judge; predictions (n,).

    trusted: False where the scores rest on a tangent whose certificate fails. shadows: strategies that do not act, with
    shadow_scores (shadows, n), and asks: which events each would have asked about, as far as they were selected.
    """

    start: int
    scores: Array
    predictions: Array | None  # expected values or indices of classes; None without a model
    trusted: bool
    shadows: tuple[str, ...]
    shadow_scores: Array
    asks: NDArray[np.bool_]

    def score(self, i: int) -> float | None:
        """The score of the segment's event i."""
        return finite(self.scores[i - self.start])

    def of_shadows(self, i: int) -> tuple[Shadow, ...]:
        """What the others say of it."""
        rows = zip(self.shadows, self.shadow_scores[:, i - self.start], self.asks[:, i - self.start], strict=True)
        return tuple(Shadow(name, finite(score), bool(asks)) for name, score, asks in rows)


@final
class Asking:
    """The strategy in force, the selector's state, and what it sees, which counts pending queries."""

    def __init__(
        self,
        name: str,
        budget: Budget,
        settings: Settings,
        counts_pending: bool,
        rest_below: float,
        shadows: Sequence[str] = (),
    ) -> None:
        self._name, self._budget, self._settings = name, budget, settings
        self._counts_pending, self._rest_below = counts_pending, rest_below
        self.selector, self.shadows = selector.init(), Shadows(shadows, budget)
        self.acting = ""  # the strategy whose scores fill the selector's window
        self._sight: Sight | None = None
        self._formed: inverse.Formed | None = None  # kept while it is of the same model
        self._fresh, self._looked = False, -1  # where the block begins for which recent events were looked at
        self.paused = False  # events are scored, and none is asked about
        self.benefit: Benefit | None = None  # of labels, as far as is known
        self._watched: Sight | None = None  # of which it was told last
        # How many pending queries the view counted at once; those behind them it counted one by one as they were issued,
        # which is another rounding. None: the view is to be made anew.
        self.counted_at_once: int | None = None

    def model_moved(self) -> None:
        """The model, or which queries are pending, is not what it was: the view is made anew when it is next needed."""
        self._fresh, self.counted_at_once = False, None

    def restore(self, state: selector.State, acting: str, counted_at_once: int | None) -> None:
        """Go on where another process was: the view will be made in the same order of sums."""
        self.selector, self.acting, self._fresh, self.counted_at_once = state, acting, False, counted_at_once

    def settled(self, count: int) -> None:
        """`count` queries were answered, forgotten or have expired."""
        self.selector = selector.answered(self.selector, count)
        self.model_moved()

    def asked(self, reason: str) -> None:
        """An event was asked about by a daemon whose store is lost."""
        self.selector = selector.asked(self.selector, reason)
        self.model_moved()

    def spent(self) -> None:
        """Nothing is saved up of the budget."""
        self.selector = selector.spent(self.selector, self._budget)

    def strategy(self, state: State) -> Strategy:
        return choose.choose(self._name, state.problem.loss, self._exact(state))

    def _exact(self, state: State) -> bool:
        return state.published is None or inverse.at_hand(state.published)

    def score(self, state: State, ledger: Ledger, segment: Segment, start: int, stop: int) -> Scored:
        """Scores of the segment's events start … stop − 1, which lie in one block."""
        place = (segment.first + start) % BLOCK
        seen, strategy = self._current(state, ledger, segment.first + start), self.strategy(state)
        if strategy.name != self.acting:
            if self.acting:
                self.selector = selector.forget_scores(self.selector)
            self.acting = strategy.name
        shadows = self.shadows.strategies(state.problem.loss, self._exact(state))
        draws = np.zeros(BLOCK)
        draws[place : place + stop - start] = segment.draws[start:stop]
        part = slice(place, place + stop - start)
        X, predictions, trusted = np.empty((BLOCK, 0)), None, True
        if seen is not None and state.published is not None:
            block = np.zeros((BLOCK, segment.rows.shape[1]))
            block[part] = segment.rows[start:stop]
            X = state.published.frame.design(block)
            predictions = seen.whole.model.loss.prediction(seen.whole.model.outputs(seen.whole.theta, X))[part]
            trusted = not strategy.by_tangent or state.published.certificate.trusted
        self.shadows.take(shadows)
        own, *rest = sight.scores(seen, [strategy, *shadows], X, draws)[:, part]
        others = np.array(rest).reshape(len(shadows), stop - start)
        asks = np.zeros(others.shape, dtype=bool)
        names = tuple(each.name for each in shadows)
        return Scored(start, own, predictions, trusted, names, others, asks)

    def select(self, segment: Segment, scored: Scored, start: int, stop: int) -> selector.Info:
        """Deal with the segment's events from start on, up to and including the next query or a renewal of the window."""
        self.selector, info = selector.step(
            self.selector,
            self._budget,
            scored.scores[start - scored.start : stop - scored.start],
            segment.audit[start:stop],
            segment.askable[start:stop],
            self.paused,
            self.resting,
        )
        here, there = slice(start, start + info.used), slice(start - scored.start, start - scored.start + info.used)
        scored.asks[:, there] = self.shadows.step(
            scored.shadow_scores[:, there], segment.audit[here], segment.askable[here], self.paused, self.resting
        )
        return info

    @property
    def resting(self) -> bool:
        """Whether labels buy too little to be asked for."""
        return self.benefit is not None and self.benefit.label < self._rest_below

    def count_pending(self, state: State, rows: Array) -> bool:
        """One more query is pending, with raw row (1, columns); whether that changes the scores of other events."""
        if self._sight is None or state.published is None or not (self._counts_pending and self._sight.counts):
            return False
        self._sight = self._sight.count(state.published.frame.design(rows)[0])
        return True

    def _current(self, state: State, ledger: Ledger, ordinal: int) -> Sight | None:
        if not self._fresh:
            self._sight, self._looked = self._new_sight(state, ledger), -1
            if self.counted_at_once is None:
                self.counted_at_once = len(ledger.pending)
            self._fresh = True
            self.benefit = self.benefit if self._sight is not None else None
        begin = bounds(ordinal)[0]
        if self._sight is not None and begin != self._looked and self._looks_at_recent(state):
            self._sight, self._looked = _with_recent(self._sight, state, ledger, ordinal), begin
            if self._rest_below > 0.0:
                self.benefit = _benefit(self._sight, state)
        return self._sight

    def watch(self, state: State, ledger: Ledger) -> Benefit | None:
        """What labels still buy, for whoever watches: as of the last event that was scored."""
        if self._fresh and self._sight is not None and self._watched is not self._sight:
            self._watched, seen = self._sight, self._sight
            if seen.whole.recent is None:
                seen = _with_recent(seen, state, ledger, ledger.count)
            self.benefit = _benefit(seen, state)
        return self.benefit

    def _looks_at_recent(self, state: State) -> bool:
        return self._rest_below > 0.0 or any(each.needs_recent for each in self._strategies(state))

    def _strategies(self, state: State) -> list[Strategy]:
        return [self.strategy(state), *self.shadows.strategies(state.problem.loss, self._exact(state))]

    def look(self, state: State, ledger: Ledger, without: str) -> Sight | None:
        """What the strategy would see now if this event were not asked about."""
        seen = self._new_sight(state, ledger, without)
        return None if seen is None else _with_recent(seen, state, ledger, ledger.count)

    def _new_sight(self, state: State, ledger: Ledger, without: str | None = None) -> Sight | None:
        """Pending queries counted: those of before at once, those behind them one by one; but for one, all at once."""
        strategies = self._strategies(state)
        view = learner.view(state, any(each.needs_references for each in strategies))
        if view is None or state.published is None:
            return None
        # It costs more than all else here: for those who do not look at it there is none.
        looked_at = self._rest_below > 0.0 or any(sight.takes_inverse(each) or each.by_tangent for each in strategies)
        self._formed = inverse.formed(state, self._settings, self._formed) if looked_at else None
        if self._formed is not None:
            view = replace(view, covariance=self._formed.covariance, base_covariance=self._formed.covariance)
        takes = any(map(sight.takes_inverse, strategies))
        seen = inverse.sight(view, state, self._settings) if takes else Sight(view)
        if seen.counts and ledger.pending and self._counts_pending:
            rows = _stacked(state, [entry.x for entry in ledger.pending.values() if entry.id != without])
            X, together = state.published.frame.design(rows), self.counted_at_once if without is None else None
            seen = seen.count_all(X[:together])
            for x in X[len(X) if together is None else together :]:
                seen = seen.count(x)
        return seen


def finite(score: float) -> float | None:
    """As a message says it: what is not finite is not told."""
    return float(score) if np.isfinite(score) else None


def _with_recent(seen: Sight, state: State, ledger: Ledger, ordinal: int) -> Sight:
    """With the events before the block of this ordinal."""
    assert state.published is not None
    return seen.looking(state.published.frame.design(_stacked(state, ledger.recent(ordinal))))


def _benefit(seen: Sight, state: State) -> Benefit | None:
    """In units of the loss that users are told."""
    found, fit = benefit.of(seen.whole), state.published
    assert fit is not None
    return found and Benefit(*(each * fit.frame.target_scale**2 for each in found))


def _stacked(state: State, features: list[bytes]) -> Array:
    """Stored features as rows of today's columns, in order; at one go where no column has come since the first."""
    if not features:
        return np.empty((0, len(state.columns.columns)))
    if all(len(x) == 8 * len(state.columns.columns) for x in features):
        return np.frombuffer(b"".join(features), dtype=float).reshape(len(features), -1)
    return np.concatenate([columns.widen(state.columns, row(x)) for x in features])


def predicted(state: State, fit: Fit, prediction: float) -> problem.Label:
    """A prediction as a user reads it: the value in the labels' own units, or the likeliest class."""
    if not fit.model.loss.of_classes:
        prediction = fit.frame.value(prediction)
    return problem.prediction(state.problem, prediction)
