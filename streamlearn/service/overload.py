"""When events come faster than they can be scored: which of them are read (`kafka.overload` = "sample").

While more than `backlog` events are unread, only a share of backlog ÷ unread of them is dealt with: with r events a second
and room for c, the lag settles at backlog · r ÷ c and falls back, without swinging, when r does. Which ones is a hash of
seed, partition and offset: an even sample, and a smaller share's is part of a larger one's.

The share is part of a commit and holds for all that is read until the next one. So what was skipped follows from the log
and the commits alone; how the share came about, from the lag, does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from streamlearn.service.ports import EVENTS, Position, Record

POLLS_MOST = 16  # a turn takes this many: what is skipped costs little


def share(lag: Mapping[Position, int], backlog: int) -> float:
    """The share of events that is read after a commit with this lag. backlog 0: all."""
    unread = sum(each for (role, _), each in lag.items() if role == EVENTS)
    return min(1.0, backlog / unread) if backlog and unread else 1.0


def sample(records: Sequence[Record], seed: int, share: float) -> list[Record]:
    """The records, in order: of events all but the share is marked as skipped, and holds nothing."""
    if share >= 1.0:
        return list(records)
    return [record if record.role != EVENTS or _draw(record, seed) < share else skipped(record) for record in records]


def skipped(record: Record) -> Record:
    """Its place, and nothing else."""
    return record._replace(key=None, value=None, oversize=0, skipped=True)


def _draw(record: Record, seed: int) -> float:
    key, name = seed.to_bytes(16, "little", signed=True), b"%d:%d" % (record.partition, record.offset)
    digest = blake2b(name, digest_size=8, key=key, person=b"overload").digest()
    return int.from_bytes(digest, "little") * 2.0**-64
