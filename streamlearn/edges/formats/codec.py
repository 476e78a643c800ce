"""What the wire formats have in common: frames, batches, tombstones, and what is refused whatever the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar, final

from streamlearn.edges.formats.frames import Frames
from streamlearn.service.ports import (
    PREDICTIONS,
    QUERIES,
    REJECTED,
    Asked,
    Codec,
    Event,
    Label,
    Prediction,
    Query,
    Record,
)

T = TypeVar("T")
W = TypeVar("W")  # as on the wire
ID_BYTES_MOST = 512
BATCH_MOST = 10_000  # a commit does not close within a record, so this bounds what is between two
REJECTED_BYTES_MOST = 128 << 10  # of a rejected record's value: escaped it may be six times as long
WHOLE_MOST = 2**53  # a double tells all smaller whole numbers apart


class WireCodec(Codec, ABC):
    """A format says how payloads are decoded and encoded. frames: what is around each payload; None: nothing."""

    def __init__(self, frames: Frames | None = None) -> None:
        self._frames = frames
        self._taken_apart: tuple[bytes, Sequence[bytes]] = b"", ()  # the last batch: rejects often come together

    @abstractmethod
    def _events(self, payload: bytes) -> Sequence[Event | str]: ...

    @abstractmethod
    def _labels(self, payload: bytes) -> Sequence[Label | str]: ...

    @abstractmethod
    def _parts(self, payload: bytes) -> Sequence[bytes]:
        """The entries of a batch, each as a payload of its own would be; none where this is no batch."""

    @abstractmethod
    def _query(self, query: Query) -> bytes: ...

    @abstractmethod
    def _asked(self, payload: bytes) -> Asked | str:
        """A query of our own, or of another version's."""

    @abstractmethod
    def _prediction(self, prediction: Prediction) -> bytes: ...

    @abstractmethod
    def _rejected(self, record: Record, reason: str, size: int) -> bytes:
        """size: of the whole value where the record has only its beginning, else 0."""

    @final
    def events(self, record: Record) -> Sequence[Event | str]:
        if record.oversize or record.value is None:
            return [_too_large(record) if record.oversize else "event has no value"]
        return self._events(record.value) if self._frames is None else self._unframed(record.value, self._events)

    @final
    def labels(self, record: Record) -> Sequence[Label | str]:
        if record.oversize or record.value is None:
            return [_too_large(record) if record.oversize else _tombstone(record.key)]
        return self._labels(record.value) if self._frames is None else self._unframed(record.value, self._labels)

    def _unframed(self, value: bytes, decode: Callable[[bytes], Sequence[T | str]]) -> Sequence[T | str]:
        assert self._frames is not None
        try:
            payload = self._frames.payload(value)
        except ValueError as error:
            return [str(error)]
        return decode(payload)

    @final
    def one(self, record: Record, index: int) -> Record:
        if record.value is None or record.oversize or record.place is not None:
            return record
        if self._taken_apart[0] is not record.value:
            self._taken_apart = record.value, self._apart(record.value)
        parts = self._taken_apart[1]
        if not 0 < len(parts) <= BATCH_MOST:
            return record
        part = parts[index]
        value = part if self._frames is None else self._frames.again(record.value, record.role, part)
        return record._replace(value=value, place=index)

    def _apart(self, value: bytes) -> Sequence[bytes]:
        try:
            return self._parts(value if self._frames is None else self._frames.payload(value))
        except ValueError:
            return ()

    @final
    def query(self, query: Query) -> bytes:
        return self._framed(QUERIES, self._query(query))

    @final
    def asked(self, record: Record) -> Asked | str:
        if record.oversize or record.value is None:
            return "a query is empty or too large"
        try:
            return self._asked(record.value if self._frames is None else self._frames.payload(record.value))
        except ValueError as error:
            return str(error)

    @final
    def prediction(self, prediction: Prediction) -> bytes:
        return self._framed(PREDICTIONS, self._prediction(prediction))

    @final
    def rejected(self, record: Record, reason: str) -> bytes:
        value, size = record.value, record.oversize or len(record.value or b"")
        if value is not None and size > min(len(value), REJECTED_BYTES_MOST):
            cut = record._replace(value=value[:REJECTED_BYTES_MOST])
            return self._framed(REJECTED, self._rejected(cut, reason, size))
        return self._framed(REJECTED, self._rejected(record, reason, 0))

    def _framed(self, role: str, payload: bytes) -> bytes:
        return payload if self._frames is None else self._frames.framed(role, payload)


def entries(wire: Sequence[W], value: Callable[[W], T | str]) -> list[T | str]:
    """The entries of a batch, unless they are none or too many."""
    if 0 < len(wire) <= BATCH_MOST:
        return [value(each) for each in wire]
    return [f"batch has {len(wire)} entries, more than {BATCH_MOST}" if wire else "batch is empty"]


def identity(value: str | int) -> str:
    """The id as text. Raises ValueError where it cannot be one."""
    text = value if type(value) is str else str(value)
    if 0 < len(text) <= ID_BYTES_MOST // 4 or (text and len(text.encode()) <= ID_BYTES_MOST):
        return text
    raise ValueError(f"id is empty or longer than {ID_BYTES_MOST} bytes")


def whose(value: str | int | None) -> str:
    """The user as text; "": nobody. Raises ValueError where it cannot be one."""
    text = "" if value is None else str(value)
    if len(text) > ID_BYTES_MOST // 4 and len(text.encode()) > ID_BYTES_MOST:
        raise ValueError(f"user is longer than {ID_BYTES_MOST} bytes")
    return text


def labeled(label: Label) -> Label:
    """The label. Raises ValueError where its weight or y cannot be meant."""
    if not 0.0 < label.weight <= 1e9:
        raise ValueError("weight is not above 0")
    if isinstance(label.y, int) and not isinstance(label.y, bool) and abs(label.y) > WHOLE_MOST:
        raise ValueError("label is a whole number beyond 2^53")
    return label


def reason(error: Exception) -> str:
    """What is told: our own words as they are, a library's with a beginning that says what it is about."""
    return str(error) if type(error) is ValueError else f"not a valid record: {error}"


def _too_large(record: Record) -> str:
    return f"record has {record.oversize} bytes, too many"


def _tombstone(key: bytes | None) -> Label | str:
    """A null value forgets the example that the key names."""
    if key is None:
        return "a null label needs a key"
    try:
        return Label(identity(key.decode()), None, None, 1.0, None)
    except ValueError as error:
        return reason(error)
