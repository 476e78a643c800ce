"""A model that takes several commits, and a daemon that dies between them: the topic always has a whole one, or none yet.

What no message holds is told by two numbers of `service/model_messages.py`, which are set so low here that a small model is.
"""

from __future__ import annotations

import json
from typing import final

import numpy as np
import pytest

from streamlearn import assemble, settings
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.service import model_messages
from streamlearn.service.daemon import Daemon, Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_messages import CHUNKS_A_COMMIT, Heard
from streamlearn.service.ports import LABELS, MODELS, Message
from tests.recovery.faults import Crash, FaultySink, FaultySource, FaultyStore, Script, crash

KEYS = ("model.loss=squared", "topics.models=models", "models.every_labels=1", "name=fraud")
TOLD = settings.read(None, {}, KEYS)


@pytest.fixture(autouse=True)
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_messages, "MODEL_BYTES", 500)
    monkeypatch.setattr(model_messages, "CHUNK_BYTES", 150)


@final
class World:
    """What outlives the daemons."""

    def __init__(self) -> None:
        self.log, self.store = MemoryLog(), MemoryStore()

    def daemon(self, script: Script, *more: str) -> Daemon:
        source, sink = MemorySource(self.log, waits=False), MemorySink(self.log, TOLD.topics)
        ports = Ports(
            FaultySource(source, script), FaultySink(sink, script), FaultyStore(self.store, script), ManualClock(1e9)
        )
        told = settings.read(None, {}, (*KEYS, *more))
        return assemble.daemon_on(ports, told, Health(), Measurements(), lambda _: False, poll_timeout_s=0.0)

    def label(self, i: int) -> None:
        self.log.append(
            LABELS, json.dumps({"id": str(i), "x": [(i + j) % 7 for j in range(10)], "y": float(i)}).encode()
        )

    def newest(self) -> int:
        """The version of the model that whoever reads to the end has; 0: none."""
        found = heard(self.log.outputs[MODELS])
        if not found.names:
            return 0
        model = found.newest("fraud")
        assert model is not None
        assert np.isfinite(model.theta).all()
        return model.version


def heard(messages: list[Message]) -> Heard:
    found = Heard()
    for message in messages:
        assert message.key is not None
        found.take(message.key.decode(), message.value)
    return found


def manifests(world: World) -> list[int]:
    return [json.loads(each.value)["model_version"] for each in world.log.outputs[MODELS] if each.key == b"fraud"]


def two_models(script: Script) -> tuple[World, int]:
    """A model, another label, and the model after that; over how many commits."""
    world, labels = World(), 0
    while True:
        daemon = world.daemon(script)
        try:
            daemon.start()
            while world.newest() < 2:
                if labels == world.newest():
                    world.label(labels)
                    labels += 1
                daemon.turn()
            daemon.drain()
            return world, daemon.number
        except Crash:
            assert world.newest() in (labels - 1, labels)
        finally:
            daemon.close()


def test_undisturbed_each_of_two_takes_three_commits_and_the_second_leaves_the_first_alone() -> None:
    world, commits = two_models(crash())
    keys = [each.key.decode() for each in world.log.outputs[MODELS] if each.key]
    half = keys.index("fraud") + 1
    assert 2 * CHUNKS_A_COMMIT < half <= 3 * CHUNKS_A_COMMIT
    assert [f"fraud/1/{i}" for i in range(half - 1)] == keys[: half - 1]
    assert [f"fraud/0/{i}" for i in range(len(keys) - half - 1)] == keys[half:-1]
    assert commits == 2 * 3
    assert [1, 2] == manifests(world)


def test_killed_at_any_moment_it_publishes_each_once_and_whole() -> None:
    names, moment = set(), 0
    while True:
        script = crash(moment)
        world, _ = two_models(script)
        if not script.struck:
            break
        assert [1, 2] == manifests(world), (moment, script.name)
        names.add(script.name)
        moment += 1
    assert names >= {"before store.commit", "after store.commit", "after half of sink.publish", "after sink.publish"}


def test_what_is_learned_meanwhile_is_published_after_it_and_at_the_end_at_once() -> None:
    world = World()
    daemon = world.daemon(crash())
    daemon.start()
    for i in range(3):  # a commit each, as many as the first model takes
        world.label(i)
        daemon.turn()
    assert [1] == manifests(world)
    world.label(3)
    daemon.turn()
    world.label(4)
    daemon.turn()
    assert [1] == manifests(world)
    daemon.drain()
    daemon.close()
    assert [1, 5] == manifests(world)
    assert 5 == world.newest()


def test_steps_on_a_quiet_stream_wait_until_it_is_there() -> None:
    world = World()
    daemon = world.daemon(crash(), "training.solver=sgdf")
    daemon.start()
    for i in range(8):
        world.label(i)
    daemon.turn()
    learned = daemon.pipeline.state
    assert [] == manifests(world)
    while not manifests(world):
        daemon.turn()
        assert learned is daemon.pipeline.state
    daemon.turn()
    assert learned is not daemon.pipeline.state
    daemon.close()


def test_a_model_that_is_forgotten_while_it_is_under_way_is_not_published() -> None:
    world = World()
    daemon = world.daemon(crash())
    daemon.start()
    world.label(0)
    daemon.turn()
    world.log.append(LABELS, b'{"id":"0","y":null}')
    while daemon.turn():
        pass
    daemon.drain()
    daemon.close()
    assert [] == manifests(world)
