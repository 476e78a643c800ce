"""`streamlearn run` with no configuration, used as a person uses it: with a shell, a browser and Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.daemon_process import (
    DaemonProcess,
    append,
    command,
    environment,
    inspect,
    lines,
    refusals,
    running,
    until,
)

STORE = "streamlearn-data/streamlearn.db"


def shell(folder: Path, text: str) -> None:
    subprocess.run(["sh", "-c", text], cwd=folder, check=True)


def event(i: int, **more: Any) -> dict[str, Any]:
    chance = random.Random(i)
    return {"id": f"e{i}", "x": {"a": round(chance.gauss(0, 1), 3), "b": round(chance.gauss(0, 1), 3)} | more}


def truth(i: int) -> str:
    x = event(i)["x"]
    return "ham" if x["a"] > x["b"] else "spam"


def queries(folder: Path) -> list[str]:
    return [query["id"] for query in lines(folder / "streamlearn-data/queries.jsonl")]


def answered(folder: Path, count: int) -> bool:
    """Answer whatever is asked and not answered yet; whether that many were asked."""
    given = {label["id"] for label in lines(folder / "streamlearn-data/labels.jsonl")}
    asked = queries(folder)
    new = [{"id": id, "y": truth(int(id[1:]))} for id in asked if id not in given]
    append(folder / "streamlearn-data/labels.jsonl", *new)
    return len(asked) >= count


def refused(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and the one line of a daemon that does not start."""
    done = command(folder, "run", *arguments)
    said = refusals(done.stderr)
    assert len(said) == 1
    assert "Traceback" not in done.stderr
    return done.returncode, said[0]


def test_a_person_with_a_shell_gets_queries_and_goes_on_where_it_was(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    with running(tmp_path) as daemon:
        shell(
            tmp_path,
            """for i in $(seq 100); do echo '{"id":"e'$i'","x":['$i', 1.5, 0]}'; done >> streamlearn-data/events.jsonl""",
        )
        first = until(lambda: queries(tmp_path), "the first queries")
        shell(tmp_path, f"""echo '{{"id":"{first[0]}","y":"spam"}}' >> streamlearn-data/labels.jsonl""")
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 1, "the label")
        assert daemon.metrics()["streamlearn_events_total"] == 100
        assert daemon.get("/healthz")[0] == daemon.get("/readyz")[0] == 200
        assert daemon.get("/nothing")[0] == 404
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0
    before = inspect(tmp_path)
    assert (before["events"], before["labels"], before["train_ids"]) == (100, 1, [first[0]])
    with running(tmp_path) as daemon:
        assert daemon.metrics()["streamlearn_commit_number"] == before["commit"]
        shell(
            tmp_path,
            """for i in $(seq 101 200); do echo '{"id":"e'$i'","x":['$i', 1.5, 1]}'; done >> streamlearn-data/events.jsonl""",
        )
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 100, "the other events")
        until(lambda: daemon.metrics()["streamlearn_commit_number"] > before["commit"], "their commit")
        assert daemon.drain() == 0
    after = inspect(tmp_path)
    assert (after["events"], after["labels"]) == (200, 1)
    asked = queries(tmp_path)
    assert asked[: len(first)] == first
    assert len(asked) == len(set(asked)) == after["queries"] > len(first)
    assert not (data / "rejected.jsonl").read_bytes()


def test_labels_that_are_there_before_any_event_are_a_warm_start(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "labels.jsonl", *({"id": f"w{i}", "y": truth(i), "x": event(i)["x"]} for i in range(40)))
    append(data / "events.jsonl", *map(event, range(100, 200)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        until(lambda: queries(tmp_path), "queries")
        assert daemon.drain() == 0
    asked = lines(data / "queries.jsonl")
    assert all(query["prediction"] in ("ham", "spam") and query["score"] is not None for query in asked)
    told = inspect(tmp_path)
    assert (told["labels"], told["classes"]) == (40, ["ham", "spam"])
    assert told["parameter_names"] == ["intercept", "a", "b"]


def test_a_new_class_and_a_new_column_are_taken_in_while_it_runs(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    with running(tmp_path) as daemon:
        append(data / "events.jsonl", *map(event, range(150)))
        until(lambda: answered(tmp_path, 10), "queries")
        until(lambda: daemon.metrics()["streamlearn_labels_total"] >= 10, "their labels")
        until(lambda: daemon.metrics().get("streamlearn_parameters") == 3, "a model")
        append(data / "events.jsonl", *(event(i, late=i % 7, colour="red") for i in range(150, 300)))
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 300, "the new columns")
        new = {"id": "third", "y": "eggs", "x": {"a": 0.1, "colour": "blue"}}
        append(data / "labels.jsonl", new)
        until(lambda: daemon.metrics()["streamlearn_parameters"] == 3 * 6, "the new class and columns")
        assert daemon.drain() == 0
    told = inspect(tmp_path)
    assert told["classes"] == ["ham", "spam", "eggs"]
    assert told["rejected"] == 0
    assert {"eggs:late", "eggs:colour=red", "ham:colour=blue"} <= set(told["parameter_names"])


def test_a_half_written_line_is_waited_for(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    line = b'{"id":"half","x":[1,2]}\n'
    with running(tmp_path) as daemon:
        append(data / "events.jsonl", {"id": "whole", "x": [0, 0]})
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 1, "the whole line")
        for part in (line[:9], line[9:]):
            with (data / "events.jsonl").open("ab") as file:
                file.write(part)
            before = daemon.metrics()["streamlearn_commit_number"]
            append(data / "labels.jsonl", {"id": "whole", "y": len(part) > 10})
            until(lambda before=before: daemon.metrics()["streamlearn_commit_number"] > before, "a commit")
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 2, "the other half")
        assert daemon.drain() == 0
    assert (inspect(tmp_path)["events"], inspect(tmp_path)["rejected"]) == (2, 0)


def test_an_event_with_its_label_waiting_is_learned_and_not_asked_about(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "labels.jsonl", {"id": "e0", "y": True})
    append(data / "events.jsonl", event(0))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 1, "the label")
        assert daemon.drain() == 0
    assert (inspect(tmp_path)["train_ids"], queries(tmp_path)) == (["e0"], [])


