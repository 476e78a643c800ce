"""One trainer and its scorers in memory: events in partitions, scorers that share them, and what they pass on, in one log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from streamlearn import assemble, loading
from streamlearn.config import Configuration, Models, Queries, Topics
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.service import daemon, model_snapshot
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.patience import Patience
from streamlearn.service.ports import CANDIDATES, EVENTS, LABELS, QUERIES, Message, Position, Record
from streamlearn.service.scoring_loop import TELL_S, Ports, ScoringLoop
from streamlearn.service.scoring_ports import Feed, Group, Outlet, Rules

TOPICS = Topics(candidates="candidates", models="models")
CONFIGURATION = replace(Configuration(), topics=TOPICS, models=Models(every_labels=5, for_scorers=True))


@final
class Sharing:
    """What is there beside scorers: events by partition, the trainer, and where the group has come to."""

    def __init__(self, queries: Queries, partitions: int, configuration: Configuration = CONFIGURATION) -> None:
        self.told = replace(configuration, queries=queries)
        self.clock, self.log, self._store = ManualClock(1e9), MemoryLog(), MemoryStore()
        self.partitions: list[list[bytes]] = [[] for _ in range(partitions)]
        self.committed = dict.fromkeys(range(partitions), 0)
        self.model: ModelSnapshot | None = None
        source, sink = MemorySource(self.log, waits=False), MemorySink(self.log, TOPICS)
        ports = daemon.Ports(source, sink, self._store, self.clock)
        self.trainer = assemble.daemon_on(ports, self.told, Health(), Measurements(), lambda _: False, 0.0)
        self.trainer.start()

    def learn(self, labels: Iterable[Mapping[str, Any]] = ()) -> None:
        """All that is there."""
        for each in labels:
            self.log.append(LABELS, json.dumps(each).encode())
        while self.trainer.turn():
            ...
        standing = self.trainer.pipeline.standing
        if standing.state.published is not None:
            self.model = model_snapshot.of(standing, self.trainer.number, self.clock.now())

    def happen(self, events: Sequence[Mapping[str, Any]]) -> None:
        for each in events:
            self.partitions[each["at"] % len(self.partitions)].append(json.dumps(each).encode())

    def scorer(self, partitions: Sequence[int]) -> ScoringLoop:
        """One that has these, for as long as it lasts."""
        health, measurements = Health(), Measurements()
        ports = Ports(_Group(self, partitions), _Feed(self), _Outlet(self.log), self.clock)
        budget = assemble.budget(self.told)
        patience = Patience(self.clock, health, measurements, lambda _: False)
        rules = Rules(self.told.queries.seed, budget.audit_rate, budget.sample_rate)
        loop = ScoringLoop(rules, ports, JsonCodec(), loading.scorer, health, measurements, patience)
        loop.start()
        return loop

    def score(self, scorers: Sequence[ScoringLoop]) -> None:
        """All that there is, and tell of it."""
        for each in scorers:
            while each.turn():
                ...
        self.clock.advance(TELL_S)
        for each in scorers:
            each.turn()

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self.log.values(QUERIES)]

    @property
    def count(self) -> int:
        return sum(map(len, self.partitions))


@final
class _Group(Group):
    def __init__(self, shared: Sharing, partitions: Sequence[int]) -> None:
        self._shared = shared
        self._at = {number: shared.committed[number] for number in partitions}
        self._handed = True

    def open(self) -> None: ...

    def poll(self, timeout_s: float) -> list[Record]:
        records = []
        for number, at in self._at.items():
            for offset, line in enumerate(self._shared.partitions[number][at : at + 50], at):
                records.append(Record(EVENTS, number, offset, offset + 1, None, line))
                self._at[number] = offset + 1
        return records

    def handed(self) -> bool:
        handed, self._handed = self._handed, False
        return handed

    def commit(self, offsets: Mapping[int, int]) -> None:
        self._shared.committed.update(offsets)

    def lag(self) -> dict[Position, int]:
        return {}

    def close(self) -> None: ...


@final
class _Feed(Feed):
    def __init__(self, shared: Sharing) -> None:
        self._shared = shared
        self._told: ModelSnapshot | None = None

    def newer(self) -> ModelSnapshot | None:
        found, before = self._shared.model, self._told
        self._told = found
        return found if found is not before else None

    def close(self) -> None: ...


@final
class _Outlet(Outlet):
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def open(self) -> None: ...

    def publish(self, messages: Sequence[Message]) -> None:
        for each in messages:
            if each.role == CANDIDATES:
                self._log.append(EVENTS, each.value, each.key)

    def close(self) -> None: ...
