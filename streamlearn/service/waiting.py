"""A label that waits for its event, as the store keeps it: decoded, with the record that it came in.

So it does not matter in which wire format it came, should another one be configured before its event is there. All of
them are in memory, so of a record that is large, only the beginning is kept: for `rejected`, should no event come.
"""

from __future__ import annotations

import msgspec

from streamlearn.service.ports import Codec, Label, Record

KEPT_BYTES = 4096  # of a record's value


def kept(record: Record, label: Label) -> bytes:
    if record.value is not None and len(record.value) > KEPT_BYTES:
        record = record._replace(value=record.value[:KEPT_BYTES], oversize=len(record.value))
    return msgspec.msgpack.encode((record, label))


def read(stored: bytes, codec: Codec) -> tuple[Record, Label | str]:
    """The label and its record; what was kept by a version before batches is the record alone, and decoded again."""
    try:
        return msgspec.msgpack.decode(stored, type=tuple[Record, Label])
    except msgspec.ValidationError:
        record = msgspec.msgpack.decode(stored, type=Record)
        return record, codec.labels(record)[0]