def test_predictions_are_published_when_their_topic_is_named(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "events.jsonl", *map(event, range(20)))
    with running(tmp_path, "--set", "topics.predictions=said") as daemon:
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    assert [said["id"] for said in lines(data / "said.jsonl")] == [f"e{i}" for i in range(20)]


def test_a_second_sigterm_stops_at_once_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "events.jsonl", *map(event, range(50)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        data.joinpath("events.jsonl").rename(data / "away")  # it waits for the file, and would for a long time
        until(lambda: "log" in daemon.unready_because(), "that it is unready")
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() in (0, 1)
    data.joinpath("away").rename(data / "events.jsonl")
    with running(tmp_path) as daemon:
        assert daemon.drain() == 0
    assert inspect(tmp_path)["events"] == 50


def test_a_file_that_is_away_makes_it_unready_until_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "events.jsonl", *map(event, range(50)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        (data / "events.jsonl").rename(data / "away")
        until(lambda: "events.jsonl" in daemon.unready_because().get("log", ""), "the reason")
        assert daemon.get("/healthz")[0] == 200
        append(data / "away", event(50))
        (data / "away").rename(data / "events.jsonl")
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 51 and daemon.ready(), "the new event")
        assert daemon.drain() == 0


def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = refused(tmp_path, "--set", f"http.port={port}")
    assert code == 2
    assert said == f"http.port {port} is taken; set http.port = 0 for any free port, or -1 for none"


def test_a_second_daemon_on_the_same_folder_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        code, said = refused(tmp_path, "--set", "http.port=-1")
        assert (code, f"another streamlearn is running on {STORE} (pid {daemon.pid})" in said) == (3, True)
        code, said = refused(tmp_path, "--set", "http.port=-1", "--set", "store.path=other.db")
        assert (code, f"another streamlearn is running on streamlearn-data (pid {daemon.pid})" in said) == (3, True)
        assert daemon.ready()


def test_a_log_that_was_cut_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    append(data / "events.jsonl", *map(event, range(50)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    os.truncate(data / "events.jsonl", 100)
    code, said = refused(tmp_path, "--set", "http.port=-1")
    assert (code, "is shorter (100 bytes) than what has been read of it" in said) == (3, True)


@pytest.mark.parametrize(
    "damage", [b"not a database, but long enough to be taken for one " * 9, b"SQLite format 3\0" * 9]
)
def test_a_store_that_is_none_is_one_line_and_exit_code_3(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "streamlearn-data").mkdir()
    (tmp_path / STORE).write_bytes(damage)
    assert refused(tmp_path, "--set", "http.port=-1")[0] == 3


def test_a_store_of_other_columns_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What the data decided stays decided, whatever is left open in the configuration."""
    data = tmp_path / "streamlearn-data"
    append(data / "labels.jsonl", *({"id": f"w{i}", "y": truth(i), "x": event(i)["x"]} for i in range(30)))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 30, "the labels")
        assert daemon.drain() == 0
    before = inspect(tmp_path)
    with running(tmp_path, "--set", "queries.budget=0.5") as daemon:
        assert daemon.drain() == 0
    assert inspect(tmp_path)["digest"] == before["digest"]


def test_stopping_while_it_still_starts_is_a_clean_exit(tmp_path: Path) -> None:
    append(tmp_path / "streamlearn-data/events.jsonl", *map(event, range(3000)))
    daemon = DaemonProcess(tmp_path)
    daemon.address()  # signals are dealt with before anything is said
    assert daemon.drain() == 0
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    assert inspect(tmp_path)["events"] == 3000


def test_it_runs_without_a_home_and_with_closed_standard_streams(tmp_path: Path) -> None:
    bare = {name: value for name, value in environment().items() if name not in ("HOME", "USER")}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlearn", "run", "--set", "http.port=-1"],
        cwd=tmp_path,
        env=bare,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    append(tmp_path / "streamlearn-data/events.jsonl", *map(event, range(30)))
    until(lambda: queries(tmp_path), "queries")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
