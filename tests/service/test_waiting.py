"""A label that waits is kept so that it can be learned whatever format is spoken when its event comes."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec

from streamlearn import assemble
from streamlearn.config import Configuration, Kafka
from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.formats.protobuf import ProtobufCodec
from streamlearn.edges.memory import MemoryStore
from streamlearn.service import restore, waiting
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import EVENTS, LABELS, Changes, Commit, Label, Record, Waiting

RECORD = Record(LABELS, 1, 2, 3, b"k", b'{"id":"a","y":true}', 0, 4)


def test_it_comes_back_as_it_was_kept() -> None:
    for label in (
        Label("a", True, None, 1.0, None),
        Label("a", 2**53, [1.0, None, -math.inf], 0.5, 12.5),
        Label("a", 1.0, {"b": "red", "c": None, "d": False}, 1.0, None),
        Label("a", "no", [], 1.0, 0.0),
    ):
        record, found = waiting.read(waiting.kept(RECORD, label), JsonCodec())
        assert (RECORD, label) == (record, found)
        assert isinstance(found, Label)
        assert type(label.y) is type(found.y)


def test_of_a_large_record_only_the_beginning_is_kept_and_its_label_whole() -> None:
    large = RECORD._replace(value=b"[" + b"x" * 100_000 + b"]")
    label = Label("a", True, None, 1.0, None)
    stored = waiting.kept(large, label)
    record, found = waiting.read(stored, JsonCodec())
    assert 5000 > len(stored)
    assert (label, large.value[: waiting.KEPT_BYTES], 100_002) == (found, record.value, record.oversize)
    again, _ = waiting.read(waiting.kept(record, label), JsonCodec())
    assert again == record


def test_what_a_version_without_batches_kept_is_decoded_again() -> None:
    stored = msgspec.msgpack.encode(tuple(RECORD)[:7])
    expected = (RECORD._replace(place=None), Label("a", True, None, 1.0, None))
    assert expected == waiting.read(stored, JsonCodec())


def pipeline(format: str, store: MemoryStore) -> Pipeline:
    made = assemble.pipeline(replace(Configuration(), kafka=Kafka(format=format)), store.recall, Measurements())
    restore.put_back(made, store.load())
    return made


def commit(made: Pipeline, store: MemoryStore) -> None:
    changes = made.ledger.take_changes()
    store.commit(Commit(store.load().number + 1, {}, restore.take(made), changes, {}, made.take_outbox()))


def test_a_label_that_waits_is_learned_after_the_format_was_changed() -> None:
    store = MemoryStore()
    before = pipeline("json", store)
    before.step([Record(LABELS, 0, 0, 1, None, b'[{"id":"a","y":true},{"id":"b","y":false}]')], None)
    commit(before, store)
    assert ["a", "b"] == [entry.id for entry in store.load().waiting]
    after = pipeline("protobuf", store)
    event = wire.Event(id="b", array=wire.Array(values=[1.0, 2.0]))
    after.step([Record(EVENTS, 0, 0, 1, None, event.SerializeToString())], None)
    commit(after, store)
    (example,) = store.load().examples
    assert ("b", b"false") == (example.id, example.y)
    assert ["a"] == [entry.id for entry in store.load().waiting]


def test_one_that_a_version_before_kept_in_another_format_is_rejected_with_a_reason() -> None:
    store = MemoryStore()
    stored = msgspec.msgpack.encode((LABELS, 0, 0, 1, None, b'{"id":"a","y":true}', 0))
    empty = pipeline("json", MemoryStore())
    changes = Changes(waiting_added=[Waiting("a", 0, stored)])
    store.commit(Commit(1, {}, restore.take(empty), changes, {}, ()))
    after = pipeline("protobuf", store)
    event = wire.Event(id="a", array=wire.Array(values=[1.0, 2.0]))
    after.step([Record(EVENTS, 0, 0, 1, None, event.SerializeToString())], None)
    (message,) = (each for each in after.take_outbox() if each.role == "rejected")
    reject = wire.Rejected.FromString(message.value)
    assert ("labels", b'{"id":"a","y":true}') == (reject.topic, reject.value)
    assert "not a valid record" in reject.reason or "id is empty" in reject.reason
    assert isinstance(waiting.read(stored, ProtobufCodec())[1], str)
