"""kill −9 of `streamlearn run` on the embedded log, at random moments, with events and labels flowing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from streamlearn import assemble, settings
from streamlearn.config import Configuration
from streamlearn.edges.memory import MemoryStore
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.replay import finished, replay
from tests.end_to_end.daemon_process import DaemonProcess, append, inspect, running, until
from tests.end_to_end.kills import KILLS, SOME_KILLS, all_answered, restored, thirty_kills, what_is_restored
from tests.end_to_end.traffic import FilesLog, Traffic

STORE = "streamlearn-data/streamlearn.db"


def kills(folder: Path, seed: int, count: int = KILLS) -> None:
    log = FilesLog(folder / "streamlearn-data", seed)
    thirty_kills(folder, STORE, log, lambda: DaemonProcess(folder), seed, count)


def test_many_kills_lose_no_label_and_repeat_no_query(tmp_path: Path) -> None:
    kills(tmp_path, 1, SOME_KILLS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_thirty_kills_lose_no_label_and_repeat_no_query_over_and_over(seed: int, tmp_path: Path) -> None:
    kills(tmp_path, seed)


def test_a_daemon_that_was_killed_starts_with_what_it_had_committed(tmp_path: Path) -> None:
    log = FilesLog(tmp_path / "streamlearn-data", seed=3)
    traffic = Traffic(log, seed=3)
    traffic.start()
    with running(tmp_path) as daemon:
        until(lambda: traffic.answers() > 40, "some answers")
        traffic.no_more_events()
        until(lambda: all_answered(daemon, traffic), "all answers")
        traffic.stop()
        until(lambda: all_answered(daemon, traffic), "the last label")
        daemon.kill()
    before = inspect(tmp_path)
    _, pipeline = restored(tmp_path / STORE)
    with running(tmp_path) as daemon:
        told = daemon.metrics()
        assert told["streamlearn_commit_number"] == before["commit"]
        assert told["streamlearn_regularity"] == before["regularity"]
        assert told["streamlearn_theta_norm"] == np.linalg.norm(before["theta"])
        assert daemon.drain() == 0
    after = inspect(tmp_path)
    assert after == before
    assert after["digest"] == restore.digest(pipeline)


NETWORK = ("model.kind=mlp", "model.hidden=4", "training.steps_per_label=1", "queries.expire_s=1e9")
OF_USERS = ("users.kind=deviation", "users.queries_per_day=2", "labels.wait=100000", "queries.expire_s=1e9")
AT_ONCE = ("users.kind=hierarchy", *OF_USERS[1:])
LABELS_COUNT = 60


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        (NETWORK, 6000),
        (OF_USERS, 30_000),
        pytest.param(AT_ONCE, 30_000, marks=pytest.mark.soak),
        pytest.param((*NETWORK, *OF_USERS), 6000, marks=pytest.mark.soak),
    ],
    ids=["network", "users", "users at once", "users of a network"],
)
def test_a_daemon_that_is_killed_ends_as_if_it_never_had_been(
    keys: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    """All is there from the beginning: a quiet stream would be used to settle, whenever that was."""
    chance, data = random.Random(5), tmp_path / "streamlearn-data"
    events = [{"id": f"e{i}", "x": [chance.gauss(0, 1) for _ in range(3)], "user": i % 40} for i in range(count)]
    labeled = events[:: count // LABELS_COUNT]
    append(data / "events.jsonl", *events)
    append(data / "labels.jsonl", *({"id": each["id"], "y": each["x"][0] > each["x"][1]} for each in labeled))
    told = settings.read(None, {}, (f"log.path={data}", *keys))
    arguments = [part for each in keys for part in ("--set", each)]
    commits = [0]
    for _ in range(3):
        with running(tmp_path, *arguments) as daemon:
            until(lambda: daemon.metrics()["streamlearn_commit_number"] > commits[-1], "another commit")
            daemon.kill()
        commits.append(what_is_restored(tmp_path, STORE, told, with_command=False))
    assert len(set(commits)) == len(commits)
    assert restored(tmp_path / STORE, told)[1].ledger.count < count, "every kill came before the end"
    whole = uninterrupted(told)

    def settled() -> bool:
        return restore.digest(whole) == restore.digest(restored(tmp_path / STORE, told)[1])

    with running(tmp_path, *arguments) as daemon:
        until(settled, "the same state")
        assert daemon.drain() == 0
    expected, (_, pipeline) = whole.state.published, restored(tmp_path / STORE, told)
    actual = pipeline.state.published
    assert expected is not None
    assert actual is not None
    assert expected.theta.tobytes() == actual.theta.tobytes()
    assert expected.log_tangent.tobytes() == actual.log_tangent.tobytes()
    assert restore.digest(whole) == restore.digest(pipeline)


def uninterrupted(told: Configuration) -> Pipeline:
    """What the daemon's pipeline comes to on the log when it is read once, and then nothing more comes."""
    store = MemoryStore()
    pipeline, source = assemble.pipeline(told, store.recall, Measurements()), assemble.source(told)
    replay(pipeline, store, finished(source), 1000, lambda done: None)
    source.close()
    return pipeline
