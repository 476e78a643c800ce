"""A label that waits for its event, as the store keeps it: decoded, with the record that it came in.

So it does not matter in which wire format it came, should another one be configured before its event is there.
"""

from __future__ import annotations

import msgspec

from streamlearn.service.ports import Codec, Label, Record


def kept(record: Record, label: Label) -> bytes:
    return msgspec.msgpack.encode((record, label))


def read(stored: bytes, codec: Codec) -> tuple[Record, Label | str]:
    """The label and its record; what was kept by a version before batches is the record alone, and decoded again."""
    try:
        return msgspec.msgpack.decode(stored, type=tuple[Record, Label])
    except msgspec.ValidationError:
        record = msgspec.msgpack.decode(stored, type=Record)
        return record, codec.labels(record)[0]
