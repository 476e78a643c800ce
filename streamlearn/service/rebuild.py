"""Rebuild: a store from what the log still holds, where the one of before is lost, damaged or of another problem.

`labels` is read from its beginning, and learned again. `queries` says what was asked about, with its features: those ids are
asked about no more, and their labels find them though the event is gone. What `events` still holds is counted and scored as
before, and none of it is asked about, up to the positions that the log says were dealt with; without those, up to its end.

Each query tells how many labels had been learned when it was asked (`model_version`), so labels and events come in the order
of before, but for the events between two queries. A label that answers a query never comes before it. The budget is taken to
be as far as the queries have spent it: nothing is caught up. What the log no longer holds is not in the new store.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from streamlearn.service import fits, restore
from streamlearn.service.control import take_over
from streamlearn.service.patience import Patience, Stopped
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    Asked,
    Clock,
    Command,
    Commit,
    Event,
    Position,
    Record,
    Sink,
    Source,
    Store,
)

POLL_S = 0.25
LABELS_AT_ONCE = 50
SAY_EVERY_S = 2.0
QUIET_S = 12.0  # after which what is left is no record: a line without its end, or an open transaction

log = logging.getLogger("streamlearn")


@final
@dataclass(frozen=True)
class Ports:
    """history: the labels, and in the place of events the queries; source: labels and events; store: a new one."""

    history: Source
    source: Source
    sink: Sink
    store: Store
    clock: Clock


@final
class Rebuild:
    """`run` once; then the store holds what the log told, and the daemon goes on from it."""

    def __init__(self, pipeline: Pipeline, ports: Ports, patience: Patience) -> None:
        self._pipeline, self._ports, self._patiently = pipeline, ports, patience
        self._codec = pipeline.standing.codec
        self._asked: list[Asked] = []
        self._next = 0  # of `_asked`: how many events are counted that were asked about
        self._place: dict[str, int] = {}  # id → place among `_asked`
        self._labels: deque[Record] = deque()  # read, and not learned yet
        self._positions: dict[Position, int] = {}
        self._beyond = set[Position]()  # partitions that were read to where events were dealt with before
        self._number = 0
        self._said_at = ports.clock.monotonic()

    def run(self, until: dict[Position, int], commands: list[Command]) -> None:
        """until: the positions up to which events were dealt with before (partitions without: up to their end).

        commands: those that a daemon was given before.
        """
        store = self._ports.store
        self._pipeline.standing.asking.paused = True
        self._read(self._ports.history, {}, self._take_history, {})
        self._order()
        labels = {position: next for position, next in self._positions.items() if position[0] == LABELS}
        self._positions = dict(labels)
        self._read(self._ports.source, labels, lambda records: self._take(records, until), until)
        self._ask_up_to(len(self._asked) - 1)
        while self._labels:
            self._step([self._labels.popleft() for _ in range(min(LABELS_AT_ONCE, len(self._labels)))])
            self._say()
        self._pipeline.standing.asking.paused = False
        self._pipeline.standing.asking.spent()
        self._commit()
        take_over(self._pipeline.standing, commands, lambda user: self._patiently("store", lambda: store.of_user(user)))
        self._commit()
        self._say(last=True)

    def _read(
        self,
        source: Source,
        positions: dict[Position, int],
        take: Callable[[list[Record]], None],
        until: dict[Position, int],
    ) -> None:
        """Read until every partition was at its end once, or where it should end."""
        self._patiently("log", lambda: source.open(positions))
        done, heard = set[Position](), self._ports.clock.monotonic()
        while True:
            records = self._patiently("log", lambda: source.poll(POLL_S))
            take(records)
            lags = self._patiently("log", source.lag)
            done |= {position for position, lag in lags.items() if lag == 0}
            done |= {position for position, end in until.items() if self._positions.get(position, -1) >= end}
            now = self._ports.clock.monotonic()
            heard = now if records else heard
            if done >= lags.keys() or now - heard > QUIET_S:
                break
            self._say()
        source.close()

    def _take_history(self, records: list[Record]) -> None:
        for record in records:
            self._positions[record.role, record.partition] = record.next
            if record.role == LABELS:
                self._labels.extend(self._apart(record))
                continue
            query = self._codec.asked(record)
            if isinstance(query, str):
                log.warning("a query cannot be read: %s", query, extra={"action": "rebuild"})
            else:
                self._asked.append(query)

    def _order(self) -> None:
        """As they were asked, whichever partition they are in."""
        self._asked.sort(key=lambda query: (query.time, query.model_version))
        for place, query in enumerate(self._asked):
            self._place.setdefault(query.id, place)

    def _take(self, records: list[Record], until: dict[Position, int]) -> None:
        run: list[Record] = []  # events that were not asked about
        for record in records:
            position = (record.role, record.partition)
            if record.role == EVENTS and position in until and record.offset >= until[position]:
                if position not in self._beyond:  # the daemon goes on here, and may ask about it
                    self._positions[position] = record.offset
                self._beyond.add(position)
                continue
            self._positions[position] = record.next
            if record.role == LABELS:
                self._labels.extend(self._apart(record))
                continue
            for single in self._apart(record):
                event = self._codec.events(single)[0]
                place = self._place.get(event.id) if isinstance(event, Event) else None
                if place is None:
                    run.append(single)
                else:
                    self._step(run)
                    run = []
                    self._ask_up_to(place)
                    if isinstance(event, Event) and event.passed:
                        self._pipeline.standing.census.passed(event.passed)
        self._step(run)
        if records:
            self._commit()

    def _apart(self, record: Record) -> list[Record]:
        """What a record holds, one by one."""
        found = self._codec.events(record) if record.role == EVENTS else self._codec.labels(record)
        return [self._codec.one(record, i) for i in range(len(found))]

    def _ask_up_to(self, place: int) -> None:
        while self._next <= place:
            query = self._asked[self._next]
            while self._labels and self._pipeline.standing.version < query.model_version:
                if not self._learn_one():
                    break
            self._pipeline.asked(query)
            self._next += 1
            self._say()

    def _learn_one(self) -> bool:
        """Learn the next label, unless it answers a query that comes later."""
        label = self._codec.labels(self._labels[0])[0]
        if not isinstance(label, str) and self._place.get(label.id, -1) >= self._next:
            return False
        self._step([self._labels.popleft()])
        return True

    def _step(self, records: list[Record]) -> None:
        if records:
            self._pipeline.step(records, self._pipeline.standing.clock)

    def _commit(self) -> None:
        """What was rejected was published before, so the outbox is dropped."""
        self._pipeline.take_outbox()
        self._number += 1
        changes, standing = self._pipeline.ledger.take_changes(), self._pipeline.standing
        standing.fits = fits.note(standing.fits, standing.state, self._number, self._ports.clock.now(), changes)
        commit = Commit(
            number=self._number,
            positions=dict(self._positions),
            snapshot=restore.take(self._pipeline),
            changes=changes,
            outputs=self._patiently("log", self._ports.sink.ends),
            outbox=(),
        )
        self._patiently("store", lambda: self._ports.store.commit(commit))

    def _say(self, last: bool = False) -> None:
        now = self._ports.clock.monotonic()
        if not last and now - self._said_at < SAY_EVERY_S:
            return
        self._said_at = now
        if self._patiently.over():
            raise Stopped
        pipeline, text = self._pipeline, "rebuilt" if last else "rebuilding"
        done = {
            "events": pipeline.ledger.count,
            "queries": self._next,
            "queries_all": len(self._asked),
            "labels": pipeline.standing.version,
            "labels_left": len(self._labels),
        }
        told = "%s from the log: %d events, %d of %d queries, %d labels learned, %d to go"
        log.info(told, text, *done.values(), extra={"action": "rebuild", **done})
