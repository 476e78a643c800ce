"""kill −9 of `streamlearn run` on the embedded log, at random moments, with events and labels flowing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamlearn.service import restore
from tests.end_to_end.daemon_process import DaemonProcess, inspect, running, until
from tests.end_to_end.kills import all_answered, restored, thirty_kills
from tests.end_to_end.traffic import FilesLog, Traffic

STORE = "streamlearn-data/streamlearn.db"


def kills(folder: Path, seed: int) -> None:
    log = FilesLog(folder / "streamlearn-data", seed)
    thirty_kills(folder, STORE, log, lambda: DaemonProcess(folder), seed)


def test_thirty_kills_lose_no_label_and_repeat_no_query(tmp_path: Path) -> None:
    kills(tmp_path, seed=1)


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
