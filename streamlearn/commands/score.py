"""`streamlearn score`: a scorer until it is told to stop. It keeps nothing, so it may be killed at any time."""

from __future__ import annotations

import sys

from streamlearn import assemble
from streamlearn.commands.process import begin, serving, telling
from streamlearn.config import Configuration
from streamlearn.service.health import OF_A_SCORER


def score(configuration: Configuration) -> int:
    """Exit code 0: stopped."""
    process = begin(configuration, OF_A_SCORER)
    parts = (process.health, process.measurements, process.stop.wait, process.clock)
    with telling(process.log):
        scorer = assemble.scoring(configuration, *parts)
        with serving(process, configuration, "scoring"):
            drained = scorer.run()
        told = "stopped; %d events scored" if drained else "stopped while waiting; %d events scored"
        process.log.info(told, scorer.events, extra={"action": "stopped", "events": scorer.events})
    sys.stderr.flush()
    return 0
