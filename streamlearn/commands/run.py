"""`streamlearn run`: the daemon until it is told to stop. One SIGTERM or Ctrl-C drains and commits; a second stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from streamlearn import __version__, assemble
from streamlearn.commands.logs import set_up_logs
from streamlearn.config import Configuration
from streamlearn.edges.http import HttpServer
from streamlearn.edges.system import SystemClock
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.patience import Stopped


def run(configuration: Configuration, rebuild: bool) -> int:
    """Exit code 0: drained, or stopped while waiting for the world. rebuild: build a new store from the log first."""
    log = set_up_logs(configuration.kafka.settings)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)  # the second one: at once; the store is whole at every moment
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    health, measurements, clock = Health(), Measurements(), SystemClock()
    health.turned(clock.monotonic())
    health.unready("start", "not recovered yet")
    measurements.set("streamlearn_build_info", 1, version=__version__)
    daemon = None if rebuild else assemble.daemon(configuration, health, measurements, stop.wait, clock)
    server = None
    if configuration.http.port >= 0:
        server = HttpServer(configuration.http.host, configuration.http.port, measurements, health, clock)
        server.start()
    where = configuration.log.path if configuration.log.kind == "files" else configuration.kafka.bootstrap_servers
    metrics = f"; metrics on http://{configuration.http.host}:{server.port}/metrics" if server else ""
    log.info("running on %s%s", where, metrics, extra={"action": "start"})
    try:
        if daemon is None:
            health.unready("start", "building a store from the log")
            aside = assemble.rebuild(configuration, health, measurements, stop.wait, clock)
            if aside is not None:
                log.info("the store of before is %s now", aside, extra={"action": "rebuild"})
            daemon = assemble.daemon(configuration, health, measurements, stop.wait, clock)
        drained = daemon.run()
    except Stopped:
        log.info("stopped while building a store; start with --rebuild again", extra={"action": "stopped"})
        return 0
    finally:
        if server is not None:
            server.stop()
    if drained:
        log.info("drained; %d commits", daemon.number, extra={"action": "drained"})
    else:
        told = "stopped while waiting; %d commits, and the next start goes on from there"
        log.info(told, daemon.number, extra={"action": "stopped"})
    sys.stderr.flush()
    return 0
