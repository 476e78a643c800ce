"""What a scorer has to say of events: candidates, predictions, those that are rejected, and tallies of all (`tally.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple, final

import msgspec
import numpy as np

from streamlearn.learner.settings import unwatched
from streamlearn.learner.split import draws
from streamlearn.service import tally
from streamlearn.service.asking import finite
from streamlearn.service.events import ratios
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import (
    CANDIDATES,
    EVENTS,
    PREDICTIONS,
    REJECTED,
    Codec,
    Event,
    Message,
    Prediction,
    Record,
)
from streamlearn.service.scorer import Judged, Scorer
from streamlearn.service.scoring_ports import Rules
from streamlearn.service.tallies import Tallies


@final
class Candidate(msgspec.Struct, omit_defaults=True):
    """An event that is passed on. reason: score, audit, or sample: chance has drawn it, and it is not to be asked about.

    response: the model's outputs.

    partition, offset: of its record; events: of its stretch (`tally.py`) that were scored so far, this one included.
    """

    id: str
    x: Any
    reason: str
    score: float | None
    prediction: bool | int | float | str
    response: list[float]
    model_version: int
    partition: int
    offset: int
    events: int
    time: float | None = None


class Said(NamedTuple):
    """messages: in order; ended: where the group goes on, of partitions of which a stretch was ended; events: scored."""

    messages: list[Message]
    ended: dict[int, int]
    events: int


@final
class _Batch(NamedTuple):
    """Events under one model, and why each is passed on; "": it is not."""

    scorer: Scorer
    events: list[Event]
    judged: Judged
    why: Sequence[str]


@final
class Verdicts:
    """Carries nothing from one call to the next but how far tallies have come."""

    def __init__(
        self, rules: Rules, codec: Codec, measurements: Measurements, alive: Callable[[], None] = unwatched
    ) -> None:
        """alive: called between blocks of events that are scored."""
        self._rules, self._codec, self._measurements, self._alive = rules, codec, measurements, alive
        self._tallies = Tallies()

    def forget(self) -> None:
        """Partitions were handed out anew: all is read from where the group has come to."""
        self._tallies.forget()

    def news(self) -> list[Message]:
        """Tallies of stretches that are not ended, as far as they have grown."""
        return [_line(each) for each in self._tallies.news()]

    def of(self, records: Sequence[Record], scorer: Scorer) -> Said:
        """What comes of records, the next of their partitions."""
        decoded = [self._codec.events(record) for record in records]
        events = [event for found in decoded for event in found if isinstance(event, Event)]
        drawn = draws([event.id for event in events], self._rules.seed)
        judged = scorer.score([event.x for event in events], drawn.random, self._alive)
        why = np.where(scorer.passes(judged), "score", np.where(drawn.audit < self._rules.sample_rate, "sample", ""))
        why = np.where(drawn.audit < self._rules.audit_rate, "audit", why)
        batch = _Batch(scorer, events, judged, why.tolist())
        messages, ended, at = list[Message](), dict[int, int](), 0
        for _, of_stretch in groupby(zip(records, decoded, strict=True), _stretch):
            together = list(of_stretch)
            (first, _), (last, _), good, rejected = together[0], together[-1], list[int](), 0
            before = self._tallies.so_far(first)
            for record, found in together:
                for index, event in enumerate(found):
                    reason = event if isinstance(event, str) else judged.reasons.get(at)
                    if reason is not None:
                        kind = "features" if not isinstance(event, str) else "size" if record.oversize else "format"
                        messages.append(self._rejected(self._codec.one(record, index), reason, kind))
                        rejected += 1
                    else:
                        good.append(at)
                        if batch.why[at]:
                            messages.append(self._candidate(batch, at, record, before + len(good)))
                        if self._rules.predictions:
                            messages.append(self._prediction(batch, at))
                    at += not isinstance(event, str)
            for each in self._tallies.take(first, judged.rows[good], rejected, scorer.snapshot.columns, last.next):
                messages.append(_line(each))
                ended[each.partition] = (each.stretch + 1) * tally.STRETCH
        return Said(messages, ended, self._counted(scorer, judged))

    def _counted(self, scorer: Scorer, judged: Judged) -> int:
        """How many events were scored."""
        scores = np.delete(judged.scores, list(judged.reasons))
        self._measurements.add("streamlearn_records_total", len(scores), topic=EVENTS, outcome="accepted")
        self._measurements.add("streamlearn_events_total", len(scores))
        self._measurements.observe("streamlearn_score_ratio", ratios(scores, np.full(len(scores), scorer.threshold)))
        return len(scores)

    def _candidate(self, batch: _Batch, at: int, record: Record, events: int) -> Message:
        scorer, event, judged = batch.scorer, batch.events[at], batch.judged
        candidate = Candidate(
            id=event.id,
            x=event.x,
            reason=batch.why[at],
            score=finite(judged.scores[at]),
            prediction=scorer.said(float(judged.predictions[at])),
            response=judged.outputs[at].tolist(),
            model_version=scorer.snapshot.version,
            partition=record.partition,
            offset=record.offset,
            events=events,
            time=event.time,
        )
        self._measurements.add("streamlearn_candidates_total", 1, reason=batch.why[at])
        return Message(CANDIDATES, event.id.encode(), msgspec.json.encode(candidate))

    def _prediction(self, batch: _Batch, at: int) -> Message:
        scorer, judged, id = batch.scorer, batch.judged, batch.events[at].id
        said, score = scorer.said(float(judged.predictions[at])), finite(judged.scores[at])
        prediction = Prediction(id, said, score, scorer.trusted, scorer.snapshot.version)
        return Message(PREDICTIONS, id.encode(), self._codec.prediction(prediction))

    def _rejected(self, single: Record, reason: str, kind: str) -> Message:
        self._measurements.add("streamlearn_records_total", 1, topic=EVENTS, outcome="rejected")
        self._measurements.add("streamlearn_rejected_total", 1, topic=EVENTS, reason=kind)
        return Message(REJECTED, single.key, self._codec.rejected(single, reason))


def _stretch(read: tuple[Record, object]) -> tuple[int, int]:
    record, _ = read
    return record.partition, record.offset // tally.STRETCH


def _line(each: tally.Tally) -> Message:
    return Message(CANDIDATES, f"tally/{each.partition}".encode(), tally.encode(each))
