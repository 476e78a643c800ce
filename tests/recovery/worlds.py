"""A log, a store and a labeler that outlive the daemons that run on them, each commit's input fixed in advance.

Chunk n is appended before commit n + 1: events, the labels that answer what was asked up to commit n, replacements, labels
that come too early, and records that are rejected. So a run is the same however often it was interrupted.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from streamlearn import assemble
from streamlearn.config import Configuration, Queries, Topics, Users
from streamlearn.core import moments
from streamlearn.edges.control_file import ControlFile
from streamlearn.edges.files import FilesSink, FilesSource
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.learner import columns
from streamlearn.service import tally
from streamlearn.service.daemon import Daemon, Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, REJECTED, Sink, Source, Store
from tests.end_to_end.daemon_process import append, lines
from tests.recovery.faults import FaultySink, FaultySource, FaultyStore, Script

CHUNKS, EVENTS_A_CHUNK = 4, 22
NOW = 1e9
USERS = ("ann", "ben", "", "eve", "ann")
TOPICS = Topics(predictions="predictions")
CONFIGURATION = replace(Configuration(), queries=Queries(budget=0.3), topics=TOPICS)


class World(ABC):
    """What is there without a daemon."""

    def __init__(self) -> None:
        self._fed = 0
        self.pauses = 0
        self.forgets = True  # examples, and with them the fits that have learned them
        self.control: ControlFile | None = None
        self.commands: dict[int, list[tuple[str, int, str]]] = {}  # chunk → what an operator wants then
        self.users = Users()
        self.sifted = False  # whether events come by scorers

    @abstractmethod
    def ports(self) -> tuple[Source, Sink, Store]:
        """New adapters on the same log and store."""

    @abstractmethod
    def append(self, role: str, value: dict[str, Any] | bytes) -> None: ...

    @abstractmethod
    def published(self, role: str) -> list[dict[str, Any]]: ...

    def daemon(self, script: Script) -> Daemon:
        source, sink, store = self.ports()
        ports = Ports(
            FaultySource(source, script),
            FaultySink(sink, script),
            FaultyStore(store, script),
            ManualClock(NOW),
            self.control,
        )
        health, measurements = Health(), Measurements()
        told = replace(CONFIGURATION, topics=replace(TOPICS, candidates="candidates")) if self.sifted else CONFIGURATION
        told = replace(told, users=self.users)
        return assemble.daemon_on(ports, told, health, measurements, self._pause, poll_timeout_s=0.0)

    def _pause(self, seconds: float) -> bool:
        self.pauses += 1
        return False

    def feed(self, chunk: int) -> None:
        """Append this chunk, unless it was appended before."""
        if chunk < self._fed:
            return
        self._fed += 1
        for action, commit, user in self.commands.get(chunk, []):
            assert self.control is not None
            self.control.append(action, commit, 0, user)
        for i in range(chunk * EVENTS_A_CHUNK, (chunk + 1) * EVENTS_A_CHUNK):
            self._event(i)
        asked = [query["id"] for query in self.published(QUERIES)]
        for id in asked[: -len(asked) // 4 or None]:
            if int(id[1:]) // EVENTS_A_CHUNK >= chunk - 2:  # once, and again as a replacement
                self.append(LABELS, {"id": id, "y": truth(int(id[1:])) != (chunk % 3 == 0)})
        self.append(LABELS, {"id": f"e{(chunk + 1) * EVENTS_A_CHUNK + 5}", "y": chunk % 2 == 0})  # before its event
        self.append(LABELS, {"id": f"warm-{chunk}", "y": truth(chunk), "x": features(chunk)})
        self.append(
            LABELS, {"id": f"e{chunk * EVENTS_A_CHUNK // 2}", "y": True}
        )  # of an event that was not asked about
        if chunk == 2 and self.forgets:
            self.append(LABELS, {"id": "warm-0", "y": None})  # the first of all examples is forgotten
            self.append(LABELS, {"id": asked[0], "y": None})
        self.append(EVENTS, b"not JSON")
        self._event(0)
        if self.sifted:
            self._tally((chunk + 1) * EVENTS_A_CHUNK)

    def _event(self, i: int) -> None:
        """Two of three are candidates, one of five an audit."""
        came = {"partition": 0, "offset": i, "events": i + 1, "reason": "audit" if i % 5 == 0 else "score"}
        if not self.sifted or i % 3 or i % 5 == 0:
            user = {"user": USERS[i % len(USERS)]} if self.users.kind != "none" else {}
            self.append(EVENTS, {"id": f"e{i}", "x": features(i)} | (came if self.sifted else user))

    def _tally(self, end: int) -> None:
        """Of all so far, told twice."""
        known, encoded = columns.encode(columns.State(), [features(i) for i in range(end)])
        moments_ = moments.step(moments.init(len(known.columns)), encoded.rows)
        for _ in range(2):
            self.append(EVENTS, tally.encode(tally.Tally(0, 0, end, end, 0, known, moments_)))


@final
class MemoryWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self._log, self._store = MemoryLog(), MemoryStore()

    def ports(self) -> tuple[Source, Sink, Store]:
        return MemorySource(self._log, waits=False), MemorySink(self._log, TOPICS), self._store

    def append(self, role: str, value: dict[str, Any] | bytes) -> None:
        self._log.append(role, value if isinstance(value, bytes) else json.dumps(value).encode())

    def published(self, role: str) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self._log.values(role)]


@final
class FilesWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.control = ControlFile(folder / "store.db")

    def ports(self) -> tuple[Source, Sink, Store]:
        store = SqliteStore(self._folder / "store.db")
        return FilesSource(self._folder, TOPICS), FilesSink(self._folder, TOPICS), store

    def append(self, role: str, value: dict[str, Any] | bytes) -> None:
        append(self._folder / f"{role}.jsonl", value)

    def published(self, role: str) -> list[dict[str, Any]]:
        return lines(self._folder / f"{role}.jsonl")


Make = Callable[[], World]


def features(i: int) -> dict[str, Any]:
    chance = random.Random(i)
    x = {"a": chance.gauss(0, 1), "b": chance.gauss(0, 1), "kind": chance.choice(["red", "green"])}
    return x | ({"late": chance.random()} if i > 40 else {})


def truth(i: int) -> bool:
    x = features(i)
    return bool(x["a"] - x["b"] + (x["kind"] == "red") > 0.5)


OUTPUTS = (QUERIES, "predictions", REJECTED)
