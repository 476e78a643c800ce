"""Thirty times kill −9, and the promises that have to hold each time and at the end; the same on every log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from streamlearn.learner import inverse
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import Saved
from tests.end_to_end.daemon_process import DaemonProcess, inspect, until
from tests.end_to_end.traffic import LAST, Log, Traffic

KILLS, SOME_KILLS = 30, 12  # the soak has thirty, for every client and many seeds
LINEAR = Configuration()
IN_FLOW_SHARE = 0.7  # of kills, counted from when the daemon is ready; the others from when it is started ...
AFTER_MOST_S = 1.0  # ... until this much later
INSPECT_EVERY = 6  # kills; with the command line, which takes a while to start


def thirty_kills(
    folder: Path, store: str, log: Log, start: Callable[[], DaemonProcess], seed: int, kills: int = KILLS
) -> Traffic:
    """Kill at random moments while traffic flows, see that nothing was lost or doubled; gives back the traffic."""
    chance, traffic, commits = random.Random(seed), Traffic(log, seed), [0]
    traffic.start()
    for kill in range(kills):
        daemon = start()
        if chance.random() < IN_FLOW_SHARE:
            daemon.wait_ready()
        deadline = time.monotonic() + chance.uniform(0.0, AFTER_MOST_S)
        while time.monotonic() < deadline:
            assert daemon.running(), f"the daemon has ended by itself: {daemon.said}"
            time.sleep(max(0.0, min(0.01, deadline - time.monotonic())))
        daemon.kill()
        if (folder / store).exists():
            commits.append(what_is_restored(folder, store, LINEAR, with_command=kill % INSPECT_EVERY == 0))
    assert commits == sorted(commits)
    assert len(set(commits)) > kills / 3, f"too few kills came between commits: {commits}"
    all_is_whole_at_the_end(folder, store, log, start, traffic, LINEAR)
    return traffic


def a_kill_after_each_commit(
    folder: Path, store: str, log: Log, start: Callable[[], DaemonProcess], told: Configuration, kills: int
) -> None:
    """For a daemon that takes too long to start and to commit for kills at any moment."""
    traffic, commits = Traffic(log, seed=1), [0]
    traffic.start()
    for kill in range(kills):
        daemon = start()
        daemon.wait_ready()
        until(lambda daemon=daemon: daemon.metrics().get("streamlearn_commit_number", 0) > commits[-1], "a commit")
        daemon.kill()
        commits.append(what_is_restored(folder, store, told, with_command=kill == 0))
    assert len(set(commits)) == len(commits)
    all_is_whole_at_the_end(folder, store, log, start, traffic, told)


def all_is_whole_at_the_end(
    folder: Path, store: str, log: Log, start: Callable[[], DaemonProcess], traffic: Traffic, told: Configuration
) -> None:
    """One more daemon learns what is left; then nothing was lost or doubled."""
    daemon = start()
    try:
        traffic.no_more_events()
        until(lambda: all_answered(daemon, traffic), f"the last label; {daemon.said[-500:]}")
        traffic.stop()
        until(lambda: all_answered(daemon, traffic), f"the last label; {daemon.said[-500:]}")
        assert daemon.drain() == 0
    finally:
        daemon.kill()
    nothing_lost_or_doubled(folder, store, log, traffic, told)


def all_answered(daemon: DaemonProcess, traffic: Traffic) -> bool:
    """Whether every label that was given has been learned, and nothing is asked any more."""
    if not daemon.caught_up():
        return False
    values = daemon.metrics()
    learned, outstanding = values['streamlearn_examples{role="train"}'], values["streamlearn_queries_outstanding"]
    return learned == len(traffic.given) and outstanding == 0


def what_is_restored(folder: Path, store: str, told_before: Configuration, with_command: bool) -> int:
    """The state that a daemon starts with is, bit for bit, the one that was committed; the number of that commit."""
    try:
        saved, pipeline = restored(folder / store, told_before)
    except ConfigurationError:
        return 0  # killed before there was anything in it
    if saved.number == 0:
        return 0
    committed = restore.Snapshot
    stored = restore.snapshot.unpack(committed, saved.snapshot).learner.published
    fit = pipeline.state.published
    assert (stored is None) == (fit is None)
    if fit is not None:
        assert fit.theta.tobytes() == stored.theta.tobytes()
        assert fit.log_tangent.tobytes() == stored.log_tangent.tobytes()
        formed = inverse.formed(pipeline.state, pipeline.standing.rules.learner)
        covariance = fit.covariance if formed is None else formed.covariance
        assert covariance is not None
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert restore.take(pipeline) == saved.snapshot
    if with_command:
        told = inspect(folder, store)
        assert told["digest"] == restore.digest(pipeline)
        assert told["commit"] == saved.number
        assert told["theta"] == (None if fit is None else fit.theta.tolist())
    return saved.number


def restored(path: Path, told: Configuration = LINEAR) -> tuple[Saved, Pipeline]:
    """What a store holds, and the pipeline that a daemon makes of it before it reads on."""
    store = SqliteStore(path, read_only=True)
    saved = store.load()
    pipeline = assemble.pipeline(told, store.recall, Measurements())
    stored = restore.stored(saved)
    if stored is not None:  # whichever log it is of, and whoever it is
        pipeline.standing.rules = replace(pipeline.standing.rules, log=stored.log, name=stored.name)
    restore.put_back(pipeline, saved)
    store.close()
    return saved, pipeline


def nothing_lost_or_doubled(
    folder: Path, store: str, log: Log, traffic: Traffic, configuration: Configuration = LINEAR
) -> None:
    told = inspect(folder, store)
    saved, _ = restored(folder / store, configuration)
    learned = {example.id: msgspec.json.decode(example.y) for example in saved.examples}
    assert learned == traffic.given
    assert len(saved.examples) == len(traffic.given)
    assert told["labels"] == told["train"] == len(traffic.given)
    assert sorted(told["train_ids"]) == sorted(traffic.given)
    assert told["events"] == len(traffic.events)
    assert (told["pending"], told["waiting"], told["rejected"]) == ([], [], 0)
    assert log.all("rejected") == []
    asked = [query["id"] for query in log.all("queries")]
    assert len(asked) == len(set(asked)) == told["queries"]
    assert set(asked) - {LAST} == traffic.given.keys() & traffic.events.keys() - {LAST}
