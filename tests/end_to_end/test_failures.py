"""What the operating system does to a daemon: frozen while another takes over, and a disk that is full."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.daemon_process import append, inspect, lines, refusals, running, until
from tests.end_to_end.test_kill_kafka import ROLES, configure, copy
from tests.end_to_end.traffic import KafkaLog

TRANSACTION_S = 60.0  # after which brokers end one by themselves


@pytest.mark.kafka
@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
@pytest.mark.parametrize("frozen_s", [0.0, pytest.param(TRANSACTION_S + 5.0, marks=pytest.mark.soak)])
def test_a_daemon_that_was_frozen_while_another_took_over_publishes_nothing_more(
    frozen_s: float,
    client: str,
    tmp_path: Path,
    kafka: str,
    prefix: str,
    fresh_topics: Callable[..., dict[str, str]],
) -> None:
    log = KafkaLog(kafka, fresh_topics(**dict.fromkeys(ROLES, 1)))
    configuration, elsewhere = configure(tmp_path, kafka, prefix, client), tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tmp_path / configuration, elsewhere)

    def send(first: int, last: int) -> None:
        for i in range(first, last):
            log.send("events", f"e{i}", {"id": f"e{i}", "x": [float(i % 7), float(i % 3)]})
        log.flush()

    with running(tmp_path, configuration) as older:
        send(0, 200)
        until(lambda: older.metrics()["streamlearn_events_total"] > 0, "the first events")
        older.signal(signal.SIGSTOP)  # wherever it is: in a transaction, or between two
        copy(tmp_path / f"{prefix}.db", elsewhere / f"{prefix}.db")
        with running(elsewhere, configuration) as newer:
            send(200, 400)
            until(newer.caught_up, "what the frozen one has left, and more")
            time.sleep(frozen_s)
            older.signal(signal.SIGCONT)
            send(400, 600)
            assert older.wait() == 1
            said = refusals(older.said)
            assert len(said) == 1
            assert "another daemon of the same name has taken over" in said[0]
            until(newer.caught_up, "the rest")
            assert newer.drain() == 0
    told = inspect(elsewhere, f"{prefix}.db")
    asked = [query["id"] for query in log.all("queries")]
    log.close()
    assert told["events"] == 600
    assert len(asked) == len(set(asked)) == told["queries"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """With all that there is room for."""
    with file.open("wb", buffering=0) as sink:
        try:
            while sink.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017  # the loop has no other end


def test_a_disk_that_is_full_is_waited_for_and_nothing_is_lost(tmp_path: Path, small_disk: Path) -> None:
    data, store, filler = tmp_path / "streamlearn-data", small_disk / "s.db", small_disk / "filler"
    told = ("--set", f"store.path={store}")

    def feed(first: int, last: int) -> None:
        append(data / "events.jsonl", *({"id": f"e{i}", "x": [float(i % 7), float(i % 3)]} for i in range(first, last)))
        append(data / "labels.jsonl", *({"id": f"e{i}", "y": i % 7 > 3} for i in range(first, last, 10)))

    with running(tmp_path, *told) as daemon:
        feed(0, 100)
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 100, "the first events")
        until(daemon.caught_up, "their commit")
        fill(filler)
        feed(100, 2000)
        until(lambda: "store" in daemon.unready_because(), "the full disk to be told")
        assert daemon.running()
        filler.unlink()
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 2000, "the other events")
        until(daemon.caught_up, "their commit")
        assert daemon.drain() == 0
    found = inspect(tmp_path, str(store))
    asked = [query["id"] for query in lines(data / "queries.jsonl")]
    assert (found["events"], found["labels"]) == (2000, 200)
    assert len(asked) == len(set(asked)) == found["queries"]
