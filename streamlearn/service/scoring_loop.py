"""A scorer's loop: follow the model, score events, pass on what may be worth a question.

1. The newest model there is; before there is one, no event is read, and none is ever scored by an older one than the last.
2. Events of the partitions that the group has handed out are scored (`scorer.py`).
3. Candidates go out, predictions, rejected events, and tallies of what was seen (`verdicts.py`), all acknowledged.
4. The group is told where it has come to: to the end of the last stretch that was ended.

Killed anywhere, what is not told is done again by whoever has the partition then. So every event is scored at least once, and a
candidate may be there twice: it has the id of its event. Nothing is kept, and any number of scorers may run, up to as many as
there are partitions.

Where it is told to stop when the model is old it leaves the group until a newer one comes: whoever has a fresh one may have its
partitions, and what was not told is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from streamlearn.errors import CannotLoad
from streamlearn.service.health import MODEL, START, Health
from streamlearn.service.lag import Lag
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.patience import Patience, Stopped
from streamlearn.service.ports import Clock, Codec, Message
from streamlearn.service.scorer import Scorer
from streamlearn.service.scoring_ports import Feed, Group, Outlet, Rules
from streamlearn.service.verdicts import Verdicts

POLL_S = 0.25
REST_S = 0.5  # between two looks for a model, where there is none to go by
TELL_S = 5.0  # between two tallies of a stretch that is not ended

log = logging.getLogger("streamlearn")


@final
@dataclass(frozen=True)
class Ports:
    """The outside, as a scorer needs it."""

    group: Group
    feed: Feed
    outlet: Outlet
    clock: Clock


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
        self._rules, self._ports, self._load = rules, ports, load
        self._health, self._measurements, self._patiently = health, measurements, patience
        self._poll_timeout_s = poll_timeout_s
        self._scorer: Scorer | None = None
        self._verdicts, self._told_at = Verdicts(rules, codec, measurements, patience.alive), 0.0
        self._member, self._stale = False, False  # of the group; whether the model is too old
        self._lag = Lag(measurements, ports.clock)
        self.events = 0  # scored

    def run(self) -> bool:
        """Until it is asked to stop. Whether it came to an end of its own: False where the world did not let it."""
        try:
            self.start()
            while not self._patiently.over():
                self.turn()
            self._publish(self._verdicts.news())
        except Stopped:
            return False
        finally:
            self.close()
        return True

    def start(self) -> None:
        """Wait for a model; then join the group, unless that is too old."""
        self._health.unready(START, "no model has been published yet")
        self._health.unready(MODEL, "there is none yet")
        while True:
            self._follow()
            if self._scorer is not None:
                break
            if self._patiently.over(REST_S):
                raise Stopped
        self._patiently("log", self._ports.outlet.open)
        self._join_or_leave()
        self._health.ready(START)

    def turn(self) -> int:
        """How many records were dealt with."""
        self._follow()
        if not self._join_or_leave():
            self._patiently.over(REST_S)
            return 0
        assert self._scorer is not None, "start comes before turn"
        records = self._patiently("log", lambda: self._ports.group.poll(self._poll_timeout_s))
        if self._ports.group.handed():
            self._verdicts.forget()
        messages, ended, scored = self._verdicts.of(records, self._scorer)
        self.events += scored
        now = self._ports.clock.monotonic()
        if now - self._told_at >= TELL_S:
            self._told_at = now
            messages += self._verdicts.news()
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
            version, before = scorer.snapshot.version, self._scorer
            same = before is not None and before.snapshot.version == version  # published again, for its threshold
            level = logging.DEBUG if same else logging.INFO
            log.log(level, "scoring by version %d of the model", version, extra={"action": "model", "version": version})
            self._scorer = scorer
        age_s = max(0.0, self._ports.clock.now() - scorer.snapshot.time)
        self._measurements.set("streamlearn_model_version", scorer.snapshot.version)
        self._measurements.set("streamlearn_query_threshold", scorer.threshold)
        self._measurements.since("streamlearn_model_age_seconds", self._ports.clock.monotonic() - age_s)
        self._stale = 0.0 < self._rules.stale_s < age_s
        if self._stale:
            and_so = "; no event is read until there is a newer one" if self._rules.stops else ""
            self._health.unready(
                MODEL, f"the model is {age_s:.0f} s old, and scorers.stale_s = {self._rules.stale_s:g}{and_so}"
            )
        else:
            self._health.ready(MODEL)

    def _join_or_leave(self) -> bool:
        """Whether events may be read: by a model that is too old none is, where that was told."""
        reads = not (self._stale and self._rules.stops)
        if reads and not self._member:
            self._patiently("log", self._ports.group.open)
        elif self._member and not reads:
            log.warning("the model is too old: no event is read until there is a newer one", extra={"action": "model"})
            self._publish(self._verdicts.news())
            self._ports.group.close()
        self._member = reads
        self._measurements.set("streamlearn_stopped", not reads)
        return reads

    def _publish(self, messages: list[Message]) -> None:
        if messages:
            self._patiently("log", lambda: self._ports.outlet.publish(messages))
