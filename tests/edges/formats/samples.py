"""The same events and labels in both formats, and codecs of every kind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.formats.codec import WireCodec
from streamlearn.edges.formats.frames import Frames
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.formats.protobuf import MESSAGES, ProtobufCodec
from streamlearn.service.ports import EVENTS, LABELS, Record

IDS = {"queries": 7, "predictions": 8, "rejected": 300}
CODECS = {
    "json": JsonCodec(),
    "protobuf": ProtobufCodec(),
    "framed json": JsonCodec(Frames(IDS)),
    "framed protobuf": ProtobufCodec(Frames(IDS, MESSAGES)),
}

texts = st.text(max_size=20)
ids = st.text(min_size=1, max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
features = st.lists(numbers | st.booleans() | st.none(), max_size=6) | st.dictionaries(
    texts, numbers | st.booleans() | texts | st.none(), max_size=6
)
answers = numbers | st.booleans() | texts | st.integers(-(2**53), 2**53) | st.none()
times = st.fixed_dictionaries({}, optional={"time": numbers, "user": texts})
events = st.builds(lambda id, x, time: {"id": id, "x": x} | time, ids, features, times)
labels = st.builds(
    lambda id, y, more, time: {"id": id, "y": y} | more | time,
    ids,
    answers,
    st.fixed_dictionaries({}, optional={"x": features, "weight": st.floats(1e-300, 1e9)}),
    times,
)


def record(role: str, value: bytes | None, key: bytes | None = None) -> Record:
    return Record(role, 3, 41, 42, key, value)


def message(role: str, value: Mapping[str, Any]) -> Any:
    """What is a JSON object in JSON, as its message."""
    fields = {name: each for name, each in value.items() if name not in ("x", "y")}
    if "x" in value:
        fields |= features_of(value["x"])
    if role == LABELS:
        return wire.Label(y=answer(value["y"]), **fields)
    return wire.Event(**fields)


def features_of(x: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(x, Mapping):
        return {"map": wire.Map(features=[feature(name, value) for name, value in x.items()])}
    return {"array": wire.Array(values=[math.nan if value is None else value for value in x])}


def feature(name: str, value: Any) -> Any:
    if value is None:
        return wire.Feature(name=name)
    if isinstance(value, bool):
        return wire.Feature(name=name, boolean=value)
    return wire.Feature(name=name, text=value) if isinstance(value, str) else wire.Feature(name=name, number=value)


def answer(y: Any) -> Any:
    if y is None:
        return wire.Answer(forgotten=True)
    if isinstance(y, bool):
        return wire.Answer(boolean=y)
    if isinstance(y, int):
        return wire.Answer(integer=y)
    return wire.Answer(text=y) if isinstance(y, str) else wire.Answer(number=y)


def in_json(role: str, *values: Mapping[str, Any], batch: bool = False) -> bytes:
    return json.dumps(list(values) if batch else values[0], ensure_ascii=False).encode()


def in_protobuf(role: str, *values: Mapping[str, Any], batch: bool = False) -> bytes:
    made = [message(role, value) for value in values]
    if not batch:
        return bytes(made[0].SerializeToString())
    packed = wire.EventBatch(events=made) if role == EVENTS else wire.LabelBatch(labels=made)
    return bytes(packed.SerializeToString())


def encoded(name: str, role: str, *values: Mapping[str, Any], batch: bool = False) -> bytes:
    """Values as a producer of this format would write them, here with messages of a schema of its own making."""
    payload = (in_protobuf if "protobuf" in name else in_json)(role, *values, batch=batch)
    if "framed" not in name:
        return payload
    return b"\x00\x00\x00\x12\x34" + (b"\x02\x06" if "protobuf" in name else b"") + payload


def decoded(codec: WireCodec, read: Record) -> list[Any]:
    """What the codec makes of it."""
    return list(codec.events(read) if read.role == EVENTS else codec.labels(read))


def plain(value: Any) -> Any:
    """Values to compare: missing is missing, and in an array a truth value is a number, as the model is told."""
    if isinstance(value, str):
        return value
    x = value.x
    if isinstance(x, Sequence):
        x = [None if each is None or math.isnan(each) else float(each) for each in x]
    elif x is not None:
        x = [(name, type(each), each) for name, each in x.items()]  # in order
    return value._replace(x=x)
