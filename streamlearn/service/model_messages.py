"""A model on its topic, whatever its size: one message, or chunks of its numbers and then a manifest.

What fits a message is a line, as in a file (`model_snapshot.py`), under the daemon's name. Of what does not, the numbers go
first, in chunks under keys of their own, and last the line without them, which says where they are:

    fraud/1/0   {"sha256":"…","format":2,"name":"fraud","slot":1,"chunk":0,"of":"ab12…","data":"…"}
    fraud/1/1   …
    fraud       {"sha256":"…","format":2,"name":"fraud",…,"snapshot":"","parts":{"slot":1,"chunks":2,…,"sha256":"ab12…"}}

Compaction keeps the last message of each key: a chunk is gone once its place in its slot was written again. So slots take
turns. The next model goes into the slot that the newest manifest does not name, and until its own manifest is there nothing is
written over what the newest is made of, wherever a writer was killed: two slots are enough for whoever has read to the end.
What was begun and not ended is written over, from its first chunk on, by the next attempt.

A reader takes time, and meanwhile the topic moves on. Where it has a manifest whose chunks are gone, or are of another model
(`of` says of which), a newer manifest has been committed; it goes on reading, and takes that. With more slots that would only
be rarer. The same holds where partitions are not read in step, and where a store was lost: then nobody knows which slot was the
last, and the newest model may be written over until the next one is there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import final

import msgspec

from streamlearn.service import model_snapshot, snapshot
from streamlearn.service.model_snapshot import Line, ModelSnapshot, Parts
from streamlearn.service.ports import MODEL_BYTES, MODELS, Message

SLOTS = 2
CHUNK_BYTES = 720_000  # a third more in base64, and then what is said of it: less than MODEL_BYTES
CHUNKS_A_COMMIT = 4  # as many bytes as a commit's records have: `POLL_BYTES`


@final
class Chunk(msgspec.Struct):
    """A part of a model's numbers. of: the sha256 of all of them; data: base64."""

    format: int
    name: str
    slot: int
    chunk: int
    of: str
    data: str


@final
class _Place(msgspec.Struct):
    """What a line's key is made of."""

    name: str
    slot: int = -1
    chunk: int = -1


@final
class Parcel:
    """A model on its way to the topic, a few messages at a time. size: of those taken so far, in bytes."""

    def __init__(self, value: ModelSnapshot, slot: int) -> None:
        packed = snapshot.pack(value)
        whole = model_snapshot.line(value, packed) if 4 * len(packed) <= 3 * MODEL_BYTES else b""
        self.in_chunks, self.size = not 0 < len(whole) <= MODEL_BYTES, 0
        if self.in_chunks:
            chunks = -(-len(packed) // CHUNK_BYTES)
            parts = Parts(slot, chunks, len(packed), hashlib.sha256(packed).hexdigest())
            self._left, self._messages = 1 + chunks, _in_chunks(value, packed, parts)
        else:
            self._left, self._messages = 1, iter([Message(MODELS, value.name.encode(), whole)])

    def take(self, most: int) -> list[Message]:
        """The next of them, in order."""
        taken = list(islice(self._messages, most))
        self._left -= len(taken)
        self.size += sum(len(message.value) for message in taken)
        return taken

    @property
    def delivered(self) -> bool:
        """Whether all were taken."""
        return self._left == 0


def _in_chunks(value: ModelSnapshot, packed: bytes, parts: Parts) -> Iterator[Message]:
    for number in range(parts.chunks):
        piece = packed[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        data = base64.b64encode(piece).decode()
        chunk = Chunk(model_snapshot.IN_CHUNKS, value.name, parts.slot, number, parts.sha256, data)
        yield Message(MODELS, _key(value.name, parts.slot, number).encode(), model_snapshot.sealed(chunk))
    yield Message(MODELS, value.name.encode(), model_snapshot.line(value, packed, parts))


def _key(name: str, slot: int, chunk: int) -> str:
    """A name has no slash in it."""
    return f"{name}/{slot}/{chunk}"


def key_of(line: bytes) -> str:
    """The key of a message that has none, as on the embedded log. Raises ValueError where it is damaged."""
    place = model_snapshot.read(line, _Place)
    return place.name if place.chunk < 0 else _key(place.name, place.slot, place.chunk)


@final
class Heard:
    """What a topic holds, as far as it was read: the last message of each key in each partition."""

    def __init__(self) -> None:
        self._last: dict[str, dict[int, bytes]] = {}

    def take(self, key: str, value: bytes | None, partition: int = 0) -> None:
        """The next message of this key in this partition; None deletes what was there."""
        there = self._last.setdefault(key, {})
        if value is None:
            there.pop(partition, None)
        else:
            there[partition] = value

    @property
    def names(self) -> list[str]:
        return sorted(key for key, there in self._last.items() if there and "/" not in key)

    def newest(self, name: str) -> ModelSnapshot | None:
        """The newest of a name that is there; None where chunks of it are not. Raises ValueError where it is damaged.

        Where partitions were added a name's models may lie in two: then the time decides.
        """
        found = [(model_snapshot.read(value, Line), value) for _, value in sorted(self._last[name].items())]
        line, value = max(reversed(found), key=lambda each: each[0].time)
        if line.parts is None:
            return model_snapshot.decode(value)
        pieces = [self._piece(name, line.parts, number) for number in range(line.parts.chunks)]
        packed = b"".join(piece for piece in pieces if piece is not None)
        if None in pieces:
            return None
        if len(packed) != line.parts.bytes or hashlib.sha256(packed).hexdigest() != line.parts.sha256:
            raise ValueError("it is damaged: its chunks together are not what its manifest says")
        return model_snapshot.unpack(packed)

    def _piece(self, name: str, parts: Parts, number: int) -> bytes | None:
        for value in self._last.get(_key(name, parts.slot, number), {}).values():
            chunk = model_snapshot.read(value, Chunk)
            if chunk.of == parts.sha256 and chunk.chunk == number:
                return base64.b64decode(chunk.data, validate=True)
        return None
