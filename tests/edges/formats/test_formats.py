"""JSON and Protobuf, alone and in batches, in frames and without: the same values, the same refusals, never an exception."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.formats.codec import BATCH_MOST, REJECTED_BYTES_MOST, WireCodec
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.formats.protobuf import ProtobufCodec
from streamlearn.service.ports import EVENTS, LABELS, Event, Label, Prediction, Query, Record, Shadow
from tests.edges.formats.samples import CODECS, decoded, encoded, events, features, labels, plain, record

MODERATE = settings(max_examples=150, deadline=None, derandomize=True)
ROLES = st.sampled_from([EVENTS, LABELS])
JSON, PROTOBUF = JsonCodec(), ProtobufCodec()
every_codec = pytest.mark.parametrize(
    ("name", "codec"), CODECS.items(), ids=[name.replace(" ", "-") for name in CODECS]
)
both = pytest.mark.parametrize("name", ["json", "protobuf"])


def read(name: str, role: str, *values: Any, batch: bool = False) -> list[Any]:
    return decoded(CODECS[name], record(role, encoded(name, role, *values, batch=batch)))


@MODERATE
@given(values=st.lists(events, min_size=1, max_size=4) | st.lists(labels, min_size=1, max_size=4), batch=st.booleans())
def test_what_is_written_in_either_format_is_read_as_the_same(values: list[Any], batch: bool) -> None:
    role, given_values = LABELS if "y" in values[0] else EVENTS, values if batch else values[:1]
    found = [[plain(each) for each in read(name, role, *given_values, batch=batch)] for name in CODECS]
    assert [value["id"] for value in given_values] == [each.id for each in found[0]]
    for name, other in zip(CODECS, found, strict=True):
        assert found[0] == other, name


@both
def test_an_event_is_read_as_it_was_written(name: str) -> None:
    (event,) = read(name, EVENTS, {"id": "ä", "x": {"b": 1.5, "a": True, "c": "red", "d": None}, "time": 0.1})
    assert ("ä", 0.1) == (event.id, event.time)
    assert [("b", 1.5), ("a", True), ("c", "red"), ("d", None)] == list(event.x.items())
    assert event.x["a"] is True


@both
def test_a_user_is_read_as_it_was_written_and_nobody_where_there_is_none(name: str) -> None:
    for role, value in ((EVENTS, {"id": "a", "x": [1.0]}), (LABELS, {"id": "a", "x": [1.0], "y": True})):
        assert ["zoë", ""] == [read(name, role, each)[0].user for each in (value | {"user": "zoë"}, value)]


def test_in_json_a_user_may_be_a_whole_number_or_null() -> None:
    for written, user in (("7", "7"), ('"7"', "7"), ("null", ""), ('""', "")):
        (event,) = JSON.events(record(EVENTS, b'{"id": 1, "x": [1], "user": %s}' % written.encode()))
        assert not isinstance(event, str)
        assert user == event.user


@both
@pytest.mark.parametrize("y", [True, 1, 1.0, "yes", 2**53, 0, 0.0, "", False, None])
def test_a_label_keeps_its_kind(name: str, y: object) -> None:
    (label,) = read(name, LABELS, {"id": "a", "y": y})
    assert Label("a", y, None, 1.0, None) == label  # type: ignore[arg-type]
    assert type(y) is type(label.y)


def test_in_protobuf_nan_is_a_value_that_is_missing() -> None:
    x = wire.Map(features=[wire.Feature(name="a", number=math.nan), wire.Feature(name="b")])
    (event,) = PROTOBUF.events(record(EVENTS, wire.Event(id="a", map=x).SerializeToString()))
    assert not isinstance(event, str)
    assert {"a": None, "b": None} == event.x


def test_of_two_features_with_one_name_the_later_one_counts() -> None:
    x = wire.Map(features=[wire.Feature(name="a", number=1), wire.Feature(name="a", text="no")])
    (event,) = PROTOBUF.events(record(EVENTS, wire.Event(id="a", map=x).SerializeToString()))
    assert not isinstance(event, str)
    assert {"a": "no"} == event.x


BAD: list[tuple[str, dict[str, Any], str]] = [
    (EVENTS, {"id": "", "x": [1.0]}, "id is empty or longer than 512 bytes"),
    (EVENTS, {"id": "ä" * 257, "x": [1.0]}, "id is empty or longer than 512 bytes"),
    (EVENTS, {"id": "a"}, " x"),
    (EVENTS, {"id": "a", "x": [1.0], "user": "ä" * 257}, "user is longer than 512 bytes"),
    (LABELS, {"id": "a", "y": 1.0, "user": "ä" * 257}, "user is longer than 512 bytes"),
    (LABELS, {"id": "", "y": 1.0}, "id is empty or longer than 512 bytes"),
    (LABELS, {"id": "a", "y": 2**53 + 1}, "label is a whole number beyond 2^53"),
    (LABELS, {"id": "a", "y": -(2**53) - 1}, "label is a whole number beyond 2^53"),
    (LABELS, {"id": "a", "y": 1.0, "weight": 0.0}, "weight is not above 0"),
    (LABELS, {"id": "a", "y": 1.0, "weight": 2e9}, "weight is not above 0"),
]


@both
@pytest.mark.parametrize(("role", "value", "reason"), BAD)
def test_what_cannot_be_meant_is_refused_in_both_formats_alone_and_beside_others(
    name: str, role: str, value: dict[str, Any], reason: str
) -> None:
    good = {"id": "good", "x": [1.0], "y": True} if role == LABELS else {"id": "good", "x": [1.0]}
    (alone,) = read(name, role, value)
    before, inside, after = read(name, role, good, value, good, batch=True)
    assert reason.strip() in alone
    assert alone == inside
    assert before == after
    assert not isinstance(before, str)


Y = wire.Answer(boolean=True)
BAD_MESSAGES = [
    (EVENTS, wire.Event(id="a", array=wire.Array(values=[1]), time=math.inf), "time is no number of seconds"),
    (EVENTS, wire.Event(id="a", array=wire.Array(values=[1]), time=math.nan), "time is no number of seconds"),
    (EVENTS, wire.Query(id="a", score=1.0), "event has no x"),
    (EVENTS, wire.Prediction(prediction=Y), "id is empty"),
    (LABELS, wire.Label(id="a"), "label has no y"),
    (LABELS, wire.Label(id="a", y=wire.Answer()), "label has no y"),
    (LABELS, wire.Label(id="a", y=wire.Answer(forgotten=False)), "label has forgotten = false"),
    (LABELS, wire.Label(id="a", y=wire.Answer(number=math.nan)), "label is not a finite number"),
    (LABELS, wire.Label(id="a", y=wire.Answer(number=-math.inf)), "label is not a finite number"),
    (LABELS, wire.Label(id="a", y=Y, weight=math.nan), "weight is not above 0"),
    (LABELS, wire.Label(id="a", y=Y, weight=math.inf), "weight is not above 0"),
]


@pytest.mark.parametrize(("role", "message", "reason"), BAD_MESSAGES)
def test_what_only_protobuf_can_say_is_refused_too(role: str, message: Any, reason: str) -> None:
    (found,) = decoded(PROTOBUF, record(role, message.SerializeToString()))
    assert isinstance(found, str)
    assert reason in found


def test_a_message_that_was_cut_off_is_refused_at_every_byte_or_says_less() -> None:
    whole = wire.Event(id="abc", array=wire.Array(values=[1.0, 2.0]), time=3.0).SerializeToString()
    for stop in range(len(whole)):
        (found,) = PROTOBUF.events(record(EVENTS, whole[:stop]))
        if not isinstance(found, str):  # a cut between two fields is a message
            assert ("abc", [1.0, 2.0], None) == found[:3]


def test_fields_that_are_not_known_are_ignored() -> None:
    more = b"\xfa\x3f\x03new" + b"\x80\x40\x07"  # fields 127, bytes, and 1024, a number
    event, batch = {"id": "a", "x": [1.0]}, encoded("protobuf", EVENTS, {"id": "a", "x": [1.0]}, batch=True)
    expected = read("protobuf", EVENTS, event)
    for value in (encoded("protobuf", EVENTS, event) + more, more + encoded("protobuf", EVENTS, event)):
        assert expected == decoded(PROTOBUF, record(EVENTS, value))
    for value in (batch + more, more + batch):
        assert expected == decoded(PROTOBUF, record(EVENTS, value))
    assert read("json", EVENTS, event) == read("json", EVENTS, event | {"new": [[1], {"a": 2}]})


@every_codec
def test_a_fault_in_one_of_a_batch_rejects_that_one_with_its_own_bytes(name: str, codec: WireCodec) -> None:
    values = [{"id": f"e{i}", "x": [float(i)]} for i in range(5)]
    values[2], values[4] = {"id": "", "x": [2.0]}, {"id": "e4", "y": "no x"}
    if "protobuf" in name:
        values[4] = {"id": "e4"}
    whole = record(EVENTS, encoded(name, EVENTS, *values, batch=True), b"key")
    found = codec.events(whole)
    assert [False, False, True, False, True] == [isinstance(each, str) for each in found]
    for i, value in enumerate(values):
        one = codec.one(whole, i)
        assert (EVENTS, 3, 41, 42, b"key", i) == (one.role, one.partition, one.offset, one.next, one.key, one.place)
        alone = encoded(name, EVENTS, value).replace(b"\x12\x34\x02\x06", b"\x12\x34\x00")  # the message is Event
        assert alone == one.value
        assert [found[i]] == codec.events(one)
        assert one is codec.one(one, 0)


@pytest.mark.parametrize("id", [b"single", b"\xff"])
def test_what_has_an_id_and_a_batch_is_what_it_begins_with(id: bytes) -> None:
    batch = encoded("protobuf", EVENTS, {"id": "a", "x": [1.0]}, {"id": "b", "x": [2.0]}, batch=True)
    single = b"\x0a" + bytes([len(id)]) + id + b"\x12\x00"
    mixed = record(EVENTS, batch + single)
    assert ["a", "b"] == [each if isinstance(each, str) else each.id for each in PROTOBUF.events(mixed)]
    assert [PROTOBUF.events(mixed)[1]] == PROTOBUF.events(PROTOBUF.one(mixed, 1))
    mixed = record(EVENTS, single + batch)
    (found,) = PROTOBUF.events(mixed)
    assert isinstance(found, str) == (id == b"\xff")
    assert mixed is PROTOBUF.one(mixed, 0)


def test_one_entry_that_is_no_message_rejects_that_one() -> None:
    good = wire.Event(id="a", array=wire.Array(values=[1])).SerializeToString()
    for bad in (b"\xff", b"\x0a\x01\xff", good[:-1]):
        batch = wire.Parts(parts=[good, bad, good]).SerializeToString()
        first, second, third = PROTOBUF.events(record(EVENTS, batch))
        assert first == third
        assert isinstance(second, str)
        assert "not a valid record" in second
        assert bad == PROTOBUF.one(record(EVENTS, batch), 1).value


def test_a_batch_that_cannot_be_read_is_rejected_whole() -> None:
    for value in (b'[{"id":"a","x":[1]},', b'[{"id":"a","x":[1]} {"id":"b","x":[1]}]', b"[1,2", b'["a]'):
        (found,) = JSON.events(record(EVENTS, value))
        assert isinstance(found, str)
        assert record(EVENTS, value) == JSON.one(record(EVENTS, value), 0)
    batch = encoded("protobuf", EVENTS, {"id": "a", "x": [1.0]}, {"id": "b", "x": [1.0]}, batch=True)
    (found,) = PROTOBUF.events(record(EVENTS, batch[:-1]))
    assert isinstance(found, str)
    assert record(EVENTS, batch[:-1]) == PROTOBUF.one(record(EVENTS, batch[:-1]), 0)


def test_an_empty_batch_is_refused_and_so_is_one_too_long() -> None:
    assert ["batch is empty"] == JSON.events(record(EVENTS, b"[]"))
    for codec, event in ((JSON, b'{"id":1,"x":[]}'), (PROTOBUF, b"\x7a\x00")):
        parts = [event] * (BATCH_MOST + 1)
        value = b"[" + b",".join(parts) + b"]" if codec is JSON else b"".join(parts)
        whole = record(EVENTS, value)
        assert [f"batch has {BATCH_MOST + 1} entries, more than {BATCH_MOST}"] == codec.events(whole)
        assert whole is codec.one(whole, 0)


@every_codec
def test_a_null_value_forgets_by_its_key_and_is_no_event(name: str, codec: WireCodec) -> None:
    assert ["event has no value"] == codec.events(record(EVENTS, None))
    assert [Label("ä", None, None, 1.0, None)] == codec.labels(record(LABELS, None, "ä".encode()))
    assert ["a null label needs a key"] == codec.labels(record(LABELS, None))
    assert ["id is empty or longer than 512 bytes"] == codec.labels(record(LABELS, None, b""))
    (found,) = codec.labels(record(LABELS, None, b"\xff"))
    assert isinstance(found, str)


@every_codec
def test_what_was_too_large_to_be_read_is_refused(name: str, codec: WireCodec) -> None:
    for role in (EVENTS, LABELS):
        cut = Record(role, 0, 0, 1, None, b"[", 300_000)
        assert ["record has 300000 bytes, too many"] == decoded(codec, cut)
        assert cut is codec.one(cut, 0)
        key_alone = Record(role, 0, 0, 1, b"k", None, 300_000)
        assert ["record has 300000 bytes, too many"] == decoded(codec, key_alone)


VALID = st.builds(lambda name, values: encoded(name, EVENTS, *values, batch=len(values) > 1),
                  st.sampled_from(list(CODECS)), st.lists(events, min_size=1, max_size=3))  # fmt: skip
DAMAGED = st.builds(
    lambda value, at, some, cut: value[: at % (len(value) + 1)] + some + value[at % (len(value) + 1) + cut :],
    VALID,
    st.integers(0, 10_000),
    st.binary(max_size=4),
    st.integers(0, 5),
)
FRAMED_NOISE = st.builds(
    lambda head, noise: head + noise, st.sampled_from([b"", b"\0\0\0\0\1", b"\x7a", b"["]), st.binary()
)


@settings(MODERATE, max_examples=500)
@given(value=FRAMED_NOISE | DAMAGED, role=ROLES, key=st.none() | st.binary(max_size=8))
@example(value=b"[" * 100_000, role=EVENTS, key=None)
@example(value=b'[{"id":"a","more":' + b"[" * 100_000, role=LABELS, key=None)
@example(value=b"\x7b" * 100_000, role=EVENTS, key=None)  # groups in groups
def test_no_bytes_raise_and_what_is_said_of_each_is_said_of_it_alone(
    value: bytes, role: str, key: bytes | None
) -> None:
    whole = record(role, value, key)
    for name, codec in CODECS.items():
        found = decoded(codec, whole)
        assert found, name
        for i, each in enumerate(found):
            one = codec.one(whole, i)
            assert [repr(each)] == list(map(repr, decoded(codec, one))), name  # NaN is not itself
            assert codec.rejected(one, "why")
        assert codec.asked(whole)


def payload(name: str, value: bytes, role: str) -> bytes:
    """What is behind a frame of ours."""
    if "framed" not in name:
        return value
    head = {"queries": b"\0\0\0\0\7", "predictions": b"\0\0\0\0\x08", "rejected": b"\0\0\0\1\x2c"}[role]
    path = {"queries": b"\2\x08", "predictions": b"\2\x0a", "rejected": b"\2\x0c"}[role] if "protobuf" in name else b""
    assert value.startswith(head + path)
    return value[len(head + path) :]


def as_json(name: str, value: bytes, role: str) -> dict[str, Any]:
    """What was published, by the names that it has in JSON."""
    payload_ = payload(name, value, role)
    if "protobuf" not in name:
        told: dict[str, Any] = {"shadows": []} | json.loads(payload_)
        return told
    message = {"queries": wire.Query, "predictions": wire.Prediction}[role].FromString(payload_)
    found: dict[str, Any] = {"score": None, "prediction": None, "trusted": False, "model_version": 0, "shadows": []}
    if role == "queries":
        found["threshold"] = None
    for field, each in message.ListFields():
        if field.name == "prediction":
            found["prediction"] = getattr(each, each.WhichOneof("kind"))
        elif field.name == "array":
            found["x"] = [None if math.isnan(number) else number for number in each.values]
        elif field.name == "map":
            kinds = [(part.name, part.WhichOneof("value"), part) for part in each.features]
            found["x"] = {name: getattr(part, kind) if kind else None for name, kind, part in kinds}
        elif field.name == "shadows":
            found["shadows"] = [
                {"strategy": one.strategy, "score": one.score if one.HasField("score") else None, "asks": one.asks}
                for one in each
            ]
        elif field.name not in ("time", "expires"):
            found[field.name] = each
    return found


def plainly(shadows: tuple[Shadow, ...]) -> list[dict[str, Any]]:
    return [asdict(each) for each in shadows]


scores = st.none() | st.floats(allow_nan=False, allow_infinity=False)
predictions = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9) | scores


@MODERATE
@given(
    x=features,
    score=scores,
    trusted=st.booleans(),
    prediction=predictions,
    version=st.integers(0, 2**53),
    shadows=st.lists(st.builds(Shadow, st.sampled_from(["sld", "flip"]), scores, st.booleans()), max_size=2).map(tuple),
    user=st.text(max_size=9),
)
def test_queries_and_predictions_say_the_same_in_both_formats(
    x: Any, score: float | None, trusted: bool, prediction: Any, version: int, shadows: tuple[Shadow, ...], user: str
) -> None:
    query = Query(
        "ä", x, score, trusted, "sld", "audit", 0.125, prediction, version, 1e9 + 0.25, 2e9, score, shadows, user
    )
    short = Prediction("ä", prediction, score, trusted, version, shadows)
    for name, codec in CODECS.items():
        told = as_json(name, codec.query(query), "queries")
        told.pop("time", None)
        told.pop("expires", None)
        expected = {each: value for each, value in query._asdict().items() if each not in ("time", "expires")}
        expected["shadows"] = plainly(shadows)
        assert expected == {"user": ""} | told, name
        assert type(prediction) is type(told["prediction"]) or isinstance(prediction, float)
        back = codec.asked(record(EVENTS, codec.query(query)))
        assert not isinstance(back, str)
        assert ("ä", "audit", version, 1e9 + 0.25, 2e9) == (back.id, back.reason, back.model_version, *back[4:6])
        assert user == back.user
        assert plain(Event("ä", x, None)).x == plain(Event("ä", back.x, None)).x
        told = as_json(name, codec.prediction(short), "predictions")
        assert short._asdict() | {"shadows": plainly(shadows)} == told, name


def test_a_querys_moments_are_seconds_and_left_out_where_nobody_told_them() -> None:
    query = Query("a", [1.0], None, True, "sld", "score", 1.0, None, 0, 1234.5, 5678.25)
    told = wire.Query.FromString(PROTOBUF.query(query))
    assert (1234.5, 5678.25, False, False) == (
        told.time,
        told.expires,
        told.HasField("score"),
        told.HasField("prediction"),
    )
    unknown = wire.Query.FromString(PROTOBUF.query(query._replace(time=0.0)))
    assert not unknown.HasField("time")
    assert json.loads(JSON.query(query._replace(time=0.0)))["time"] is None


@every_codec
def test_what_is_no_query_is_told_with_a_reason(name: str, codec: WireCodec) -> None:
    for value in (None, b"", b"{}", b"\0\0\0\0\1", encoded(name, EVENTS, {"id": "a", "x": [1.0]})):
        assert isinstance(codec.asked(record(EVENTS, value)), str)
    query = Query("a", [1.0], None, True, "sld", "score", 1.0, None, 0, 0.0, 0.0)
    back = codec.asked(record(EVENTS, codec.query(query)))
    assert not isinstance(back, str)
    assert (0.0, math.inf) == (back.time, back.expires)


def test_a_reject_says_where_it_was_read_and_what_it_was() -> None:
    told = wire.Rejected.FromString(PROTOBUF.rejected(record(LABELS, b"\xff\0", b"k")._replace(place=7), "why"))
    expected = wire.Rejected(topic="labels", partition=3, offset=41, index=7, reason="why", key=b"k", value=b"\xff\0")
    assert expected == told
    told = wire.Rejected.FromString(PROTOBUF.rejected(record(EVENTS, None), "why"))
    assert not any(told.HasField(name) for name in ("index", "key", "value", "size"))
    size = 200 << 10
    told = wire.Rejected.FromString(PROTOBUF.rejected(record(EVENTS, b"x" * size), "why"))
    assert (size, REJECTED_BYTES_MOST) == (told.size, len(told.value))
    in_json = json.loads(JSON.rejected(record(EVENTS, b"{}")._replace(place=2), "why"))
    assert {
        "topic": "events",
        "partition": 3,
        "offset": 41,
        "index": 2,
        "reason": "why",
        "key": None,
        "value": "{}",
    } == in_json
