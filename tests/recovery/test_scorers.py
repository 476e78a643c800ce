"""A scorer that dies at any single call to the outside: the next one leaves no event out, and what is counted is exact.

Stretches are set so short here that a few events end several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, final

import numpy as np
import pytest

from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.memory import ManualClock
from streamlearn.service import tally
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.patience import Patience
from streamlearn.service.ports import EVENTS, REJECTED, Message, Position, Record
from streamlearn.service.scorer import Scorer
from streamlearn.service.scoring_loop import TELL_S, Ports, ScoringLoop
from streamlearn.service.scoring_ports import Feed, Group, Outlet, Rules
from tests.recovery.faults import Crash, Script, crash, unavailable
from tests.service.test_scorer import published

EACH, A_POLL, SHORT = 23, 7, 10


@final
class World:
    """What outlives the scorers: events in two partitions, models, what was published and where the group has come to."""

    def __init__(self, models: Sequence[ModelSnapshot]) -> None:
        self.models, self.published = models, 0
        self.out, self.committed = list[Message](), {0: 0, 1: 0}
        lines = [json.dumps({"id": f"e{i}", "x": {"amount": i / 9, "country": "NL"}}) for i in range(2 * EACH)]
        lines[5] = "not JSON"
        self.partitions = {0: lines[:EACH], 1: lines[EACH:]}

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(each.value) for each in self.out if each.role != REJECTED]


@final
class MemoryGroup(Group):
    def __init__(self, world: World, script: Script) -> None:
        self._world, self._script, self._at, self._handed = world, script, dict[int, int](), False

    def open(self) -> None:
        self._script.pass_by("before group.open")
        self._at, self._handed = dict(self._world.committed), True

    def poll(self, timeout_s: float) -> list[Record]:
        self._script.pass_by("before group.poll")
        records = []
        for number, at in self._at.items():
            for offset, line in enumerate(self._world.partitions[number][at : at + A_POLL], at):
                records.append(Record(EVENTS, number, offset, offset + 1, None, line.encode()))
                self._at[number] = offset + 1
        return records

    def handed(self) -> bool:
        handed, self._handed = self._handed, False
        return handed

    def commit(self, offsets: Mapping[int, int]) -> None:
        self._script.around("group.commit", lambda: self._world.committed.update(offsets), may_be_done=True)

    def lag(self) -> dict[Position, int]:
        return {(EVENTS, number): EACH - at for number, at in self._at.items()}

    def close(self) -> None: ...


@final
class MemoryFeed(Feed):
    """One model after the other, a turn each."""

    def __init__(self, world: World, script: Script) -> None:
        self._world, self._script = world, script

    def newer(self) -> ModelSnapshot | None:
        self._script.pass_by("before feed.newer")
        self._world.published += 1
        return self._world.models[min(self._world.published, len(self._world.models)) - 1]

    def close(self) -> None: ...


@final
class MemoryOutlet(Outlet):
    def __init__(self, world: World, script: Script) -> None:
        self._world, self._script = world, script

    def open(self) -> None:
        self._script.pass_by("before outlet.open")

    def publish(self, messages: Sequence[Message]) -> None:
        half = len(messages) // 2
        self._script.pass_by("before outlet.publish")
        self._world.out += messages[:half]
        self._script.pass_by("half of outlet.publish")
        self._world.out += messages[half:]
        self._script.pass_by("after outlet.publish")

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "STRETCH", SHORT)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSnapshot]:
    """Two versions, which take every event for a candidate."""
    model, _, _ = published(tmp_path_factory.mktemp("model"), "logistic", "models.for_scorers=true")
    assert model.scoring is not None
    model = replace(model, scoring=replace(model.scoring, threshold=-np.inf))
    return [model, replace(model, version=model.version + 1, commit=model.commit + 1)]


def outcome(models: Sequence[ModelSnapshot], script: Script) -> World:
    """Scorers, one after the other, until one has read everything and told of it."""
    world, clock = World(models), ManualClock(1e9)
    while True:
        health, measurements = Health(), Measurements()
        ports = Ports(MemoryGroup(world, script), MemoryFeed(world, script), MemoryOutlet(world, script), clock)
        patience = Patience(clock, health, measurements, lambda _: False)
        told = (JsonCodec(), lambda found: Scorer(found, found.model, nullcontext), health, measurements, patience)
        loop = ScoringLoop(Rules(seed=0, audit_rate=0.2, sample_rate=0.2), ports, *told)
        try:
            loop.start()
            while loop.turn():
                clock.advance(TELL_S)
            loop.turn()
            return world
        except Crash:
            ...


def check(world: World, moment: str) -> None:
    lines = world.lines()
    candidates = [line for line in lines if "tally" not in line]
    assert {f"e{i}" for i in range(2 * EACH)} - {"e5"} == {each["id"] for each in candidates}, moment
    versions = [each["model_version"] for each in candidates]
    assert versions == sorted(versions), moment
    assert world.models[-1].version == versions[-1], moment
    farthest: dict[tuple[int, int], dict[str, Any]] = {}
    for each in (line["tally"] for line in lines if "tally" in line):
        key = each["partition"], each["begin"]
        farthest[key] = max(farthest.get(key, each), each, key=lambda found: found["through"])
    assert {(number, begin) for number in (0, 1) for begin in (0, 10, 20)} == farthest.keys(), moment
    totals = [sum(each[what] for each in farthest.values()) for what in ("events", "rejected")]
    assert [2 * EACH - 1, 1] == totals, moment
    assert {0: 20, 1: 20} == world.committed, moment


@pytest.mark.parametrize("fault", [crash, unavailable])
def test_a_fault_at_any_moment_leaves_no_event_out_and_none_counted_twice(
    fault: Any, models: list[ModelSnapshot]
) -> None:
    check(outcome(models, crash()), "undisturbed")
    moment, names = 0, set()
    while True:
        script = fault(moment)
        world = outcome(models, script)
        if not script.struck:
            break
        check(world, f"{script.name}, moment {moment}")
        names.add(script.name)
        moment += 1
    assert names >= {"half of outlet.publish", "after outlet.publish", "before group.commit", "after group.commit"}
