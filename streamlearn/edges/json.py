"""JSON on the wire: one object a record, decoded and validated in one pass by msgspec.

An id may be a string or a whole number (kept as its text). NaN and infinities are not JSON and are refused; so are numbers
beyond the range of a double. `time` is seconds since 1970 or an ISO 8601 text.
"""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from typing import final

import msgspec

from streamlearn.service.ports import Asked, Codec, Event, Label, Prediction, Query, Record

ID_BYTES_MOST = 512
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it
REJECTED_BYTES_MOST = 128 << 10  # of a rejected record's value: escaped it may be six times as long

Features = list[float | bool | None] | dict[str, float | bool | str | None]


@final
class _Event(msgspec.Struct):
    id: str | int
    x: Features
    time: float | str | None = None


@final
class _Label(msgspec.Struct):
    id: str | int
    y: bool | int | float | str | None
    x: Features | None = None
    weight: float = 1.0
    time: float | str | None = None


@final
class _Asked(msgspec.Struct):
    id: str | int
    x: Features
    reason: str
    model_version: int
    time: float | str | None = None
    expires: float | str | None = None


@final
class JsonCodec(Codec):
    """Stateless; the decoders are made once."""

    def __init__(self) -> None:
        self._event = msgspec.json.Decoder(_Event)
        self._label = msgspec.json.Decoder(_Label)
        self._asked = msgspec.json.Decoder(_Asked)

    def event(self, record: Record) -> Event | str:
        if record.oversize:
            return f"record has {record.oversize} bytes, too many"
        if record.value is None:
            return "event has no value"
        try:
            wire = self._event.decode(record.value.removeprefix(BYTE_ORDER_MARK))
            return Event(_id(wire.id), wire.x, _time(wire.time))
        except (msgspec.MsgspecError, ValueError) as error:
            return _reason(error)

    def label(self, record: Record) -> Label | str:
        if record.oversize:
            return f"record has {record.oversize} bytes, too many"
        try:
            if record.value is None:
                if record.key is None:
                    return "a null label needs a key"
                return Label(_id(record.key.decode()), None, None, 1.0, None)
            wire = self._label.decode(record.value.removeprefix(BYTE_ORDER_MARK))
            if not 0.0 < wire.weight <= 1e9:
                return "weight is not above 0"
            if isinstance(wire.y, int) and not isinstance(wire.y, bool) and abs(wire.y) > 2**53:
                return "label is a whole number beyond 2^53"
            return Label(_id(wire.id), wire.y, wire.x, wire.weight, _time(wire.time))
        except (msgspec.MsgspecError, ValueError) as error:
            return _reason(error)

    def query(self, query: Query) -> bytes:
        fields = query._asdict()
        fields["time"], fields["expires"] = _iso(query.time), _iso(query.expires)
        return msgspec.json.encode(fields)

    def asked(self, record: Record) -> Asked | str:
        if record.oversize or record.value is None:
            return "a query is empty or too large"
        try:
            wire = self._asked.decode(record.value)
            time, expires = _time(wire.time) or 0.0, _time(wire.expires)
            expires = math.inf if expires is None else expires
            return Asked(_id(wire.id), wire.x, wire.reason, wire.model_version, time, expires)
        except (msgspec.MsgspecError, ValueError) as error:
            return _reason(error)

    def prediction(self, prediction: Prediction) -> bytes:
        return msgspec.json.encode(prediction._asdict())

    def rejected(self, record: Record, reason: str) -> bytes:
        fields: dict[str, object] = {
            "topic": record.role,
            "partition": record.partition,
            "offset": record.offset,
            "reason": reason,
        }
        value, size = record.value, record.oversize or len(record.value or b"")
        if value is not None and size > min(len(value), REJECTED_BYTES_MOST):
            fields["bytes"], value = size, value[:REJECTED_BYTES_MOST]  # the value is its beginning
        return msgspec.json.encode(fields | _text("key", record.key) | _text("value", value))

    def waiting(self, record: Record) -> bytes:
        return msgspec.msgpack.encode(tuple(record))

    def waited(self, stored: bytes) -> Record:
        return Record(*msgspec.msgpack.decode(stored, type=tuple[str, int, int, int, bytes | None, bytes | None, int]))


def _id(value: str | int) -> str:
    text = str(value)
    if not text or len(text.encode()) > ID_BYTES_MOST:
        raise ValueError(f"id is empty or longer than {ID_BYTES_MOST} bytes")
    return text


def _time(value: float | str | None) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("time is neither seconds since 1970 nor ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(seconds: float) -> str | None:
    if not 0.0 < seconds < 2.5e11:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _reason(error: Exception) -> str:
    return str(error) if type(error) is ValueError else f"not a valid record: {error}"


def _text(name: str, value: bytes | None) -> dict[str, object]:
    """The bytes as text where they are text, else in base64 under another name."""
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value or b"").decode()}
