"""Events: count them, score them, ask about some. Computed many at once between two changes of the model.

A label that waited for an event is learned as soon as the event has come, so the events behind it belong to another model.

What scorers pass on are candidates, each with how many events there were by then, and tallies of all events, from which the
budget and feature statistics come (`census.py`). A candidate that comes again, for scorers may be killed, is left aside.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.learner import columns, problem
from streamlearn.learner.split import draws
from streamlearn.queries import selector
from streamlearn.service import response, waiting
from streamlearn.service.asking import Scored, Segment, finite, predicted
from streamlearn.service.blocks import BLOCK, bounds
from streamlearn.service.labels import Labels
from streamlearn.service.ports import (
    EVENTS,
    PREDICTIONS,
    QUERIES,
    Asked,
    Codec,
    Event,
    Message,
    Pending,
    Prediction,
    Query,
    Record,
)
from streamlearn.service.standing import Standing
from streamlearn.service.tally import Tally

log = logging.getLogger("streamlearn")


class Read(NamedTuple):
    """An event as read: the record that it was in, its place there, and the event; counted: events, when a candidate came."""

    record: Record
    place: int
    event: Event
    counted: int


@final
@dataclass(frozen=True)
class _Batch:
    """Events under one model, with the time of each in s since 1970."""

    events: list[Event]
    times: Array
    segment: Segment


@final
class Events:
    """The event side of the pipeline; what it acts on is in `standing`."""

    def __init__(self, standing: Standing, labels: Labels, codec: Codec) -> None:
        self._standing, self._labels, self._codec = standing, labels, codec

    def step(self, run: list[tuple[Record, Sequence[Event | Tally | str]]], by_record: bool) -> None:
        """Deal with decoded records in order; by_record: time is what they say."""
        decoded = list[Read]()
        for record, found in run:
            for index, event in enumerate(found):
                if isinstance(event, str):
                    kind = "size" if record.oversize else "format"
                    self._standing.reject(self._codec.one(record, index), event, kind)
                elif isinstance(event, Tally):
                    self._deal_with(decoded, by_record)
                    self._standing.tallied(event)
                    decoded = []
                else:
                    counted = self._standing.census.passed(event.passed) if event.passed else 1
                    decoded.append(Read(record, index, event, counted))
        self._deal_with(decoded, by_record)

    def _deal_with(self, decoded: list[Read], by_record: bool) -> None:
        ids, start = [read.event.id for read in decoded], 0
        while start < len(decoded):
            stop = self._until(ids, start)
            self._segment(decoded[start:stop], by_record)
            self._labels.join(ids[stop - 1])
            start = stop

    def asked(self, query: Asked) -> None:
        """Count an event that was asked about by a daemon whose store is lost; its query says what it was."""
        standing, ledger = self._standing, self._standing.ledger
        standing.clock = max(standing.clock, query.time)
        standing.expire(standing.clock)
        new_columns, encoded = standing.encode([query.x])
        standing.measurements.add("streamlearn_queries_issued_total", 1, reason=query.reason)
        standing.asking.asked(query.reason)
        if encoded.reasons or ledger.knows(query.id):
            standing.asking.settled(1)  # nothing that a label could be joined to, or not for the first time
            return
        self._observe(encoded, new_columns, encoded.rows)
        standing.measurements.add("streamlearn_events_total", 1)
        ordinal, features = ledger.count, encoded.rows[0].tobytes()
        user = standing.whose(query)
        ledger.add_events([query.id], encoded.rows, [user])
        ledger.ask(Pending(query.id, ordinal, features, query.reason, query.expires, user))
        ledger.quotas.asked(user, query.time)
        self._labels.join(query.id)

    def _until(self, ids: list[str], start: int) -> int:
        """Where the segment that begins at `start` has to end, so that what holds at its beginning holds throughout.

        Behind an event whose label waits, which moves the model when it comes; before an event that is in the segment
        already, or that the events in between may make known no longer.
        """
        ledger, inside = self._standing.ledger, set[str]()
        for i in range(start, len(ids)):
            if i > start and (ids[i] in inside or not ledger.knowledge_lasts(ids[i], i - start)):
                return i
            inside.add(ids[i])
            if ids[i] in ledger.waiting:
                return i + 1
        return len(ids)

    def _segment(self, decoded: list[Read], by_record: bool) -> None:
        """Events under one model: reject, count, ask."""
        new = []
        for read in decoded:
            if not self._standing.ledger.knows(read.event.id):
                new.append(read)
            elif read.event.passed:
                self._standing.measurements.add("streamlearn_records_total", 1, topic=EVENTS, outcome="repeated")
            else:
                self._reject(read, f"an event with id {read.event.id} was read before", "duplicate")
        new_columns, encoded = self._standing.encode([read.event.x for read in new])
        for i, reason in encoded.reasons.items():
            self._reject(new[i], reason, "features")
        good = [i for i in range(len(new)) if i not in encoded.reasons]
        rows = encoded.rows[good]
        self._observe(encoded, new_columns, rows)
        counted, left = _taken_up(decoded, [new[i] for i in good])
        if good:
            events = [new[i].event for i in good]
            self._standing.measurements.add("streamlearn_records_total", len(events), topic=EVENTS, outcome="accepted")
            self._standing.measurements.add("streamlearn_events_total", len(events))
            times = self._times(events) if by_record else np.full(len(events), self._standing.clock)
            self._count_and_ask([new[i] for i in good], rows, times, counted)
        if self._standing.rules.of_candidates:
            self._standing.asking.earned(left)
        for entry in self._standing.ledger.overdue():
            record, _ = waiting.read(entry.label, self._codec)
            self._standing.reject(record, "no event with this id came in time", "unknown id")

    def _observe(self, encoded: columns.Encoded, new_columns: columns.State, rows: Array) -> None:
        """Feature statistics take them in; those of candidates are in the tallies."""
        self._standing.observe(encoded, new_columns, rows[:0] if self._standing.rules.of_candidates else rows)

    def _reject(self, read: Read, reason: str, kind: str) -> None:
        self._standing.reject(self._codec.one(read.record, read.place), reason, kind)

    def _times(self, events: list[Event]) -> Array:
        own = np.array([np.nan if event.time is None else event.time for event in events])
        times = np.fmax.accumulate(np.concatenate([[self._standing.clock], own]))[1:]
        self._standing.clock = float(times[-1])
        return times

    def _count_and_ask(self, read: list[Read], rows: Array, times: Array, counted: NDArray[np.int64]) -> None:
        standing, ledger, first = self._standing, self._standing.ledger, self._standing.ledger.count
        events = [each.event for each in read]
        drawn = draws([event.id for event in events], standing.rules.learner.seed)
        users = [standing.whose(event) for event in events]
        askable = np.array([not ledger.has_label(event.id, first + i) for i, event in enumerate(events)])
        askable &= np.fromiter(map(ledger.quotas.allows, users, times), dtype=bool, count=len(users))
        audit = drawn.audit < standing.rules.budget.audit_rate
        of_candidates = standing.rules.of_candidates
        if of_candidates:  # where scorers draw otherwise, what chance has not drawn there is no audit here
            audit &= np.array([event.passed is not None and event.passed.audit for event in events])
            askable &= np.array([event.passed is None or not event.passed.sample for event in events])
            now, told = float(times[-1]), first + len(events)
            response.to(standing, standing.drift.candidates(standing.state, rows[audit], told, now))
        ledger.add_events([event.id for event in events], rows, users)
        segment = Segment(rows, first, audit, askable, drawn.random, counted if of_candidates else None, users)
        batch = _Batch(events, times, segment)
        start, watched, spent_by = 0, 0, standing.rules.budget
        standing.asking.spend_by(spent_by)
        while start < len(events):
            standing.rules.learner.alive()
            budget = response.budget(standing, first + start)
            if budget != spent_by:
                spent_by = budget
                standing.asking.spend_by(budget)
                audit[:] = drawn.audit < budget.audit_rate
            standing.expire(times[start])
            stop = min(len(events), bounds(first + start)[1] - first)
            expiry = min((entry.expires for entry in ledger.pending.values()), default=np.inf)
            stop = min(stop, max(start + 1, int(np.searchsorted(times, expiry))))
            if stop > watched and not of_candidates:
                standing.drift.saw(standing.state, rows[watched:stop], first + watched)
                watched = stop
            scored = standing.asking.score(standing.state, ledger, batch.segment, start, stop)
            start = self._ask(batch, scored, stop)
            if (first + start) % BLOCK == 0 and not of_candidates:
                response.to(standing, standing.drift.block_ends(first + start, first + start, float(times[start - 1])))

    def _ask(self, batch: _Batch, scored: Scored, stop: int) -> int:
        """Go through scored events up to `stop`; where it got to: a query may change the scores behind it."""
        standing, segment, at = self._standing, batch.segment, scored.start
        thresholds = np.full(stop - at, np.nan)  # from which each event would have been asked about
        while at < stop:
            info = standing.asking.select(segment, scored, at, stop)
            thresholds[at - scored.start : at - scored.start + info.used] = standing.asking.selector.threshold
            if standing.rules.predictions:
                for i in range(at, at + info.used):
                    self._predict(batch, scored, i)
            at += info.used
            if info.chosen:
                expires = self._issue(batch, scored, at - 1, info)
                moved = standing.asking.outlook.count(standing.state, segment.rows[at - 1 : at])
                if moved or batch.times[stop - 1] >= expires:
                    break
        standing.measurements.observe(
            "streamlearn_score_ratio", ratios(scored.scores[: stop - scored.start], thresholds)
        )
        return at

    def _issue(self, batch: _Batch, scored: Scored, i: int, info: selector.Info) -> float:
        """Ask for the label of event i; when that query expires."""
        standing, event, now = self._standing, batch.events[i], float(batch.times[i])
        expires = now + standing.rules.expire_s
        features = batch.segment.rows[i].tobytes()
        user = batch.segment.users[i]
        standing.ledger.ask(Pending(event.id, batch.segment.first + i, features, info.reason, expires, user))
        self._spend(batch, user, i)
        query = Query(
            id=event.id,
            x=event.x,
            score=scored.score(i),
            trusted=scored.trusted,
            strategy=standing.asking.acting,
            reason=info.reason,
            probability=info.probability * (standing.share if info.reason == "audit" else 1.0),
            prediction=self._prediction(scored, i),
            model_version=standing.version,
            time=now,
            expires=expires,
            threshold=finite(standing.asking.selector.threshold),
            shadows=scored.of_shadows(i),
            user=user,
        )
        standing.outbox.append(Message(QUERIES, event.id.encode(), self._codec.query(query)))
        standing.measurements.add("streamlearn_queries_issued_total", 1, reason=info.reason)
        fields = {"id": event.id, "reason": info.reason, "score": query.score, "threshold": query.threshold}
        log.debug("query %s", event.id, extra={"action": "query", **fields})
        return expires

    def _spend(self, batch: _Batch, user: str, i: int) -> None:
        """The user of event i was asked; what that leaves of their quota for the events behind it."""
        quotas, segment = self._standing.ledger.quotas, batch.segment
        quotas.asked(user, float(batch.times[i]))
        if quotas.bounds(user):
            for j in range(i + 1, len(segment.users)):
                if segment.users[j] == user:
                    segment.askable[j] &= quotas.allows(user, float(batch.times[j]))

    def _predict(self, batch: _Batch, scored: Scored, i: int) -> None:
        id, version = batch.events[i].id, self._standing.version
        prediction = Prediction(
            id, self._prediction(scored, i), scored.score(i), scored.trusted, version, scored.of_shadows(i)
        )
        self._standing.outbox.append(Message(PREDICTIONS, id.encode(), self._codec.prediction(prediction)))

    def _prediction(self, scored: Scored, i: int) -> problem.Label | None:
        fit = self._standing.state.published
        if fit is None or scored.predictions is None:
            return None
        return predicted(self._standing.state, fit, float(scored.predictions[i - scored.start]))


def ratios(scores: Array, thresholds: Array) -> Array:
    """Scores over the score from which events are asked about, (n,); NaN where there is none, or none above 0."""
    above = np.isfinite(thresholds) & (thresholds > 0.0)
    return np.asarray(np.divide(scores, thresholds, out=np.full(len(scores), np.nan), where=above))


def _taken_up(read: list[Read], good: list[Read]) -> tuple[NDArray[np.int64], int]:
    """How many events were counted by the time each of the good ones came, since the one before, (n,); and after the last."""
    counted, waiting, at = np.zeros(len(good), dtype=np.int64), 0, 0
    for each in read:
        waiting += each.counted
        if at < len(good) and each is good[at]:
            counted[at], waiting, at = waiting, 0, at + 1
    return counted, waiting
