"""The wall clock jumps a day forwards and backwards under a running daemon."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, final

import pytest

from tests.end_to_end import shifted
from tests.end_to_end.daemon_process import STREAMLEARN, DaemonProcess, append, command, inspect, lines, until
from tests.end_to_end.kills import all_answered, nothing_lost_or_doubled
from tests.end_to_end.test_kill_kafka import ROLES, configure
from tests.end_to_end.traffic import KafkaLog, Traffic

DAY_S = 86_400.0
EXPIRE_S = 3600.0
QUIET_S = 1.0
TOLD = ("queries.budget=0.3", f"queries.expire_s={EXPIRE_S}", "topics.models=models", "models.every_s=3600")


@final
class Watch:
    """The wall clock of a daemon."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shift"
        self.set(0.0)
        self.launcher = (shifted.__file__, str(self._file))

    def set(self, ahead_s: float) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(ahead_s))
        new.rename(self._file)


@final
class Desk:
    """A daemon on the embedded log, events for it, and a labeler who answers some of what it asks, the oldest first."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self._data, self.fed = folder / "streamlearn-data", 0
        told = [part for each in TOLD for part in ("--set", each)]
        self.daemon = DaemonProcess(folder, *told, launcher=watch.launcher)

    def asked(self) -> list[dict[str, Any]]:
        return lines(self._data / "queries.jsonl")

    def outstanding(self) -> float:
        return self.daemon.metrics()["streamlearn_queries_outstanding"]

    def feed(self, answers: int) -> list[dict[str, Any]]:
        """A hundred events and so many labels; what it has asked then."""
        before = self.asked()
        new = range(self.fed, self.fed + 100)
        append(self._data / "events.jsonl", *({"id": f"e{i}", "x": [i % 7, i % 3]} for i in new))
        self.fed += 100
        until(lambda: self.daemon.metrics()["streamlearn_events_total"] == self.fed, "the events")
        until(lambda: self._issued() == len(self.asked()), "what is asked about them")
        answered = {label["id"] for label in lines(self._data / "labels.jsonl")}
        given = [query["id"] for query in self.asked() if query["id"] not in answered][:answers]
        append(self._data / "labels.jsonl", *({"id": id, "y": int(id[1:]) % 7 > 3} for id in given))
        learned = len(answered) + len(given)
        until(lambda: self._learned() == learned, "the labels, committed")
        return self.asked()[len(before) :]

    def rests(self) -> None:
        """It lives; and once it has learned what it can, it neither commits nor computes."""
        assert self.daemon.get("/healthz")[0] == 200
        until(self._rested, "rest")

    def _rested(self) -> bool:
        committed, used, began = self.daemon.metrics()["streamlearn_commit_number"], self._cpu_s(), time.monotonic()
        time.sleep(QUIET_S)
        if self.daemon.metrics()["streamlearn_commit_number"] != committed:
            return False
        return self._cpu_s() - used < 0.5 * (time.monotonic() - began)

    def _learned(self) -> float:
        return self.daemon.metrics().get('streamlearn_examples{role="train"}', 0.0)

    def _issued(self) -> float:
        values = self.daemon.metrics()
        return sum(values[name] for name in values if name.startswith("streamlearn_queries_issued_total"))

    def _cpu_s(self) -> float:
        """That the daemon has used."""
        after = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after[11]) + int(after[12])) / os.sysconf("SC_CLK_TCK")


def test_a_clock_that_jumps_a_day_ahead_and_back_freezes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    desk = Desk(tmp_path, watch)
    try:
        desk.daemon.wait_ready()
        desk.feed(answers=10)
        assert desk.outstanding() > 0
        watch.set(DAY_S)
        until(lambda: desk.outstanding() == 0, "that all have expired")
        for ahead_s in (DAY_S, -DAY_S):
            watch.set(ahead_s)
            asked, now = desk.feed(answers=10), time.time() + ahead_s
            assert asked
            assert all(abs(datetime.fromisoformat(query["time"]).timestamp() - now) < 60.0 for query in asked)
        desk.rests()
        assert desk.outstanding() > 0
        watch.set(-DAY_S + EXPIRE_S + 60.0)
        until(lambda: desk.outstanding() == 0, "that all have expired, those asked two days ahead too")
        watch.set(0.0)
        desk.feed(answers=1000)
        assert desk.daemon.drain() == 0
    finally:
        desk.daemon.kill()
    told, ids = inspect(tmp_path), [query["id"] for query in desk.asked()]
    assert len(ids) == len(set(ids)) == told["queries"] == told["labels"]
    assert (told["events"], told["rejected"]) == (desk.fed, 0)
    replay = ("replay", "--json", "--set", "log.path=streamlearn-data")
    watch.set(-DAY_S)
    by_both = [command(tmp_path, *replay, launcher=launcher).stdout for launcher in (STREAMLEARN, watch.launcher)]
    assert json.loads(by_both[0])["digest"] == json.loads(by_both[1])["digest"]


@pytest.mark.kafka
def test_a_clock_that_is_ahead_of_the_brokers_is_waited_for_and_named(
    tmp_path: Path, kafka: str, prefix: str, fresh_topics: Callable[..., dict[str, str]]
) -> None:
    """Brokers of today refuse messages from more than an hour ahead."""
    log, watch = KafkaLog(kafka, fresh_topics(**dict.fromkeys(ROLES, 1))), Watch(tmp_path)
    daemon, traffic = (
        DaemonProcess(tmp_path, configure(tmp_path, kafka, prefix), launcher=watch.launcher),
        Traffic(log, 4),
    )

    def more_answers() -> None:
        seen = traffic.answers()
        until(lambda: traffic.answers() > seen + 10, "more answers")

    try:
        traffic.start()
        more_answers()
        watch.set(DAY_S)
        until(lambda: "put this machine's clock right" in daemon.unready_because().get("log", ""), "the reason")
        assert daemon.get("/healthz")[0] == 200
        for ahead_s in (0.0, -DAY_S, 0.0):
            watch.set(ahead_s)
            daemon.wait_ready()
            more_answers()
        traffic.no_more_events()
        until(lambda: all_answered(daemon, traffic), "the last label")
        traffic.stop()
        until(lambda: all_answered(daemon, traffic), "the last label")
        assert daemon.drain() == 0
        nothing_lost_or_doubled(tmp_path, f"{prefix}.db", log, traffic)
    finally:
        daemon.kill()
        log.close()
