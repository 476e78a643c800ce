"""Score and select: which of the events just read are asked about.

Scores are computed in blocks of `BLOCK` rows in which every event has the place that its ordinal gives it, so that a score
has the same bits whatever else was polled with it. Where the inverse Hessian is at hand each query changes the scores of
the events behind it (`queries/pending.py`), so the block is scored again; the loop is over queries, not over events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.learner import inverse, problem
from streamlearn.learner.fit import Fit, Frame
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries import choose, selector, sight
from streamlearn.queries.budget import Budget
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import Strategy
from streamlearn.service.blocks import BLOCK
from streamlearn.service.deviations import Deviations
from streamlearn.service.ledger import Ledger
from streamlearn.service.outlook import Outlook
from streamlearn.service.ports import Shadow
from streamlearn.service.shadows import Shadows


@final
@dataclass(frozen=True)
class Segment:
    """Consecutive events under one model: raw rows (n, columns), first ordinal, audit and askable flags, draws (n,).

    counted: of candidates, how many events were counted when each came, (n,). users: whose they are.
    """

    rows: Array
    first: int
    audit: NDArray[np.bool_]
    askable: NDArray[np.bool_]
    draws: Array
    counted: NDArray[np.int64] | None = None
    users: Sequence[str] = ()


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
        count_pending: str,
        rest_below: float,
        shadows: Sequence[str] = (),
        of_candidates: bool = False,
        deviations: Deviations | None = None,
    ) -> None:
        self._name, self._budget = name, budget
        self._of_personalities = settings.users.kind == "personality" and not settings.network
        self.selector, self.shadows = selector.init(of_candidates), Shadows(shadows, budget)
        self.outlook = Outlook(settings, count_pending, rest_below)
        self.deviations = deviations  # of users; None: where nobody asks whose an event is
        self.acting = ""  # the strategy whose scores fill the selector's window
        self.paused = False  # events are scored, and none is asked about

    def restore(self, state: selector.State, acting: str, counted_at_once: int | None) -> None:
        """Go on where another process was."""
        self.selector, self.acting = state, acting
        self.outlook.restore(counted_at_once)

    def settled(self, count: int) -> None:
        """`count` queries were answered, forgotten or have expired."""
        self.selector = selector.answered(self.selector, count)
        self.outlook.moved()

    def asked(self, reason: str) -> None:
        """An event was asked about by a daemon whose store is lost."""
        self.selector = selector.asked(self.selector, reason)
        self.outlook.moved()

    def earned(self, count: int) -> None:
        """Events were counted that cannot be asked about themselves."""
        if count:
            self.selector = selector.earned(self.selector, count)

    def spend_by(self, budget: Budget) -> None:
        """From the next event on."""
        self._budget = self.shadows.budget = budget

    def spent(self) -> None:
        """Nothing is saved up of the budget."""
        self.selector = selector.spent(self.selector, self._budget)

    def strategy(self, state: State) -> Strategy:
        return self.strategies(state)[0]

    def strategies(self, state: State) -> list[Strategy]:
        """The one that acts, then those in its shadow."""
        loss, exact = state.problem.loss, state.published is None or inverse.at_hand(state.published)
        return [
            choose.choose(self._name, loss, exact, self._of_personalities),
            *self.shadows.strategies(loss, exact),
        ]

    def score(self, state: State, ledger: Ledger, segment: Segment, start: int, stop: int) -> Scored:
        """Scores of the segment's events start … stop − 1, which lie in one block."""
        place = (segment.first + start) % BLOCK
        strategy, *shadows = self.strategies(state)
        seen = self.outlook.current(state, ledger, segment.first + start, [strategy, *shadows])
        if strategy.name != self.acting:
            if self.acting:
                self.selector = selector.forget_scores(self.selector)
            self.acting = strategy.name
        part, fit = slice(start, stop), state.published
        all_ = [strategy, *shadows]
        users = None if self.deviations is None else self._of_users(state, ledger, segment.users[part], place, all_)
        looked = look(seen, fit.frame if fit else None, all_, segment.rows[part], segment.draws[part], place, users)
        trusted = fit is None or not strategy.by_tangent or fit.certificate.trusted
        self.shadows.take(shadows)
        own, others = looked.scores[0], looked.scores[1:]
        asks = np.zeros(others.shape, dtype=bool)
        names = tuple(each.name for each in shadows)
        return Scored(start, own, looked.predictions, trusted, names, others, asks)

    def _of_users(
        self, state: State, ledger: Ledger, users: Sequence[str], place: int, strategies: Sequence[Strategy]
    ) -> Callable[[Sight, Array], tuple[Sight, Array]]:
        """How rows come to what their users add."""
        assert self.deviations is not None
        asked = self.outlook.asked_of(ledger) if any(each.needs_inverse for each in strategies) else None
        return partial(self.deviations.carried, state=state, users=users, place=place, asked=asked)

    def select(self, segment: Segment, scored: Scored, start: int, stop: int) -> selector.Info:
        """Deal with the segment's events from start on, up to and including the next query or a renewal of the window."""
        self.selector, info = selector.step(
            self.selector,
            self._budget,
            scored.scores[start - scored.start : stop - scored.start],
            segment.audit[start:stop],
            segment.askable[start:stop],
            self.paused,
            self.outlook.resting,
            None if segment.counted is None else segment.counted[start:stop],
        )
        here, there = slice(start, start + info.used), slice(start - scored.start, start - scored.start + info.used)
        scored.asks[:, there] = self.shadows.step(
            scored.shadow_scores[:, there],
            segment.audit[here],
            segment.askable[here],
            self.paused,
            self.outlook.resting,
        )
        return info


class Looked(NamedTuple):
    """What strategies say of events, (strategies, n), and the model: outputs (n, k), predictions (n,); None without a model."""

    scores: Array
    outputs: Array | None
    predictions: Array | None


def look(
    seen: Sight | None,
    frame: Frame | None,
    strategies: Sequence[Strategy],
    rows: Array,
    draws: Array,
    place: int,
    of_users: Callable[[Sight, Array], tuple[Sight, Array]] | None = None,
) -> Looked:
    """At events with raw rows (n, columns) and draws (n,) at this place of a block, which the rest of it leaves alone.

    of_users: what is seen, and the block's design rows, with what their users add.
    """
    part = slice(place, place + len(rows))
    drawn, X, outputs, predictions = np.zeros(BLOCK), np.empty((BLOCK, 0)), None, None
    drawn[part] = draws
    if seen is not None and frame is not None:
        block = np.zeros((BLOCK, rows.shape[1]))
        block[part] = rows
        X = frame.design(block)
        if of_users is not None:
            seen, X = of_users(seen, X)
        model = seen.whole.model
        found = model.outputs(seen.whole.theta, X)
        outputs, predictions = found[part], model.loss.prediction(found)[part]
    return Looked(sight.scores(seen, strategies, X, drawn)[:, part], outputs, predictions)


def finite(score: float) -> float | None:
    """As a message says it: what is not finite is not told."""
    return float(score) if np.isfinite(score) else None


def predicted(state: State, fit: Fit, prediction: float) -> problem.Label:
    """A prediction as a user reads it: the value in the labels' own units, or the likeliest class."""
    if not fit.model.loss.of_classes:
        prediction = fit.frame.value(prediction)
    return problem.prediction(state.problem, prediction)
