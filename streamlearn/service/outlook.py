"""The outlook: what strategies see, pending queries counted, kept from one look to the next as long as nothing moves.

It is made anew when it is needed and the model, or which queries are pending, is not what it was; one query more is counted
into it; recent events are looked at once a block. What labels still buy is read off it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.learner import columns, inverse, learner
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries import benefit, sight
from streamlearn.queries.benefit import Benefit
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import Strategy
from streamlearn.service.blocks import bounds
from streamlearn.service.ledger import Ledger, row


@final
class Outlook:
    """count_pending: as configured; rest_below: what a label has to buy for events to be asked about by their score."""

    def __init__(self, settings: Settings, count_pending: str, rest_below: float) -> None:
        self._settings, self._count_pending, self._rest_below = settings, count_pending, rest_below
        self._sight: Sight | None = None
        self._formed: inverse.Formed | None = None  # kept while it is of the same model
        self._fresh, self._looked = False, -1  # where the block begins for which recent events were looked at
        self.benefit: Benefit | None = None  # of labels, as far as is known
        self._watched: Sight | None = None  # of which it was told last
        # How many pending queries were counted at once; those behind them were counted one by one as they were issued,
        # which is another rounding. None: all is to be made anew.
        self.counted_at_once: int | None = None

    def moved(self) -> None:
        """The model, or which queries are pending, is not what it was."""
        self._fresh, self.counted_at_once = False, None

    def restore(self, counted_at_once: int | None) -> None:
        """Go on where another process was: it will be made in the same order of sums."""
        self._fresh, self.counted_at_once = False, counted_at_once

    @property
    def resting(self) -> bool:
        """Whether labels buy too little to be asked for."""
        if self._rest_below == 0.0 or self.benefit is None:  # by rounding a label may buy less than nothing
            return False
        return self.benefit.label < self._rest_below

    def count(self, state: State, rows: Array) -> bool:
        """One more query is pending, with raw row (1, columns); whether that changes the scores of other events."""
        if self._sight is None or state.published is None or self._count_pending == "never" or not self._sight.counts:
            return False
        self._sight = self._sight.count(state.published.frame.design(rows)[0])
        return True

    def asked_of(self, ledger: Ledger, without: str | None = None) -> Callable[[str], list[bytes]]:
        """Features of what a user is asked about and is counted, but for one."""
        if self._count_pending == "never":
            return lambda user: []
        return lambda user: [entry.x for entry in ledger.asked_of(user) if entry.id != without]

    def current(self, state: State, ledger: Ledger, ordinal: int, strategies: Sequence[Strategy]) -> Sight | None:
        """For an event of this ordinal; None while there is no model."""
        if not self._fresh:
            self._sight, self._looked = self._new(state, ledger, strategies), -1
            if self.counted_at_once is None:
                self.counted_at_once = len(ledger.pending)
            self._fresh = True
            if self._sight is None:
                self.benefit = None
        begin = bounds(ordinal)[0]
        if self._sight is not None and begin != self._looked and self._looks_at_recent(strategies):
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

    def _looks_at_recent(self, strategies: Sequence[Strategy]) -> bool:
        return self._rest_below > 0.0 or any(each.looks_at_recent for each in strategies)

    def look(self, state: State, ledger: Ledger, strategies: Sequence[Strategy], without: str) -> Sight | None:
        """What the strategy would see now if this event were not asked about."""
        seen = self._new(state, ledger, strategies, without)
        return None if seen is None else _with_recent(seen, state, ledger, ledger.count)

    def for_scorers(self, state: State, ledger: Ledger, strategy: Strategy) -> Sight | None:
        """What the strategy would see of the next event if no query were pending."""
        seen = self._without_pending(state, [strategy])
        if seen is None or not strategy.looks_at_recent:
            return seen
        return _with_recent(seen, state, ledger, ledger.count)

    def _new(
        self, state: State, ledger: Ledger, strategies: Sequence[Strategy], without: str | None = None
    ) -> Sight | None:
        """Pending queries counted: those of before at once, those behind them one by one; but for one, all at once."""
        seen = self._without_pending(state, strategies)
        if seen is None or state.published is None:
            return None
        if seen.counts and ledger.pending and self._count_pending != "never":
            rows = stacked(state, [entry.x for entry in ledger.pending.values() if entry.id != without])
            X, together = state.published.frame.design(rows), self.counted_at_once if without is None else None
            seen = seen.count_all(X[:together])
            for x in X[len(X) if together is None else together :]:
                seen = seen.count(x)
        return seen

    def _without_pending(self, state: State, strategies: Sequence[Strategy]) -> Sight | None:
        view = learner.view(state, any(each.needs_references for each in strategies))
        if view is None or state.published is None:
            return None
        # It costs more than all else here: for those who do not look at it there is none.
        looked_at = self._rest_below > 0.0 or any(sight.takes_inverse(each) or each.by_tangent for each in strategies)
        self._formed = inverse.formed(state, self._settings, self._formed) if looked_at else None
        if self._formed is not None:
            view = replace(view, covariance=self._formed.covariance, base_covariance=self._formed.covariance)
        discounts_by_last = self._count_pending == "always"
        by_last = any(sight.takes_last(each, discounts_by_last) for each in strategies)
        takes = any(map(sight.takes_inverse, strategies))
        seen = inverse.sight(view, state, self._settings, by_last) if takes else Sight(view)
        return replace(seen, discounts_by_last=discounts_by_last)


def _with_recent(seen: Sight, state: State, ledger: Ledger, ordinal: int) -> Sight:
    """With the events before the block of this ordinal."""
    assert state.published is not None
    return seen.looking(state.published.frame.design(stacked(state, ledger.recent(ordinal))))


def _benefit(seen: Sight, state: State) -> Benefit | None:
    """In units of the loss that users are told."""
    found, fit = benefit.of(seen.whole), state.published
    assert fit is not None
    return found and Benefit(*(each * fit.frame.target_scale**2 for each in found))


def stacked(state: State, features: list[bytes]) -> Array:
    """Stored features as rows of today's columns, in order; at one go where no column has come since the first."""
    if not features:
        return np.empty((0, len(state.columns.columns)))
    if all(len(x) == 8 * len(state.columns.columns) for x in features):
        return np.frombuffer(b"".join(features), dtype=float).reshape(len(features), -1)
    return np.concatenate([columns.widen(state.columns, row(x)) for x in features])
