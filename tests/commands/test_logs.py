"""Lines of the log: one JSON object each, with what is needed and nothing secret, and every action in the README."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, final

import pytest

from streamlearn.commands.logs import STANDARD, JsonLines, set_up_logs
from streamlearn.config import Logging
from tests.end_to_end.daemon_process import append, command, environment
from tests.test_architecture import MODULES
from tests.test_docs import rows, section

LEVELS = {"debug", "info", "warning", "error", "critical", "log"}


@final
class Said:
    """What was logged since it was last read."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def text(self) -> str:
        return self._captured.readouterr().err

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """The process' own logs are as they were before."""
    root, own = logging.getLogger(), logging.getLogger("streamlearn")
    before, hooks = (root.handlers[:], root.level, own.level), (sys.excepthook, threading.excepthook)
    yield Said(capsys)
    logging.captureWarnings(False)
    root.handlers[:], (sys.excepthook, threading.excepthook) = before[0], hooks
    root.setLevel(before[1])
    own.setLevel(before[2])


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call that logs, of every module."""
    for module in MODULES:
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if ast.unparse(node.func.value) in ("log", "process.log"):
                yield module.name, node


def test_every_action_is_a_constant_and_in_the_readme() -> None:
    used = {"library"}
    for name, call in calls():
        (extra,) = (each.value for each in call.keywords if each.arg == "extra")
        assert isinstance(extra, ast.Dict), name
        told = {
            key.value: value
            for key, value in zip(extra.keys, extra.values, strict=True)
            if isinstance(key, ast.Constant)
        }
        assert isinstance(told["action"], ast.Constant), f"{name} logs an action that is no constant"
        assert not told.keys() & (STANDARD - {"action"}), f"{name}: logging has a meaning of its own for a field"
        used.add(told["action"].value)
    assert {row[0].strip("`") for row in rows(section("Health and logs"))} == used


def test_a_line_has_time_level_action_message_and_numbers(said: Said) -> None:
    log = set_up_logs(Logging(), {})
    log.info("drained; %d commits", 42, extra={"action": "drained", "commit": 42})
    logging.getLogger("another").warning("slow")
    logging.getLogger("another").info("unheard")
    own, others = said.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", own["time"])
    assert abs(datetime.fromisoformat(own.pop("time")).timestamp() - datetime.now().timestamp()) < 60
    assert own == {"level": "info", "action": "drained", "message": "drained; 42 commits", "commit": 42}
    others.pop("time")
    assert others == {"level": "warning", "action": "library", "message": "slow", "logger": "another"}


def test_no_secret_is_shown_in_a_field_or_a_traceback(said: Said) -> None:
    log = set_up_logs(Logging(), {"sasl_plain_password": 'hun"ter2'})
    try:
        raise KeyError('it is hun"ter2')
    except KeyError:
        log.exception('hun"ter2', extra={"action": "crashed", "field": ['hun"ter2']})
    text = said.text()
    assert "ter2" not in text
    line = json.loads(text)
    assert (line["message"], line["field"]) == ("***", ["***"])
    assert "KeyError" in line["exception"]


@pytest.mark.parametrize(("level", "heard"), [("debug", 3), ("info", 2), ("warning", 1)])
def test_the_level_is_as_told(said: Said, level: str, heard: int) -> None:
    log = set_up_logs(Logging(level=level), {})
    for each in (logging.DEBUG, logging.INFO, logging.WARNING):
        log.log(each, "told", extra={"action": "start"})
    assert heard == len(said.lines())


def test_people_have_lines_of_their_own(said: Said) -> None:
    set_up_logs(Logging(format="human"), {}).info("drained", extra={"action": "drained"})
    assert re.fullmatch(r"\d\d:\d\d:\d\d drained\n", said.text())


def test_what_nobody_expected_is_one_line_in_any_thread(said: Said) -> None:
    set_up_logs(Logging(), {})

    def fail() -> None:
        raise ZeroDivisionError("nobody expected it")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ZeroDivisionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    lines = said.lines()
    assert len(lines) == 2
    for line in lines:
        assert (line["level"], line["action"]) == ("critical", "crashed")
        assert line["message"] == "unexpected ZeroDivisionError: nobody expected it"
        assert line["exception"].startswith("Traceback")


def test_a_value_that_json_does_not_know_is_told_as_text() -> None:
    record = logging.makeLogRecord({"name": "streamlearn", "msg": "x", "action": "rebuild", "aside": Path("a.db")})
    assert json.loads(JsonLines().format(record))["aside"] == "a.db"


def test_a_daemon_says_nothing_that_is_no_json_and_nothing_of_an_events_features(tmp_path: Path) -> None:
    secret = 8.125
    labels = ({"id": f"l{i}", "x": {"a": i % 5, "b": secret}, "y": "ham" if i % 5 > 2 else "spam"} for i in range(30))
    append(
        tmp_path / "streamlearn-data/labels.jsonl", *labels, {"id": "bad", "x": {"a": "8.125", "b": [secret]}, "y": 3}
    )
    append(
        tmp_path / "streamlearn-data/events.jsonl",
        *({"id": f"e{i}", "x": {"a": i % 5, "b": secret}} for i in range(90)),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlearn", "run", "--set", "http.port=0", "--set", "logging.level=debug"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said, stopping = [json.loads(process.stderr.readline())], False
    for line in process.stderr:
        said.append(json.loads(line))
        if not stopping and said[-1]["action"] == "commit" and said[-1]["records"] > 30:
            stopping = True
            process.terminate()
    assert process.wait(60) == 0
    assert {"start", "query", "commit", "drained"} <= {line["action"] for line in said}
    assert "8.125" not in json.dumps([{**line, "score": None, "threshold": None} for line in said])


def test_an_error_that_ends_it_is_a_line_of_the_log(tmp_path: Path) -> None:
    done = command(tmp_path, "run", "--set", "http.port=0", "--set", "http.host=192.0.2.1")
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["action"], line["level"], line["exit_code"]) == (2, "failed", "error", 2)
    assert line["message"].startswith('http.host "192.0.2.1" is no address of this machine')
