"""JSON on the wire: an object, or an array of objects, a record; decoded and validated in one pass by msgspec.

An id may be a string or a whole number (kept as its text). NaN and infinities are not JSON and are refused; so are numbers
beyond the range of a double. `time` is seconds since 1970 or an ISO 8601 text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar, final

import msgspec

from streamlearn.edges.formats.codec import WireCodec, entries, identity, labeled, reason, whose
from streamlearn.edges.formats.frames import Frames
from streamlearn.service.ports import Asked, Event, Label, Prediction, Query, Record

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it
FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)

Features = list[float | bool | None] | dict[str, float | bool | str | None]


@final
class _Event(msgspec.Struct):
    id: str | int
    x: Features
    time: float | str | None = None
    user: str | int | None = None


@final
class _Label(msgspec.Struct):
    id: str | int
    y: bool | int | float | str | None
    x: Features | None = None
    weight: float = 1.0
    time: float | str | None = None
    user: str | int | None = None


W = TypeVar("W")  # as on the wire
T = TypeVar("T")


@final
class _Asked(msgspec.Struct):
    id: str | int
    x: Features
    reason: str
    model_version: int
    time: float | str | None = None
    expires: float | str | None = None
    user: str | int | None = None


@final
class JsonCodec(WireCodec):
    """The decoders are made once."""

    def __init__(self, frames: Frames | None = None) -> None:
        super().__init__(frames)
        self._event, self._label = msgspec.json.Decoder(_Event), msgspec.json.Decoder(_Label)
        self._query_again = msgspec.json.Decoder(_Asked)
        self._some_events = msgspec.json.Decoder(_Event | list[_Event])
        self._some_labels = msgspec.json.Decoder(_Label | list[_Label])
        self._raws = msgspec.json.Decoder(list[msgspec.Raw])

    def _events(self, payload: bytes) -> Sequence[Event | str]:
        return self._values(payload, self._some_events, self._event, _event)

    def _labels(self, payload: bytes) -> Sequence[Label | str]:
        return self._values(payload, self._some_labels, self._label, _label)

    def _values(
        self,
        payload: bytes,
        some: msgspec.json.Decoder[W | list[W]],
        single: msgspec.json.Decoder[W],
        value: Callable[[W], T | str],
    ) -> Sequence[T | str]:
        """All at once; one by one where that does not go, so that one fault does not touch the others."""
        try:
            wire = some.decode(payload.removeprefix(BYTE_ORDER_MARK))
        except FAULTS:
            parts = self._parts(payload) or [payload.removeprefix(BYTE_ORDER_MARK)]
            return entries(parts, lambda part: _alone(part, single, value))
        return entries(wire, value) if isinstance(wire, list) else [value(wire)]

    def _parts(self, payload: bytes) -> Sequence[bytes]:
        text = payload.removeprefix(BYTE_ORDER_MARK).lstrip()
        if not text.startswith(b"["):
            return ()
        try:
            return list(map(bytes, self._raws.decode(text)))
        except FAULTS:
            return ()

    def _query(self, query: Query) -> bytes:
        fields = query._asdict()
        fields["time"], fields["expires"] = _iso(query.time), _iso(query.expires)
        return msgspec.json.encode(_said(fields))

    def _asked(self, payload: bytes) -> Asked | str:
        try:
            wire = self._query_again.decode(payload)
            time, expires = (_seconds(each) if isinstance(each, str) else each for each in (wire.time, wire.expires))
            time, expires = time or 0.0, math.inf if expires is None else expires
            return Asked(identity(wire.id), wire.x, wire.reason, wire.model_version, time, expires, whose(wire.user))
        except FAULTS as error:
            return reason(error)

    def _prediction(self, prediction: Prediction) -> bytes:
        return msgspec.json.encode(_said(prediction._asdict()))

    def _rejected(self, record: Record, reason: str, size: int) -> bytes:
        fields: dict[str, object] = {
            "topic": record.role,
            "partition": record.partition,
            "offset": record.offset,
            **({} if record.place is None else {"index": record.place}),
            "reason": reason,
            **({"bytes": size} if size else {}),
        }
        return msgspec.json.encode(fields | _text("key", record.key) | _text("value", record.value))


def _alone(part: bytes, decoder: msgspec.json.Decoder[W], value: Callable[[W], T | str]) -> T | str:
    try:
        return value(decoder.decode(part))
    except FAULTS as error:
        return reason(error)


def _event(wire: _Event) -> Event | str:
    time = wire.time
    try:
        return Event(
            identity(wire.id), wire.x, _seconds(time) if isinstance(time, str) else time, None, whose(wire.user)
        )
    except ValueError as error:
        return reason(error)


def _label(wire: _Label) -> Label | str:
    time = wire.time
    try:
        time = _seconds(time) if isinstance(time, str) else time
        return labeled(Label(identity(wire.id), wire.y, wire.x, wire.weight, time, whose(wire.user)))
    except ValueError as error:
        return reason(error)


def _said(fields: dict[str, object]) -> dict[str, object]:
    """Without shadows and user where there are none."""
    return {name: value for name, value in fields.items() if value or name not in ("shadows", "user")}


def _seconds(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("time is neither seconds since 1970 nor ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(seconds: float) -> str | None:
    if not 0.0 < seconds < 2.5e11:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _text(name: str, value: bytes | None) -> dict[str, object]:
    """The bytes as text where they are text, else in base64 under another name."""
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value or b"").decode()}
