"""A scorer's loop: follow the model, score events, pass on what may be worth a question.

1. The newest model there is; before there is one, no event is read, and none is ever scored by an older one than the last.
2. Events of the partitions that the group has handed out are scored (`scorer.py`).
3. Candidates go out, and rejected events, and tallies of what was seen (`tally.py`), all acknowledged.
4. The group is told where it has come to: to the end of the last stretch that was ended.

Killed anywhere, what is not told is done again by whoever has the partition then. So every event is scored at least once, and a
candidate may be there twice: it has the id of its event. Nothing is kept, and any number of scorers may run, up to as many as
there are partitions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import msgspec
import numpy as np

from streamlearn.errors import CannotLoad
from streamlearn.learner.split import draws
from streamlearn.service import tally
from streamlearn.service.asking import finite
from streamlearn.service.events import ratios
from streamlearn.service.health import MODEL, START, Health
from streamlearn.service.lag import Lag
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.patience import Patience, Stopped
from streamlearn.service.ports import CANDIDATES, EVENTS, REJECTED, Clock, Codec, Event, Message, Record
from streamlearn.service.scorer import Judged, Scorer
from streamlearn.service.scoring_ports import Feed, Group, Outlet
from streamlearn.service.tallies import Tallies

POLL_S = 0.25
REST_S = 0.5  # between two looks for a first model
TELL_S = 5.0  # between two tallies of a stretch that is not ended

log = logging.getLogger("streamlearn")


@final
class Candidate(msgspec.Struct, omit_defaults=True):
    """An event that is passed on. reason: score or audit; response: the model's outputs.

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


@final
@dataclass(frozen=True)
class Ports:
    """The outside, as a scorer needs it."""

    group: Group
    feed: Feed
    outlet: Outlet
    clock: Clock


@final
@dataclass(frozen=True)
class Rules:
    """seed, audit_rate: of audits; stale_s: age of a model from which the scorer is not ready; 0: whatever its age."""

    seed: int
    audit_rate: float
    stale_s: float


