"""What `run` and `score` have in common: logs, signals, and metrics and health over HTTP."""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import final

from streamlearn import __version__
from streamlearn.commands.logs import set_up_logs
from streamlearn.config import Configuration
from streamlearn.edges.http import HttpServer
from streamlearn.edges.system import SystemClock
from streamlearn.errors import StreamlearnError
from streamlearn.service.health import OF_A_DAEMON, Health
from streamlearn.service.metrics import Measurements


@final
@dataclass(frozen=True)
class Process:
    """stop: set once it is to end."""

    log: logging.Logger
    stop: threading.Event
    health: Health
    measurements: Measurements
    clock: SystemClock


def begin(configuration: Configuration, parts: tuple[str, ...] = OF_A_DAEMON) -> Process:
    """One SIGTERM or Ctrl-C asks to stop; a second stops at once. parts: whose health is told."""
    log, stop = set_up_logs(configuration.logging, configuration.kafka.settings), threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)  # the second one: at once; the store is whole at every moment
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    health, measurements, clock = Health(parts), Measurements(), SystemClock()
    health.turned(clock.monotonic())
    health.unready("start", "not recovered yet")
    measurements.set("streamlearn_process_start_time_seconds", clock.now())
    measurements.set("streamlearn_build_info", 1, version=__version__, python=platform.python_version())
    return Process(log, stop, health, measurements, clock)


@contextmanager
def telling(log: logging.Logger) -> Iterator[None]:
    """What ends the process by an error that has a remedy is a line of the log, and not of another form beside it."""
    try:
        yield
    except StreamlearnError as error:
        log.error("%s", error, extra={"action": "failed", "exit_code": error.exit_code})
        raise SystemExit(error.exit_code) from None


@contextmanager
def serving(process: Process, configuration: Configuration, doing: str) -> Iterator[None]:
    """Metrics and health, for as long as it runs. doing: in a word, for the log."""
    http, server = configuration.http, None
    if http.port >= 0:
        server = HttpServer(http.host, http.port, process.measurements, process.health, process.clock)
        server.start()
    where = configuration.log.path if configuration.log.kind == "files" else configuration.kafka.bootstrap_servers
    metrics = f"; metrics on http://{http.host}:{server.port}/metrics" if server else ""
    fields = {"version": __version__, "log": where, "port": server.port if server else None}
    process.log.info("%s on %s%s", doing, where, metrics, extra={"action": "start", **fields})
    try:
        yield
    finally:
        if server is not None:
            server.stop()
