"""The pipeline: records in, state and messages out. No I/O; what it needs from the store is one look-up.

    poll → **decode → split → learn → score → select** → commit → publish

What a record does is defined one by one, in the order given: an event is counted, joined by a label that waited for it, and
asked about or not; a label joins its event and is learned. Events are computed many at once between two changes of the
model. So the result depends on the records and their order, and not on how they were cut into polls.

A record that is at fault goes to `rejected` with its reason and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, problem
from streamlearn.learner.settings import Settings
from streamlearn.learner.split import draws
from streamlearn.learner.state import State
from streamlearn.queries.budget import Budget
from streamlearn.service.asking import BLOCK, Asking, Scored, Segment, predicted
from streamlearn.service.labels import Labels
from streamlearn.service.ledger import Ledger
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import (
    EVENTS,
    PREDICTIONS,
    QUERIES,
    REJECTED,
    Codec,
    Event,
    Message,
    Pending,
    Query,
    Record,
    Remembered,
)


@final
@dataclass(frozen=True)
class Rules:
    """What the pipeline was told, beside the learner's settings."""

    learner: Settings
    budget: Budget
    strategy: str
    expire_s: float
    wait: int
    remember: int
    predictions: bool


@final
class Pipeline:
    """Mutable shell around the learner's values: one per daemon."""

    def __init__(
        self,
        rules: Rules,
        state: State,
        codec: Codec,
        recall: Callable[[Sequence[str]], dict[str, Remembered]],
        measurements: Measurements,
    ) -> None:
        self.rules, self.state, self._codec, self.measurements = rules, state, codec, measurements
        self.ledger = Ledger(rules.remember, rules.wait)
        self.asking = Asking(rules.strategy, rules.budget)
        self.labels = Labels(self, codec, recall)
        self.outbox: list[Message] = []
        self.version = 0  # of the model, as messages name it: labels learned, replacements included
        self.clock = 0.0
        self.rejected = 0

    def step(self, records: Sequence[Record], now: float | None) -> None:
        """Deal with these records. now: s since 1970; None: time is what the records say (replay)."""
        if now is not None:
            self.clock = max(self.clock, now)
            self._expire(self.clock)
        for role, group in groupby(records, key=lambda record: record.role):
            run = list(group)
            if role == EVENTS:
                self._events(run, now is None)
            else:
                self.labels.step(run)

    def settle(self) -> None:
        """The stream is quiet: learn what has been waiting for a cut to fill."""
        before = self.state
        self.state = learner.settle(before, self.rules.learner)
        if self.state is not before:
            self.asking.model_moved()

    def take_outbox(self) -> list[Message]:
        messages, self.outbox = self.outbox, []
        return messages

    def reject(self, record: Record, reason: str, kind: str) -> None:
        """The data's fault: publish the record with its reason; kind is the metric's label, one of few."""
        self.rejected += 1
        self.outbox.append(Message(REJECTED, record.key, self._codec.rejected(record, reason)))
        self.measurements.add("streamlearn_records_total", 1, topic=record.role, outcome="rejected")
        self.measurements.add("streamlearn_rejected_total", 1, topic=record.role, reason=kind)

    def observe(self, encoded: columns.Encoded, new_columns: columns.State, rows: Array) -> None:
        """Feature statistics take in newly seen rows."""
        self.state = learner.observe(self.state, new_columns, rows)
        if encoded.ignored:
            self.measurements.add("streamlearn_columns_ignored_total", encoded.ignored)

    def learned(self) -> None:
        """The model has moved, or which queries are pending."""
        self.version += 1
        self.asking.model_moved()

    def settle_query(self, id: str) -> Pending | None:
        """Take the query of this id, if there is one, from the pending ones."""
        entry = self.ledger.settle_query(id)
        if entry is not None:
            self.asking.settled(1)
        return entry

    def _expire(self, now: float) -> None:
        for id in [entry.id for entry in self.ledger.pending.values() if entry.expires <= now]:
            self.settle_query(id)
            self.measurements.add("streamlearn_queries_expired_total", 1)

    def _events(self, run: list[Record], by_record: bool) -> None:
        decoded = []
        for record in run:
            event = self._codec.event(record)
            if isinstance(event, str):
                self.reject(record, event, "size" if record.oversize else "format")
            else:
                decoded.append((record, event))
        # A label that waits for an event moves the model when it comes: the events behind it are another segment.
        waiting = self.ledger.waiting
        joins = [i + 1 for i, (_, event) in enumerate(decoded) if event.id in waiting] if waiting else []
        start = 0
        for stop in sorted({*joins, len(decoded)} - {0}):
            self._segment(decoded[start:stop], by_record)
            self.labels.join(decoded[stop - 1][1].id)
            start = stop

    def _segment(self, decoded: list[tuple[Record, Event]], by_record: bool) -> None:
        """Events under one model: reject, count, ask."""
        new_columns, encoded = columns.encode(self.state.columns, [event.x for _, event in decoded])
        good: dict[str, int] = {}
        for i, (record, event) in enumerate(decoded):
            if i in encoded.reasons:
                self.reject(record, encoded.reasons[i], "features")
            elif event.id in good or self.ledger.knows(event.id, len(good)):
                self.reject(record, f"an event with id {event.id} was read before", "duplicate")
            else:
                good[event.id] = i
        rows = encoded.rows[list(good.values())]
        self.observe(encoded, new_columns, rows)
        if good:
            events = [decoded[i][1] for i in good.values()]
            self.measurements.add("streamlearn_records_total", len(events), topic=EVENTS, outcome="accepted")
            self.measurements.add("streamlearn_events_total", len(events))
            times = self._times(events) if by_record else np.full(len(events), self.clock)
            self._count_and_ask(events, rows, times)
        for entry in self.ledger.overdue():
            self.reject(self._codec.waited(entry.label), "no event with this id came in time", "unknown id")

    def _times(self, events: list[Event]) -> Array:
        own = np.array([np.nan if event.time is None else event.time for event in events])
        times = np.fmax.accumulate(np.concatenate([[self.clock], own]))[1:]
        self.clock = float(times[-1])
        return times

    def _count_and_ask(self, events: list[Event], rows: Array, times: Array) -> None:
        ledger, first = self.ledger, self.ledger.count
        drawn = draws([event.id for event in events], self.rules.learner.seed)
        askable = np.array([not ledger.has_label(event.id, first + i) for i, event in enumerate(events)])
        audit = drawn.audit < self.rules.budget.audit_rate
        ledger.add_events([event.id for event in events], rows)
        segment = Segment(rows, first, audit, askable, drawn.random)
        start = 0
        while start < len(events):
            self._expire(times[start])
            stop = min(len(events), start + BLOCK - (first + start) % BLOCK)
            expiry = min((entry.expires for entry in ledger.pending.values()), default=np.inf)
            stop = min(stop, max(start + 1, int(np.searchsorted(times, expiry))))
            scored = self.asking.score(self.state, ledger, segment, start, stop)
            start = self._ask(events, segment, scored, times, start, stop)

    def _ask(self, events: list[Event], segment: Segment, scored: Scored, times: Array, start: int, stop: int) -> int:
        """Go through scored events start … stop − 1; where it got to: a query may change the scores behind it."""
        at = start
        while at < stop:
            rest = Scored(scored.scores[at - start :], scored.outputs)
            info = self.asking.select(segment, rest, at, stop)
            if self.rules.predictions:
                for i in range(at, at + info.used):
                    self._predict(events[i], scored, i - start)
            at += info.used
            if info.chosen:
                self._issue(
                    events[at - 1], segment, scored, at - 1, start, float(times[at - 1]), info.reason, info.probability
                )
                expires = times[at - 1] + self.rules.expire_s
                if self.asking.count_pending(self.state, segment.rows[at - 1 : at]) or times[stop - 1] >= expires:
                    break
        return at

    def _issue(
        self,
        event: Event,
        segment: Segment,
        scored: Scored,
        i: int,
        start: int,
        now: float,
        reason: str,
        probability: float,
    ) -> None:
        expires = now + self.rules.expire_s
        entry = Pending(event.id, segment.first + i, segment.rows[i].tobytes(), reason, expires)
        self.ledger.ask(entry)
        prediction, score = self._said(scored, i - start)
        query = Query(
            event.id, event.x, score, self.asking.acting, reason, probability, prediction, self.version, now, expires
        )
        self.outbox.append(Message(QUERIES, event.id.encode(), self._codec.query(query)))
        self.measurements.add("streamlearn_queries_issued_total", 1, reason=reason)

    def _predict(self, event: Event, scored: Scored, i: int) -> None:
        prediction, score = self._said(scored, i)
        value = self._codec.prediction(event.id, prediction, score, self.version)
        self.outbox.append(Message(PREDICTIONS, event.id.encode(), value))

    def _said(self, scored: Scored, i: int) -> tuple[problem.Label | None, float | None]:
        fit = self.state.published
        score = float(scored.scores[i])
        known = None if fit is None or scored.outputs is None else predicted(self.state, fit, scored.outputs[i])
        return known, score if np.isfinite(score) else None
