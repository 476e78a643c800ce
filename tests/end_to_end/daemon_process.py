"""`streamlearn` as a process of its own, and a deadline for what should come of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, final

T = TypeVar("T")
PATIENCE_S = 60.0  # after which a test gives up waiting for something that should come
LOOK_S = 0.02


def until(look: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `look` returns once that is true."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"in vain waited for {what}"
        time.sleep(LOOK_S)
    return found


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("STREAMLEARN")}


STREAMLEARN = ("-m", "streamlearn")


def command(folder: Path, *arguments: str, launcher: Sequence[str] = STREAMLEARN) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself. launcher: see `DaemonProcess`."""
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def refusals(said: str) -> list[str]:
    """What commands ended by, that the operator can repair: a line on stderr; of `run` and `score`, of the log."""
    found = []
    for line in said.splitlines():
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("action") == "failed":
            found.append(told["message"])
        elif line.startswith("streamlearn: "):
            found.append(line.removeprefix("streamlearn: "))
    return found


def as_json(folder: Path, *arguments: str) -> dict[str, Any]:
    """What a command with --json says."""
    done = command(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def inspect(folder: Path, store: str = "streamlearn-data/streamlearn.db") -> dict[str, Any]:
    return as_json(folder, "inspect", store)


def frozen(pid: int) -> bool:
    """Whether the process was stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; every line has to be one. A line that is being written is left out."""
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in whole]


def append(path: Path, *values: object) -> None:
    """Append lines: bytes as they are, all else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for value in values:
            file.write((value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n")


@final
class DaemonProcess:
    """`streamlearn run ARGUMENTS` in a folder, its log in `daemon.log` there. HTTP is on any free port.

    launcher: what Python is told to run instead, and that program's own arguments; command: in place of run.
    """

    def __init__(
        self, folder: Path, *arguments: str, launcher: Sequence[str] = STREAMLEARN, command: str = "run"
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._log = folder, folder / "daemon.log"
        self._said_before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *launcher, command, *arguments, "--set", "http.port=0"],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        """All that this process has printed."""
        with self._log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode()

    def running(self) -> bool:
        return self._process.poll() is None

    def address(self) -> str:
        def told() -> str:
            assert self.running(), f"the daemon has ended: {self.said}"
            _, found, after = self.said.partition("metrics on ")
            return after.split("/metrics")[0] if found and "/metrics" in after else ""

        return until(told, "the daemon's address")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(self.address() + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self) -> DaemonProcess:
        until(self.ready, "readiness")
        return self

    def unready_because(self) -> dict[str, str]:
        """Part → reason, of what is not ready."""
        status, body = self.get("/readyz")
        parts: dict[str, dict[str, str]] = json.loads(body)["parts"]
        reasons = {part: each["reason"] for part, each in parts.items() if each["status"] != "ok"}
        assert (status == 503) == bool(reasons)
        return reasons

    def metrics(self) -> dict[str, float]:
        """Values by name with labels, as in `streamlearn_lag{partition="0",topic="events"}`."""
        _, body = self.get("/metrics")
        rows = (line.rpartition(" ") for line in body.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def caught_up(self) -> bool:
        """Whether it was at the end of the log when it last looked."""
        if not self.ready():
            return False
        lags = [value for name, value in self.metrics().items() if name.startswith("streamlearn_lag")]
        return bool(lags) and not any(lags)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill −9."""
        self._process.kill()
        self._process.wait()

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """The exit code, once there is one."""
        return self._process.wait(patience_s)

    def drain(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def running(
    folder: Path, *arguments: str, launcher: Sequence[str] = STREAMLEARN, wait: bool = True
) -> Iterator[DaemonProcess]:
    """A daemon that is ready, if that is waited for; killed at the end, if it still runs."""
    daemon = DaemonProcess(folder, *arguments, launcher=launcher)
    try:
        yield daemon.wait_ready() if wait else daemon
    finally:
        daemon.kill()
