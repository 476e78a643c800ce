"""A crash, or a fault of the world, at every single call to the outside: the run ends as if nothing had happened."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest

from streamlearn.config import Users
from streamlearn.edges.control_file import ControlFile
from streamlearn.service import restore
from tests.recovery.faults import Crash, Script, crash, unavailable
from tests.recovery.worlds import CHUNKS, OUTPUTS, FilesWorld, MemoryWorld, World


@final
@dataclass(frozen=True)
class Outcome:
    """What a run has come to. crashes, pauses: what it took."""

    digest: str
    published: list[list[dict[str, Any]]]
    commits: int
    crashes: int
    pauses: int


@contextmanager
def memory_world() -> Iterator[World]:
    yield MemoryWorld()


@contextmanager
def files_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield FilesWorld(Path(folder))


@contextmanager
def sifted_world() -> Iterator[World]:
    """Events come by scorers: candidates, and tallies of all."""
    with memory_world() as world:
        world.sifted = True
        yield world


worlds = pytest.mark.parametrize("make", [memory_world, files_world])


@contextmanager
def world_of_users() -> Iterator[World]:
    """Each has a model of their own, nobody is asked often, and one of them is forgotten."""
    with memory_world() as world, tempfile.TemporaryDirectory() as folder:
        world.control = ControlFile(Path(folder) / "store.db")
        world.users = Users("personality", cache=2, queries_per_day=7)
        world.commands = {3: [("forget-user", 0, "ann")]}
        yield world


def outcome(world: World, script: Script) -> Outcome:
    """Daemons, one after the other, until one has dealt with everything and drained."""
    crashes = 0
    while True:
        daemon = world.daemon(script)
        try:
            daemon.start()
            while daemon.number < CHUNKS:
                world.feed(daemon.number)
                daemon.turn()
            daemon.drain()
            digest = restore.digest(daemon.pipeline)
            return Outcome(digest, [world.published(role) for role in OUTPUTS], daemon.number, crashes, world.pauses)
        except Crash:
            crashes += 1
        finally:
            daemon.close()


def every_moment(make: Callable[[], Any], fault: Callable[[int], Script]) -> Iterator[tuple[str, Outcome]]:
    moment = 0
    while True:
        script = fault(moment)
        with make() as world:
            found = outcome(world, script)
        if not script.struck:
            return
        yield f"{script.name}, moment {moment}", found
        moment += 1


def undisturbed(make: Callable[[], Any]) -> Outcome:
    with make() as world:
        found = outcome(world, crash())
    ids = [query["id"] for query in found.published[0]]
    assert len(ids) == len(set(ids)) > 20
    assert found.commits >= CHUNKS
    return found


@pytest.mark.parametrize("make", [memory_world, files_world, sifted_world, world_of_users])
def test_a_crash_at_any_moment_changes_nothing(make: Callable[[], Any]) -> None:
    expected, moments = undisturbed(make), set()
    for moment, found in every_moment(make, crash):
        assert found.crashes == 1, moment
        assert found.published == expected.published, moment
        assert (found.digest, found.commits) == (expected.digest, expected.commits), moment
        moments.add(moment.partition(",")[0])
    commit_order = {"before store.commit", "after store.commit", "before sink.publish", "after half of sink.publish"}
    assert moments >= commit_order | {"after sink.publish", "before sink.ends", "before store.recall"}


@worlds
def test_a_second_crash_while_recovering_from_the_first_changes_nothing(make: Callable[[], Any]) -> None:
    expected = undisturbed(make)
    first = next(
        i for i, (moment, _) in enumerate(every_moment(make, crash)) if moment.startswith("after store.commit")
    )
    moments = set()
    for moment, found in every_moment(make, lambda moment: crash(first, first + 1 + moment)):
        assert found.crashes == 2, moment
        assert found.published == expected.published, moment
        assert (found.digest, found.commits) == (expected.digest, expected.commits), moment
        moments.add(moment.partition(",")[0])
        if "clear_outbox" in moment:
            break
    assert "before store.clear_outbox" in moments


@worlds
def test_a_fault_of_the_world_at_any_moment_is_outlasted(make: Callable[[], Any]) -> None:
    expected = undisturbed(make)
    for moment, found in every_moment(make, unavailable):
        assert (found.crashes, found.pauses) == (0, 1), moment
        assert found.published == expected.published, moment
        assert (found.digest, found.commits) == (expected.digest, expected.commits), moment


@contextmanager
def commanded_world() -> Iterator[World]:
    with files_world() as world:
        world.forgets = False
        world.commands = {
            1: [("pause-asking", 0, "")],
            2: [("resume-asking", 0, ""), ("rollback", 2, "")],
            3: [("pause-learning", 0, "")],
        }
        yield world


def test_a_command_is_obeyed_once_whenever_the_daemon_crashes(caplog: pytest.LogCaptureFixture) -> None:
    """To go back once more, after the next labels, would be another model."""
    with commanded_world() as world, caplog.at_level(logging.INFO, "streamlearn"):
        expected = outcome(world, crash())
    assert any("rollback: the model is that of commit 2" in message for message in caplog.messages)
    for moment, found in every_moment(commanded_world, crash):
        assert found.published == expected.published, moment
        assert (found.digest, found.commits) == (expected.digest, expected.commits), moment
