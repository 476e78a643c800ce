"""Protobuf on the wire: the messages of `protos/`, which hold what the JSON holds.

An event and a batch of them are told apart by their fields, since a batch has one that nothing else has. NaN in `x` is a
value that is missing, as null is in JSON; an infinity is a number that is too large for a feature, and refused as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, final

from google.protobuf.message import DecodeError

from streamlearn.edges.formats import wire_pb2 as wire
from streamlearn.edges.formats.codec import WireCodec, entries, identity, labeled, reason, whose
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    PREDICTIONS,
    QUERIES,
    REJECTED,
    Asked,
    Event,
    Label,
    Prediction,
    Query,
    Record,
    Shadow,
)

T = TypeVar("T")
BATCH = b"\x7a"  # how a batch begins: field 15, with a length
FAULTS = (DecodeError, ValueError)
FIELDS = {bool: "boolean", int: "integer", float: "number", str: "text"}
MESSAGES = {  # each role's message, by its place in the file
    role: list(wire.DESCRIPTOR.message_types_by_name).index(name)
    for role, name in {
        EVENTS: "Event",
        LABELS: "Label",
        QUERIES: "Query",
        PREDICTIONS: "Prediction",
        REJECTED: "Rejected",
    }.items()
}


@final
class ProtobufCodec(WireCodec):
    """Messages out of bytes and into bytes; `frames` need `MESSAGES`."""

    def _events(self, payload: bytes) -> Sequence[Event | str]:
        return self._values(payload, _events, wire.Event.FromString, _event)

    def _labels(self, payload: bytes) -> Sequence[Label | str]:
        return self._values(payload, _labels, wire.Label.FromString, _label)

    def _values(
        self,
        payload: bytes,
        batch: Callable[[bytes], list[T | str]],
        single: Callable[[bytes], Any],
        value: Callable[[Any], T | str],
    ) -> Sequence[T | str]:
        """All at once; one by one where that does not go, so that one fault does not touch the others."""
        try:
            if payload.startswith(BATCH):
                return batch(payload)
            found = single(payload)
            if found.id:
                return [value(found)]
        except FAULTS:
            ...
        return entries(self._parts(payload) or [payload], lambda part: _alone(part, single, value))

    def _parts(self, payload: bytes) -> Sequence[bytes]:
        try:
            found = wire.Parts.FromString(payload)
        except FAULTS:
            return ()
        return () if found.id and not payload.startswith(BATCH) else found.parts[:]

    def _query(self, query: Query) -> bytes:
        fields = query._asdict() | _told(query.x) | {"prediction": _answer(query.prediction)}
        fields["shadows"] = _shadows(query.shadows)
        del fields["x"]
        fields["time"], fields["expires"] = _known(query.time), _known(query.expires)
        return _bytes(wire.Query(**fields))

    def _asked(self, payload: bytes) -> Asked | str:
        try:
            query = wire.Query.FromString(payload)
            id, x = identity(query.id), _features(query)
            expires = query.expires if query.HasField("expires") else math.inf
            if x is None or not query.reason:
                return "a query says too little"
            return Asked(id, x, query.reason, query.model_version, query.time, expires, whose(query.user))
        except FAULTS as error:
            return reason(error)

    def _prediction(self, prediction: Prediction) -> bytes:
        fields = prediction._asdict() | {"prediction": _answer(prediction.prediction)}
        return _bytes(wire.Prediction(**fields | {"shadows": _shadows(prediction.shadows)}))

    def _rejected(self, record: Record, reason: str, size: int) -> bytes:
        message = wire.Rejected(
            topic=record.role,
            partition=record.partition,
            offset=record.offset,
            index=record.place,
            reason=reason,
            key=record.key,
            value=record.value,
            size=size or None,
        )
        return _bytes(message)


def _bytes(message: Any) -> bytes:
    """The same message gives the same bytes: there are no map fields, which have no order."""
    data: bytes = message.SerializeToString()
    return data


def _alone(part: bytes, parse: Callable[[bytes], Any], value: Callable[[Any], T | str]) -> T | str:
    try:
        return value(parse(part))
    except FAULTS as error:
        return reason(error)


def _events(payload: bytes) -> list[Event | str]:
    return entries(wire.EventBatch.FromString(payload).events, _event)


def _labels(payload: bytes) -> list[Label | str]:
    return entries(wire.LabelBatch.FromString(payload).labels, _label)


def _event(message: Any) -> Event | str:
    try:
        id, x = identity(message.id), _features(message)
        if x is None:
            return "event has no x"
        return Event(id, x, _time(message) if message.HasField("time") else None, None, whose(message.user))
    except ValueError as error:
        return reason(error)


def _label(message: Any) -> Label | str:
    try:
        weight = message.weight if message.HasField("weight") else 1.0
        time = _time(message) if message.HasField("time") else None
        return labeled(Label(identity(message.id), _y(message), _features(message), weight, time, whose(message.user)))
    except ValueError as error:
        return reason(error)


def _features(message: Any) -> list[float] | dict[str, float | bool | str | None] | None:
    values: list[float] = message.array.values[:]
    if values or message.HasField("array"):  # asking costs as much as reading, so it comes second
        return values
    if not message.HasField("map"):
        return None
    found: dict[str, float | bool | str | None] = {}
    for feature in message.map.features:
        value = feature.number or feature.text or _whichever(feature)
        found[feature.name] = value if value == value else None  # NaN is no value
    return found


def _whichever(feature: Any) -> float | bool | str | None:
    kind = feature.WhichOneof("value")
    value: float | bool | str | None = None if kind is None else getattr(feature, kind)
    return value


def _time(message: Any) -> float:
    if not math.isfinite(message.time):
        raise ValueError("time is no number of seconds since 1970")
    return float(message.time)


def _y(message: Any) -> bool | int | float | str | None:
    kind = message.y.WhichOneof("kind")
    if kind is None:
        raise ValueError("label has no y")
    value: bool | int | float | str = getattr(message.y, kind)
    if kind == "forgotten":
        if not value:
            raise ValueError("label has forgotten = false; leave it out, and say what y is")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("label is not a finite number")
    return value


def _answer(value: bool | int | float | str | None) -> Any:
    kind: dict[str, Any] = {} if value is None else {FIELDS[type(value)]: value}
    return wire.Answer(**kind) if kind else None


def _shadows(shadows: Sequence[Shadow]) -> list[Any]:
    return [wire.Shadow(strategy=each.strategy, score=each.score, asks=each.asks) for each in shadows]


def _told(x: object) -> dict[str, Any]:
    """The field of a message that holds these features."""
    if isinstance(x, Mapping):
        features = [wire.Feature(name=name, **_field(value)) for name, value in x.items()]
        return {"map": wire.Map(features=features)}
    assert isinstance(x, Sequence), type(x)
    return {"array": wire.Array(values=[math.nan if value is None else value for value in x])}


def _field(value: float | bool | str | None) -> dict[str, Any]:
    return {} if value is None else {"number" if type(value) is int else FIELDS[type(value)]: value}


def _known(seconds: float) -> float | None:
    """As in JSON, a moment that nobody told is left out."""
    return seconds if seconds > 0.0 else None
