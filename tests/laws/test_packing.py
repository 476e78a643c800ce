"""However many events and labels come in one record, and in whichever format, what comes of them is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn import assemble
from streamlearn.config import Configuration, Kafka, SchemaIds
from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.memory import MemoryStore
from streamlearn.service import replay, restore, waiting
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, Record
from tests.edges.formats import samples as formats
from tests.laws import logs
from tests.laws.logs import Trial

MODERATE = settings(max_examples=15, deadline=None, derandomize=True)
LOGS = st.builds(logs.log, seed=st.integers(0, 2**32), count=st.integers(1, 150))
SIZES = (1, 7, 64)
FRAME = b"\0\0\0\0\1"


def told(base: Configuration, format: str, framed: bool = False) -> Configuration:
    ids = SchemaIds(1, 2, 3) if framed else SchemaIds()
    return replace(base, kafka=Kafka(format=format, framing="schema-registry" if framed else "", schema_ids=ids))


def in_format(record: Record, format: str, framed: bool = False) -> Record:
    """A JSON record in another format; what is no JSON object of ours becomes bytes that are nothing there either."""
    if record.value is None:
        return record
    value, frame = record.value, FRAME if framed else b""
    if format == "protobuf":
        value, frame = _message(record), frame + (b"\0" if framed else b"")
    return record._replace(value=frame + value)


def _message(record: Record) -> bytes:
    assert record.value is not None
    try:
        fields = json.loads(record.value)
        return bytes(formats.message(record.role, fields | {"id": str(fields["id"])}).SerializeToString())
    except (ValueError, TypeError, KeyError, UnboundLocalError):
        return b"\xff" + record.value


def packed(records: Sequence[Record], size: int, format: str) -> list[Record]:
    """Up to `size` records that follow each other in one topic, as one; what is no entry of a batch stays alone."""

    def kind(record: Record) -> Any:
        return record.role, _can_be_packed(record, format) or object()

    found = []
    for _, group in groupby(records, kind):
        run = list(group)
        for start in range(0, len(run), size):
            some = run[start : start + size]
            values = [record.value for record in some if record.value is not None]
            one_by_one = size == 1 or not _can_be_packed(some[0], format)
            value = some[0].value if one_by_one else _batch(values, format)
            found.append(some[0]._replace(value=value, next=some[-1].next))
    return found


def _can_be_packed(record: Record, format: str) -> bool:
    if record.value is None or format == "protobuf":
        return record.value is not None
    try:
        return bool(json.loads(record.value))
    except ValueError:
        return False


def _batch(values: list[bytes], format: str) -> bytes:
    if format == "protobuf":
        return bytes(wire.Parts(parts=values).SerializeToString())
    return b"[" + b",".join(values) + b"]"


def run(configuration: Configuration, records: Sequence[Record], most: int | None = None) -> Trial:
    """Everything in one poll, or in as many steps as it takes where a step takes only so many events."""
    trial, left = logs.trial(configuration), list(records)
    while left:
        taken = trial.pipeline.step(left, None, most)
        assert taken > 0
        trial.poll(left[taken:taken])  # commits
        left = left[taken:]
    return trial


def rejects(trial: Trial, format: str) -> list[Any]:
    """Values and reasons, in order."""
    found = [message.value for message in trial.published if message.role == "rejected"]
    if format == "protobuf":
        each = [wire.Rejected.FromString(value) for value in found]
        return [(reject.value, reject.reason) for reject in each]
    return [(reject["value"], reject["reason"]) for reject in map(json.loads, found)]


def assert_same(base: Configuration, log: Sequence[Record], format: str) -> Trial:
    """Packed in any way: the same state to the byte, the same queries, the same rejects in the same order."""
    configuration = told(base, format)
    log = [in_format(record, format) for record in log]
    first = run(configuration, log)
    for size in SIZES:
        records = packed(log, size, format)
        for most in (None, 10):
            other = run(configuration, records, most)
            assert first.queries == other.queries
            assert rejects(first, format) == rejects(other, format)
            assert restore.take(first.pipeline) == restore.take(other.pipeline)
            assert restore.digest(first.pipeline) == restore.digest(other.pipeline)
            assert stored(first) == stored(other)
    return first


def stored(trial: Trial) -> list[Any]:
    """What the store holds row by row; labels that wait without the place where they were read."""
    saved = trial.store.load()
    waits = [
        (entry.id, entry.ordinal, waiting.read(entry.label, trial.pipeline.standing.codec)) for entry in saved.waiting
    ]
    labels = [(id, ordinal, record.value, label) for id, ordinal, (record, label) in waits]
    return [saved.event_ids, saved.pending, labels, saved.examples]


@MODERATE
@given(log=LOGS, remember=st.sampled_from([100_000, 5]), format=st.sampled_from(["json", "protobuf"]))
def test_how_a_random_log_is_packed_changes_nothing(log: list[Record], remember: int, format: str) -> None:
    assert_same(logs.configuration(remember=remember), log, format)


@pytest.mark.parametrize("format", ["json", "protobuf"])
def test_how_a_long_stream_is_packed_changes_nothing(format: str) -> None:
    stream = sorted(logs.stream(400), key=lambda record: record.role != EVENTS)  # long runs of one topic
    halves = stream[:150] + stream[400:500] + stream[150:400] + stream[500:]
    trial = assert_same(logs.configuration(), halves, format)
    assert len(trial.queries) > 20
    assert trial.pipeline.state.labels > 200


@MODERATE
@given(log=LOGS, framed=st.booleans())
def test_a_stream_in_protobuf_gives_the_digest_of_the_same_in_json(log: list[Record], framed: bool) -> None:
    base = logs.configuration()
    plain = run(base, log)
    other = run(told(base, "protobuf", framed), [in_format(record, "protobuf", framed) for record in log])
    framed_json = run(told(base, "json", framed), [in_format(record, "json", framed) for record in log])
    assert restore.digest(plain.pipeline) == restore.digest(other.pipeline) == restore.digest(framed_json.pipeline)
    assert len(plain.rejects) == len(other.rejects) == len(framed_json.rejects)
    assert restore.take(plain.pipeline) == restore.take(other.pipeline)
    asked = [json.loads(value)["id"] for value in plain.queries]
    assert asked == [wire.Query.FromString(value[7 if framed else 0 :]).id for value in other.queries]
    assert plain.queries == [value[5 if framed else 0 :] for value in framed_json.queries]


@MODERATE
@given(log=LOGS, size=st.sampled_from(SIZES), format=st.sampled_from(["json", "protobuf"]))
def test_replay_takes_batches_apart(log: list[Record], size: int, format: str) -> None:
    configuration = told(logs.configuration(), format)
    digests = set()
    records = [in_format(record, format) for record in log]
    for each in (records, packed(records, size, format)):
        store = MemoryStore()
        pipeline = assemble.pipeline(configuration, store.recall, Measurements())
        replay.replay(pipeline, store, replay.ordered(each, assemble.codec(configuration)), 16, lambda done: None)
        digests.add((restore.digest(pipeline), pipeline.standing.rejected))
    assert len(digests) == 1
