"""Schema-registry framing: what producers that use a registry put around each payload.

    0 (1 byte) | id of the schema (4 bytes, big-endian) | with Protobuf: which message of it | payload

Which message is a path of numbers, the first one the message's place in its file; written as their count and each of
them, all zig-zag varints, and the common path [0] as a single 0. The registry itself is never asked. What is read is told
by its fields, so ids and paths are read past: a schema that was registered with the messages in another order, or together
with others, is read as well. What is written carries the ids that the configuration gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

MAGIC = b"\0"
HEAD_BYTES = 5
VARINT_BYTES_MOST = 5
PATH_MOST = 16  # messages within messages


@final
@dataclass(frozen=True)
class Frames:
    """ids: of the outputs' schemas, by role; messages: role → its message's place in the file (None: not of Protobuf)."""

    ids: Mapping[str, int]
    messages: Mapping[str, int] | None = None

    def payload(self, value: bytes) -> bytes:
        """What is in the frame. Raises ValueError where there is none."""
        if len(value) < HEAD_BYTES or value[:1] != MAGIC:
            raise ValueError("record has no schema-registry frame (a byte 0 and the 4 bytes of a schema's id)")
        return value[HEAD_BYTES if self.messages is None else _path_end(value) :]

    def framed(self, role: str, payload: bytes) -> bytes:
        return MAGIC + self.ids[role].to_bytes(4, "big") + self._path(role) + payload

    def again(self, value: bytes, role: str, payload: bytes) -> bytes:
        """Another payload with the id that is in the frame of `value`, as a message of this role."""
        return value[:HEAD_BYTES] + self._path(role) + payload

    def _path(self, role: str) -> bytes:
        if self.messages is None:
            return b""
        place = self.messages[role]
        return _varint(1) + _varint(place) if place else b"\0"


def _varint(number: int) -> bytes:
    """A number of at least 0, zig-zag."""
    left, digits = 2 * number, []
    while left > 0x7F:
        digits.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*digits, left])


def _path_end(value: bytes) -> int:
    """Where the path of numbers behind the head ends."""
    count, at = _read_varint(value, HEAD_BYTES)
    if not 0 <= count <= PATH_MOST:
        raise ValueError("the schema-registry frame's message index is damaged")
    for _ in range(count):
        number, at = _read_varint(value, at)
        if number < 0:
            raise ValueError("the schema-registry frame's message index is damaged")
    return at


def _read_varint(value: bytes, at: int) -> tuple[int, int]:
    """A zig-zag varint and where it ends."""
    number = 0
    for i, byte in enumerate(value[at : at + VARINT_BYTES_MOST]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + i + 1
    raise ValueError("the schema-registry frame's message index is damaged")
