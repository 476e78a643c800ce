"""`streamlearn inspect`: what a store holds. It only reads, also while a daemon writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from streamlearn import assemble
from streamlearn.commands.replay import print_report
from streamlearn.config import Configuration
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service import fits, restore
from streamlearn.service.control import paused
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import Earlier
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
        "paused": [what for what, stopped in paused(pipeline.standing).items() if stopped],
        "obeyed": pipeline.standing.obeyed,
        "fits": [_described(entry) for entry in saved.fits],
        "positions": {f"{role}:{partition}": at for (role, partition), at in sorted(saved.positions.items())},
    }
    store.close()
    print_report(result, as_json)
    return 0


def _described(entry: Earlier) -> dict[str, object]:
    """An earlier fit that `streamlearn control rollback` can go back to."""
    fit = fits.read(entry).published
    when = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="seconds")
    return {"commit": entry.number, "labels": entry.labels, "time": when, "regularity": fit.regularity if fit else None}
