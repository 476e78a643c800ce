"""`streamlearn replay`: the same pipeline over a finished log, as fast as it goes. Nothing is published or stored."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.memory import MemoryStore
from streamlearn.errors import ConfigurationError
from streamlearn.service.metrics import Measurements
from streamlearn.service.replay import finished, ordered
from streamlearn.service.replay import replay as run
from streamlearn.service.report import report

PROGRESS_EVERY_S = 2.0


def replay(configuration: Configuration, poll_size: int, as_json: bool) -> int:
    """Prints the report; progress goes to stderr."""
    if configuration.log.kind == "files" and not Path(configuration.log.path).is_dir():
        raise ConfigurationError(f"log.path: there is no folder {configuration.log.path}; name the log to replay")
    source, store = assemble.source(configuration), MemoryStore()
    pipeline = assemble.pipeline(configuration, store.recall, Measurements())
    records = ordered(finished(source), assemble.codec(configuration))
    source.close()
    said = time.monotonic()

    def progress(done: int) -> None:
        nonlocal said
        if time.monotonic() - said > PROGRESS_EVERY_S:
            said = time.monotonic()
            labels = pipeline.state.labels
            print(f"{done} of {len(records)} records, {labels} labels", file=sys.stderr)

    run(pipeline, store, records, poll_size, progress)
    print_report(report(pipeline), as_json)
    return 0


def print_report(result: dict[str, object], as_json: bool) -> None:
    """As one JSON object, or as lines without the long lists."""
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        shown = f"{len(value)} entries" if isinstance(value, list) and len(value) > 10 else value
        print(f"{name:18} {shown}")
