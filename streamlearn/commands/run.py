"""`streamlearn run`: the daemon until it is told to stop. One SIGTERM or Ctrl-C drains and commits; a second stops at once."""

from __future__ import annotations

import sys

from streamlearn import assemble
from streamlearn.commands.process import Process, begin, serving, telling
from streamlearn.config import Configuration
from streamlearn.service import detectors
from streamlearn.service.patience import Stopped


def run(configuration: Configuration, rebuild: bool) -> int:
    """Exit code 0: drained, or stopped while waiting for the world. rebuild: build a new store from the log first."""
    process = begin(configuration)
    with telling(process.log):
        _run(process, configuration, rebuild)
    sys.stderr.flush()
    return 0


def _run(process: Process, configuration: Configuration, rebuild: bool) -> None:
    log, parts = process.log, (process.health, process.measurements, process.stop.wait, process.clock)
    daemon = None if rebuild else assemble.daemon(configuration, *parts)
    try:
        with serving(process, configuration, "running"):
            detectors.load(configuration.drift.detector)
            if daemon is None:
                process.health.unready("start", "building a store from the log")
                aside = assemble.rebuild(configuration, *parts)
                if aside is not None:
                    log.info("the store of before is %s now", aside, extra={"action": "rebuild", "aside": str(aside)})
                daemon = assemble.daemon(configuration, *parts)
            drained = daemon.run()
    except Stopped:
        log.info("stopped while building a store; start with --rebuild again", extra={"action": "stopped"})
        return
    number = daemon.number
    if drained:
        log.info("drained; %d commits", number, extra={"action": "drained", "commit": number})
    else:
        told = "stopped while waiting; %d commits, and the next start goes on from there"
        log.info(told, number, extra={"action": "stopped", "commit": number})
