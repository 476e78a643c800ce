"""`streamlearn inspect`: what a store holds. It only reads, also while a daemon writes."""

from __future__ import annotations

from pathlib import Path

from streamlearn import assemble
from streamlearn.commands.replay import print_report
from streamlearn.config import Configuration
from streamlearn.edges.sqlite import SqliteStore
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.report import report


def inspect(path: Path, as_json: bool) -> int:
    store = SqliteStore(path, read_only=True)
    saved = store.load()
    pipeline = assemble.pipeline(Configuration(), store.recall, Measurements())
    restore.put_back(pipeline, saved, for_reading=True)
    result = report(pipeline) | {
        "commit": saved.number,
        "pending": [entry.id for entry in saved.pending],
        "waiting": [entry.id for entry in saved.waiting],
        "outbox": len(saved.outbox),
        "positions": {f"{role}:{partition}": at for (role, partition), at in sorted(saved.positions.items())},
    }
    store.close()
    print_report(result, as_json)
    return 0
