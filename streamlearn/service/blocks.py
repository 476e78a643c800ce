"""Blocks: events of consecutive ordinals that are scored together, and between which a strategy looks at the stream anew.

A block is a property of ordinals, so what belongs to it does not depend on how events were polled. The first 128 events are
cut finer: there a strategy would have to do without a stream to look at for too long.
"""

from __future__ import annotations

BLOCK = 128  # rows
FIRST = (0, 16, 32, 64, BLOCK)


def bounds(ordinal: int) -> tuple[int, int]:
    """Ordinals from which and up to which (exclusive) the block of this one goes."""
    if ordinal >= BLOCK:
        begin = ordinal - ordinal % BLOCK
        return begin, begin + BLOCK
    end = next(each for each in FIRST if each > ordinal)
    return FIRST[FIRST.index(end) - 1], end