@final
class ScoringLoop:
    """`start`, then `turn` as long as wanted, then `close`; or `run`, which is all of that."""

    def __init__(
        self,
        rules: Rules,
        ports: Ports,
        codec: Codec,
        load: Callable[[ModelSnapshot], Scorer],
        health: Health,
        measurements: Measurements,
        patience: Patience,
        poll_timeout_s: float = POLL_S,
    ) -> None:
        """load: a scorer by what was published; raises CannotLoad."""
        self._rules, self._ports, self._codec, self._load = rules, ports, codec, load
        self._health, self._measurements, self._patiently = health, measurements, patience
        self._poll_timeout_s = poll_timeout_s
        self._scorer: Scorer | None = None
        self._tallies, self._told_at = Tallies(), 0.0
        self._lag = Lag(measurements, ports.clock)
        self.events = 0  # scored

    def run(self) -> bool:
        """Until it is asked to stop. Whether it came to an end of its own: False where the world did not let it."""
        try:
            self.start()
            while not self._patiently.over():
                self.turn()
            self._publish([*map(_line, self._tallies.news())])
        except Stopped:
            return False
        finally:
            self.close()
        return True

    def start(self) -> None:
        """Wait for a model; then join the group."""
        self._health.unready(START, "no model has been published yet")
        self._health.unready(MODEL, "there is none yet")
        while True:
            self._follow()
            if self._scorer is not None:
                break
            if self._patiently.over(REST_S):
                raise Stopped
        self._patiently("log", self._ports.outlet.open)
        self._patiently("log", self._ports.group.open)
        self._health.ready(START)

    def turn(self) -> int:
        """How many records were dealt with."""
        self._follow()
        records = self._patiently("log", lambda: self._ports.group.poll(self._poll_timeout_s))
        if self._ports.group.handed():
            self._tallies.forget()
        messages, ended = self._dealt_with(records)
        now = self._ports.clock.monotonic()
        if now - self._told_at >= TELL_S:
            self._told_at = now
            messages += map(_line, self._tallies.news())
        self._publish(messages)
        if ended:
            self._patiently("log", lambda: self._ports.group.commit(ended))
        self._lag.read(records)
        self._lag.tell(self._ports.group.lag())
        return len(records)

    def close(self) -> None:
        for port in (self._ports.group, self._ports.feed, self._ports.outlet):
            port.close()

    def _follow(self) -> None:
        """A newer model, where there is one. One that cannot be read leaves the one before in its place."""
        try:
            found = self._patiently("log", self._ports.feed.newer)
            scorer = self._load(found) if found is not None else self._scorer
        except CannotLoad as error:
            if self._scorer is None:
                raise
            version = self._scorer.snapshot.version
            log.error("%s; going on with version %d", error, version, extra={"action": "model", "version": version})
            scorer = self._scorer
        if scorer is None:
            return
        if scorer is not self._scorer:
            self._scorer = scorer
            version = scorer.snapshot.version
            log.info("scoring by version %d of the model", version, extra={"action": "model", "version": version})
        age_s = max(0.0, self._ports.clock.now() - scorer.snapshot.time)
        self._measurements.set("streamlearn_model_version", scorer.snapshot.version)
        self._measurements.set("streamlearn_query_threshold", scorer.threshold)
        self._measurements.since("streamlearn_model_age_seconds", self._ports.clock.monotonic() - age_s)
        if 0.0 < self._rules.stale_s < age_s:
            self._health.unready(
                MODEL, f"the model is {age_s:.0f} s old, and scorers.stale_s = {self._rules.stale_s:g}"
            )
        else:
            self._health.ready(MODEL)

    def _publish(self, messages: list[Message]) -> None:
        if messages:
            self._patiently("log", lambda: self._ports.outlet.publish(messages))

    def _dealt_with(self, records: list[Record]) -> tuple[list[Message], dict[int, int]]:
        """What comes of records, and where the group goes on, of partitions of which a stretch was ended."""
        assert self._scorer is not None, "start comes before turn"
        decoded = [self._codec.events(record) for record in records]
        events = [event for found in decoded for event in found if isinstance(event, Event)]
        drawn = draws([event.id for event in events], self._rules.seed)
        judged = self._scorer.score([event.x for event in events], drawn.random)
        audit = drawn.audit < self._rules.audit_rate
        passes = self._scorer.passes(judged) | audit
        messages, ended, at = list[Message](), dict[int, int](), 0
        for record, found in zip(records, decoded, strict=True):
            good, before = list[int](), self._tallies.so_far(record)
            for index, event in enumerate(found):
                reason = event if isinstance(event, str) else judged.reasons.get(at)
                if reason is None:
                    good.append(at)
                    if passes[at]:
                        messages.append(
                            self._candidate(events[at], judged, at, bool(audit[at]), record, before + len(good))
                        )
                else:
                    kind = "features" if not isinstance(event, str) else "size" if record.oversize else "format"
                    messages.append(self._rejected(self._codec.one(record, index), reason, kind))
                at += not isinstance(event, str)
            for each in self._tallies.take(
                record, judged.rows[good], len(found) - len(good), self._scorer.snapshot.columns
            ):
                messages.append(_line(each))
                ended[each.partition] = (each.stretch + 1) * tally.STRETCH
        accepted = len(events) - len(judged.reasons)
        self.events += accepted
        self._measurements.add("streamlearn_records_total", accepted, topic=EVENTS, outcome="accepted")
        self._measurements.add("streamlearn_events_total", accepted)
        scores = np.delete(judged.scores, list(judged.reasons))
        above = ratios(scores, np.full(len(scores), self._scorer.threshold))
        self._measurements.observe("streamlearn_score_ratio", above)
        return messages, ended

    def _candidate(self, event: Event, judged: Judged, at: int, audit: bool, record: Record, events: int) -> Message:
        assert self._scorer is not None
        reason = "audit" if audit else "score"
        candidate = Candidate(
            id=event.id,
            x=event.x,
            reason=reason,
            score=finite(judged.scores[at]),
            prediction=self._scorer.said(float(judged.predictions[at])),
            response=judged.outputs[at].tolist(),
            model_version=self._scorer.snapshot.version,
            partition=record.partition,
            offset=record.offset,
            events=events,
            time=event.time,
        )
        self._measurements.add("streamlearn_candidates_total", 1, reason=reason)
        return Message(CANDIDATES, event.id.encode(), msgspec.json.encode(candidate))

    def _rejected(self, single: Record, reason: str, kind: str) -> Message:
        self._measurements.add("streamlearn_records_total", 1, topic=EVENTS, outcome="rejected")
        self._measurements.add("streamlearn_rejected_total", 1, topic=EVENTS, reason=kind)
        return Message(REJECTED, single.key, self._codec.rejected(single, reason))


def _line(each: tally.Tally) -> Message:
    return Message(CANDIDATES, f"tally/{each.partition}".encode(), tally.encode(each))
