"""The daemon's loop, and the order in which a commit happens.

1. A step changes state in memory and puts messages into the outbox.
2. One transaction of the store writes all of it with the source positions and the commit number N.
3. The outbox is published (on Kafka in one transaction with the positions and N).
4. The outbox is cleared (durably at the latest by commit N + 1, which replaces it).

Killed before 2, everything since the last commit is read again. Killed between 2 and 3, the outbox is found at the start
and published then, unless the log says that N was. So a label changes the state once and a query is published once.

The world's faults are waited out (`patience.py`). All others end the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import final

from streamlearn.learner import everybody
from streamlearn.service import fits, overload, response, restore
from streamlearn.service.announcing import Announcing
from streamlearn.service.control import obey
from streamlearn.service.health import Health
from streamlearn.service.lag import Lag
from streamlearn.service.metrics import Measurements
from streamlearn.service.observe import Observer, starved
from streamlearn.service.patience import Patience, Stopped
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import (
    POLL_RECORDS,
    Clock,
    Commit,
    Control,
    Position,
    Record,
    Saved,
    Sink,
    Source,
    Store,
)

POLL_TIMEOUT_S = 0.25
TURN_S = 5.0  # after which labels that were polled wait for the next turn
SETTLE_MOST_S = 20.0  # at the end; what takes longer is left to the next start
COMMIT_AGAIN_S = 43_200.0  # the log's copy of N must not expire on a quiet stream

log = logging.getLogger("streamlearn")


@final
@dataclass(frozen=True)
class Ports:
    """The outside, as the daemon needs it."""

    source: Source
    sink: Sink
    store: Store
    clock: Clock
    control: Control | None = None


@final
class Daemon:
    """`start`, then `turn` as long as wanted, then `close`; or `run`, which is all of that."""

    def __init__(
        self,
        pipeline: Pipeline,
        ports: Ports,
        health: Health,
        measurements: Measurements,
        patience: Patience,
        poll_timeout_s: float = POLL_TIMEOUT_S,
    ) -> None:
        self.pipeline, self._ports, self._health, self._measurements = pipeline, ports, health, measurements
        self._patiently, self._poll_timeout_s = patience, poll_timeout_s
        self._store_id, self._number, self._positions = "", 0, dict[Position, int]()
        self._replaces: str | None = None
        self._committed_at = 0.0
        self._announcing, self._lag = Announcing(pipeline.standing), Lag(measurements, ports.clock)
        self._observer = Observer(pipeline, health, measurements)
        self._starved = ""  # why no event can be chosen by its score
        self._left_out = False  # whether users have been that have no parameters of their own
        self._polled: list[Record] = []  # and not dealt with yet: batches hold more than a commit takes

    @property
    def number(self) -> int:
        """The last commit's."""
        return self._number

    def run(self) -> bool:
        """Until it is asked to stop; then drain and commit. Whether it has: False where the world did not let it."""
        try:
            self.start()
            while not self._patiently.over():
                self.turn(self._patiently.over)
            self.drain()
        except Stopped:
            return False
        finally:
            self.close()
        return True

    def start(self) -> None:
        """Recover: state from the store, then the outbox that may not have been published, then the positions."""
        saved = self._patiently("store", self._ports.store.load)
        restore.put_back(self.pipeline, saved)
        self._store_id, self._number, self._positions = saved.store_id, saved.number, dict(saved.positions)
        self._replaces = saved.replaces
        self._patiently("log", lambda: self._recover(saved))
        self._patiently("log", lambda: self._ports.source.open(self._positions))
        self._polled = self._moved()
        self._committed_at = self._ports.clock.monotonic()
        self._measurements.since("streamlearn_commit_age_seconds", self._committed_at)
        self._health.ready("start")
        self._report()

    def turn(self, over: Callable[[], bool] = lambda: False) -> int:
        """Obey what was commanded; deal with what the last poll left, or poll once; how many records that were.

        A quiet turn is used to go on learning, but not once it is `over`: what it was asked to stop for waits for no round.
        """
        obeyed = self._obey()
        polled = self._polled or self._poll()
        before, began = self.pipeline.state, self._ports.clock.monotonic()
        taken = self.pipeline.step(polled, self._ports.clock.now(), POLL_RECORDS, lambda: self._long(began))
        records, self._polled = polled[:taken], polled[taken:]
        self._lag.read(records)
        if not records and not self._announcing.under_way:  # a large model's rest is not to wait for rounds of steps
            self.pipeline.settle(over)
        changes = self.pipeline.ledger.changes
        due = self._number > 0 and self._ports.clock.monotonic() - self._committed_at >= COMMIT_AGAIN_S
        due = due or self._announcing.due(self._ports.clock.now())
        if records or obeyed or changes.pending_removed or self.pipeline.state is not before or due:
            self._commit(records)
        for text in obeyed:
            log.info("%s", text, extra={"action": "control", "commit": self._number})
        self._say_drift()
        self._report()
        return len(records)

    def _long(self, began: float) -> bool:
        """Whether to commit what was dealt with since `began`, though there is more, and to look whether it is to end."""
        return self._ports.clock.monotonic() - began > TURN_S

    def _poll(self) -> list[Record]:
        """What came; while only a share of the events is read, of several polls."""
        standing, polled = self.pipeline.standing, list[Record]()
        wait_s = 0.0 if self._announcing.under_way else self._poll_timeout_s
        while True:
            records = self._patiently("log", partial(self._ports.source.poll, wait_s))
            taken = overload.sample(records, standing.rules.learner.seed, standing.share)
            self._measurements.add("streamlearn_skipped_total", sum(record.skipped for record in taken))
            polled += self._moved() + taken
            kept, most = sum(not record.skipped for record in polled), overload.POLLS_MOST * POLL_RECORDS
            if standing.share >= 1.0 or not records or kept >= POLL_RECORDS or len(polled) >= most:
                return polled
            wait_s = 0.0

    def _obey(self) -> list[str]:
        """What was done, to be said once it is committed."""
        control, standing = self._ports.control, self.pipeline.standing
        if control is None:
            return []
        commands = self._patiently("store", lambda: control.after(standing.obeyed))
        return [f"command {each.number}, {each.action}: {obey(standing, each, self._of_user)}" for each in commands]

    def _of_user(self, user: str) -> list[str]:
        return self._patiently("store", lambda: self._ports.store.of_user(user))

    def drain(self) -> None:
        """Learn what waits for a cut to fill, and commit it; the last model is announced."""
        before, began = self.pipeline.state, self._ports.clock.monotonic()
        self.pipeline.settle(lambda: self._ports.clock.monotonic() - began > SETTLE_MOST_S)
        moved = self.pipeline.state is not before
        while moved or self._announcing.due(self._ports.clock.now(), ending=True):
            self._commit([], ending=True)
            moved = False
        self._report()

    def close(self) -> None:
        for port in (self._ports.source, self._ports.sink, self._ports.store):
            port.close()

    def _commit(self, records: list[Record], ending: bool = False) -> None:
        self._positions.update({(record.role, record.partition): record.next for record in records})
        began = self._ports.clock.monotonic()
        self._slow_down()
        number, changes, standing = self._number + 1, self.pipeline.ledger.take_changes(), self.pipeline.standing
        now = self._ports.clock.now()
        standing.fits = fits.note(standing.fits, standing.state, number, now, changes)
        if self._announcing.due(now, ending):
            self._announcing.announce(number, now, ending)
        commit = Commit(
            number=number,
            positions=dict(self._positions),
            snapshot=restore.take(self.pipeline),
            changes=changes,
            outputs=self._patiently("log", self._ports.sink.ends),
            outbox=self.pipeline.take_outbox(),
        )
        self._patiently("store", lambda: self._ports.store.commit(commit))
        self._number = commit.number
        self._publish(commit)
        self._patiently("store", self._ports.store.clear_outbox)
        self._committed_at = self._ports.clock.monotonic()
        took_s, bytes_ = self._committed_at - began, commit.size
        self._measurements.add("streamlearn_commits_total", 1)
        self._measurements.observe("streamlearn_commit_duration_seconds", took_s)
        self._measurements.set("streamlearn_commit_bytes", bytes_)
        self._measurements.since("streamlearn_commit_age_seconds", self._committed_at)
        fields = {"commit": number, "records": len(records), "messages": len(commit.outbox), "bytes": bytes_}
        log.debug("commit %d", number, extra={"action": "commit", "seconds": round(took_s, 6), **fields})

    def _moved(self) -> list[Record]:
        """Where the source had to move to: places among the records, before what it read there."""
        places = []
        for (role, partition), (to, lost) in self._ports.source.skipped().items():
            places.append(Record(role, partition, to, to, None, None, skipped=True))
            self._measurements.add("streamlearn_lost_total", lost or 0, topic=role)
            many = "an unknown number of" if lost is None else f"at most {lost}"
            fields = {"topic": role, "partition": partition, "offset": to, "lost": lost}
            log.warning(
                "partition %d of the %s topic no longer holds what was to be read next: going on at %d without %s records",
                *(partition, role, to, many),
                extra={"action": "skipped", **fields},
            )
        return places

    def _slow_down(self) -> None:
        """Whether all events are read until the next commit. What the last poll left was taken by the share of before."""
        standing = self.pipeline.standing
        if standing.rules.backlog and not self._polled:
            standing.share = overload.share(self._patiently("log", self._ports.source.lag), standing.rules.backlog)
        self._measurements.set("streamlearn_event_share", standing.share)

    def _publish(self, commit: Commit) -> None:
        attempts = 0

        def publish() -> None:
            nonlocal attempts
            attempts += 1
            # After a failure nobody knows how far it got: what recovers a restart recovers this.
            if attempts > 1:
                last = self._ports.sink.open(self._store_id, commit.number, self._replaces)
                if last == commit.number:
                    return
            self._ports.sink.publish(commit)

        self._patiently("log", publish)

    def _recover(self, saved: Saved) -> None:
        published = self._ports.sink.open(saved.store_id, saved.number, saved.replaces)
        if saved.number == 0 or published == saved.number:
            return
        if published is None and not saved.outbox:
            return
        commit = Commit(saved.number, saved.positions, b"", self.pipeline.ledger.changes, saved.outputs, saved.outbox)
        self._ports.sink.publish(commit)
        self._ports.store.clear_outbox()

    def _warn(self, starved: str) -> None:
        """Once each time that it begins; while there is no model yet it is no more than to be expected."""
        if starved and starved != self._starved:
            level = logging.INFO if self.pipeline.state.published is None else logging.WARNING
            fields = {"outstanding": self.pipeline.standing.asking.selector.outstanding}
            log.log(level, "no event is chosen by its score: %s", starved, extra={"action": "starved", **fields})
        self._starved = starved

    def _say_left_out(self) -> None:
        """Once a start."""
        told = self.pipeline.standing.rules.learner
        left = everybody.left_out(self.pipeline.state, told)
        if left and not self._left_out:
            text = "users.kind %s has no room for %d users, those with fewest labels: how near to all they are is not their own"
            log.warning(text, told.users.kind, left, extra={"action": "users", "users": left})
        self._left_out = self._left_out or left > 0

    def _say_drift(self) -> None:
        """Of alarms that are committed."""
        drift = self.pipeline.standing.drift
        for alarm in drift.news:
            fields = {"signal": alarm.signal, "events": alarm.events, "since": alarm.since}
            log.warning("%s", response.in_words(alarm, drift.told), extra={"action": "drift", **fields})
        drift.news = []

    def _report(self) -> None:
        self._measurements.set("streamlearn_commit_number", self._number)
        self._observer.measure()
        self._warn(starved(self.pipeline))
        self._say_left_out()
        lags = self._patiently("log", self._ports.source.lag)
        ends = {(record.role, record.partition): record.next for record in self._polled}
        begins = {(record.role, record.partition): record.offset for record in reversed(self._polled)}
        self._lag.tell({each: lag + ends.get(each, 0) - begins.get(each, 0) for each, lag in lags.items()})
