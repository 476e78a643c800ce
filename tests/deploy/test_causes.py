"""Alerts are tried by causing them: daemons that are each ill in one way, and a real Prometheus that finds it out.

What takes hours until it fires has begun to wait (`pending`). Of the daemons beside the ill one none has its alert.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tests.deploy.prometheus_server import Prometheus, scraping
from tests.deploy.tools import prometheus
from tests.deploy.watching import RULES
from tests.end_to_end.daemon_process import DaemonProcess, append, command, until

FAULTY = """
import time

TRIED = 3  # parameters, on which it is tried before the daemon starts

def fails(theta):
    if len(theta) != TRIED:
        raise ArithmeticError("as this regularizer always does")
    return float(theta @ theta), 2 * theta

def hangs(theta):
    if len(theta) != TRIED:
        time.sleep(200)
    return float(theta @ theta), 2 * theta
"""


def event(i: int) -> dict[str, Any]:
    return {"id": f"e{i}", "x": {"a": random.Random(i).random()}}


def label(i: int) -> dict[str, Any]:
    chance = random.Random(i)
    a = chance.random()
    return {"id": f"l{i}", "x": {"a": a}, "y": a + chance.gauss(0.0, 0.2) > 0.5}


def noise(i: int) -> dict[str, Any]:
    return label(i) | {"y": random.Random(f"y{i}").random() > 0.5}


def turned(i: int) -> dict[str, Any]:
    """From a moment on labels say the opposite."""
    return label(i) | ({"y": not label(i)["y"]} if i >= TURN else {})


@final
@dataclass(frozen=True)
class Illness:
    """Of a daemon on an embedded log. events, labels: number → what comes, all the time; control: a command."""

    keys: tuple[str, ...] = ()
    events: Callable[[int], object] = event
    labels: Callable[[int], object] | None = label
    control: str = ""


ILLNESSES = {
    "StreamlearnStarved": Illness(labels=None),
    "StreamlearnRejects": Illness(events=lambda i: event(i) if i % 2 else {"id": f"e{i}", "x": "nothing"}),
    "StreamlearnQueriesExpire": Illness(("queries.expire_s=1", "queries.budget=0.5")),
    "StreamlearnPaused": Illness(control="pause-asking"),
    "StreamlearnUpdatesSkipped": Illness(("regularity.regularizer=faulty:fails",)),
    "StreamlearnTangentNotTrusted": Illness(("training.solver=sgdf", "training.learning_rate=1e-6")),
    "StreamlearnDrift": Illness(labels=turned),
    "StreamlearnRegularityAtBound": Illness(("regularity.initial_precision=1000",), labels=noise),
}
OF_ALL = ("StreamlearnRejects", "StreamlearnDrift")  # alerts that do not say which daemon
FOLLOWS = ("StreamlearnNotReady", "StreamlearnStarved")  # where no update is ever taken
BURST, TURN = 20, 200


def address(daemon: DaemonProcess) -> str:
    return daemon.address().removeprefix("http://")


@contextmanager
def ward(folder: Path, illnesses: dict[str, Illness]) -> Iterator[tuple[Prometheus, dict[str, DaemonProcess]]]:
    """A daemon for each illness, in a folder of its name, and Prometheus."""
    prometheus("prometheus")  # or skip, before anything is started
    with ExitStack() as stack:
        daemons = {}
        for name, illness in illnesses.items():
            (folder / name).mkdir()
            (folder / name / "faulty.py").write_text(FAULTY)
            told = ("queries.outstanding=100000", *illness.keys)  # nobody answers
            daemons[name] = DaemonProcess(folder / name, *(word for key in told for word in ("--set", key)))
            stack.callback(daemons[name].kill)
        targets = [address(daemon.wait_ready()) for daemon in daemons.values()]
        yield stack.enter_context(scraping(folder / "prometheus", {"streamlearn": targets}, RULES)), daemons


def suffering(server: Prometheus) -> set[tuple[str, str]]:
    """(alert, instance), pending or firing; without an instance where the alert is of all of them."""
    return {(each["metric"]["alertname"], each["metric"].get("instance", "")) for each in server.ask("ALERTS")}


def test_every_illness_is_found_out_and_no_other(tmp_path: Path) -> None:
    with ward(tmp_path, ILLNESSES) as (server, daemons):
        for name, illness in ILLNESSES.items():
            if illness.control:
                assert 0 == command(tmp_path / name, "control", illness.control).returncode
        expected = {(name, "" if name in OF_ALL else address(daemon)) for name, daemon in daemons.items()}
        follows = {(name, address(daemons["StreamlearnUpdatesSkipped"])) for name in FOLLOWS}
        count = 0

        def found_out() -> bool:
            nonlocal count
            for name, illness in ILLNESSES.items():
                numbers, log = range(count, count + BURST), tmp_path / name / "streamlearn-data"
                append(log / "events.jsonl", *map(illness.events, numbers))
                if illness.labels:
                    append(log / "labels.jsonl", *map(illness.labels, numbers))
            count += BURST
            time.sleep(0.5)
            return suffering(server) >= expected

        try:
            until(found_out, "all alerts")
        except AssertionError as error:
            raise AssertionError(f"not {expected - suffering(server)}") from error
        until(lambda: suffering(server) - follows == expected, "all others to be calm")
