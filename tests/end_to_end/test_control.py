"""Commands from a shell to a daemon of its own, which is killed as they come."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.end_to_end.daemon_process import DaemonProcess, append, command, inspect, running, until
from tests.end_to_end.kills import all_answered, nothing_lost_or_doubled
from tests.end_to_end.test_run import event, queries
from tests.end_to_end.traffic import FilesLog, Traffic

STORE = "streamlearn-data/streamlearn.db"
PAUSED = 'streamlearn_paused{what="asking"}'


def told(folder: Path, *words: str) -> str:
    done = command(folder, "control", *words)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_a_running_daemon_stops_asking_stays_ready_and_goes_on_without_a_burst(tmp_path: Path) -> None:
    events = tmp_path / "streamlearn-data/events.jsonl"
    append(events, *map(event, range(50)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        assert "command 1, pause-asking" in told(tmp_path, "pause-asking")
        until(lambda: daemon.metrics()[PAUSED] == 1, "the pause")
        assert daemon.ready()
        asked = queries(tmp_path)
        append(events, *map(event, range(50, 850)))
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 850, "the events")
        assert asked == queries(tmp_path)
        assert "command 1, pause-asking: no event is asked about" in daemon.said
        told(tmp_path, "resume-asking")
        until(lambda: daemon.metrics()[PAUSED] == 0, "the end of the pause")
        append(events, *map(event, range(850, 950)))
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 950, "the events")
        assert daemon.drain() == 0
    assert 0 < len(queries(tmp_path)) - len(asked) <= 10 + 5
    assert "asking             on" in told(tmp_path, "status")
    assert [2, []] == [inspect(tmp_path)[key] for key in ("obeyed", "paused")]


def test_killed_as_commands_come_a_daemon_obeys_each_once_and_loses_nothing(tmp_path: Path) -> None:
    chance, log = random.Random(4), FilesLog(tmp_path / "streamlearn-data", seed=4)
    traffic = Traffic(log, seed=4)
    traffic.start()
    with running(tmp_path) as daemon:
        until(lambda: traffic.answers() > 25, "some answers")
        daemon.kill()
    commits = [0]
    for i, word in enumerate(("pause-learning", "rollback", "resume-learning", "pause-asking", "resume-asking")):
        daemon = DaemonProcess(tmp_path).wait_ready()
        before = inspect(tmp_path)
        argument = [str(before["fits"][-3]["commit"])] if word == "rollback" else []
        told(tmp_path, word, *argument)
        time.sleep(chance.uniform(0.0, 0.3))  # a random moment: before, in or after the commit
        daemon.kill()
        after = inspect(tmp_path)
        assert after["obeyed"] in (i, i + 1)
        commits.append(after["commit"])
    daemon = DaemonProcess(tmp_path)
    try:
        until(lambda: inspect(tmp_path)["obeyed"] == 5, "the last command")
        traffic.no_more_events()
        until(lambda: all_answered(daemon, traffic), "the last label")
        traffic.stop()
        until(lambda: all_answered(daemon, traffic), "the last label")
        assert daemon.drain() == 0
    finally:
        daemon.kill()
    assert commits == sorted(commits)
    assert [] == inspect(tmp_path)["paused"]
    nothing_lost_or_doubled(tmp_path, STORE, log, traffic)
