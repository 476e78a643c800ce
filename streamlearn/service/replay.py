"""Replay: the same pipeline over a finished log, in an order that depends on the log alone.

Where both topics carry `time`, records are merged by it (a record without one goes with the one before it); else both are
read in proportion, so that the i-th of n events comes about where the i-th n-th of the labels does. An event goes before a
label of the same moment. Batches are taken apart first, so that how events were packed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import EVENTS, LABELS, Codec, Commit, Event, Label, Record, Source, Store
from streamlearn.service.tally import Tally


def finished(source: Source) -> list[Record]:
    """All that the log holds now."""
    records: list[Record] = []
    source.open({})
    before = None
    while True:
        batch, lag = source.poll(1.0), source.lag()
        records += batch
        # What is left and does not move is a last line that is not finished.
        if not batch and (not any(lag.values()) or lag == before):
            return records
        before = lag


def ordered(records: Sequence[Record], codec: Codec) -> list[Record]:
    """The records in replay's order, one event or label each."""
    runs, times = [], []
    for role, decode in ((EVENTS, codec.events), (LABELS, codec.labels)):
        decoded = [(record, decode(record)) for record in records if record.role == role]
        runs.append([codec.one(record, i) for record, found in decoded for i in range(len(found))])
        times.append([_time(value) for _, found in decoded for value in found])
    events, labels = runs
    if all(any(time is not None for time in run) for run in times):
        keys = [_filled(run) for run in times]
    else:
        keys = [[(i + 1) / len(run) for i in range(len(run))] for run in (events, labels)]
    merged = [(key, 0, i, record) for i, (key, record) in enumerate(zip(keys[0], events, strict=True))]
    merged += [(key, 1, i, record) for i, (key, record) in enumerate(zip(keys[1], labels, strict=True))]
    return [entry[3] for entry in sorted(merged, key=lambda entry: entry[:3])]


def replay(
    pipeline: Pipeline, store: Store, records: Sequence[Record], poll_size: int, progress: Callable[[int], None]
) -> None:
    """Run the records through the pipeline, `poll_size` at a time; progress(records done) is called now and then."""
    for start in range(0, len(records), poll_size):
        batch = records[start : start + poll_size]
        pipeline.step(batch, None)
        number = start // poll_size + 1
        store.commit(Commit(number, {}, b"", pipeline.ledger.take_changes(), {}, ()))
        pipeline.take_outbox()
        progress(start + len(batch))
    before = None
    while pipeline.state is not before:
        before = pipeline.state
        pipeline.settle()


def _time(value: Event | Label | Tally | str) -> float | None:
    return None if isinstance(value, str | Tally) else value.time


def _filled(times: list[float | None]) -> list[float]:
    """Never backwards within a topic: its own order comes first."""
    latest, filled = float("-inf"), []
    for time in times:
        latest = latest if time is None else max(latest, time)
        filled.append(latest)
    return filled
