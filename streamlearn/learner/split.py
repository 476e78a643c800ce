"""Split: what chance decides about an event, from a hash of seed and id alone, so the same whoever reads it, and when.

One keyed BLAKE2b digest an id gives three independent uniform numbers: is it an audit, is it a test example (hold-out),
and its draw for the `random` strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import final

import numpy as np

from streamlearn.core.losses import Array


@final
@dataclass(frozen=True)
class Draws:
    """Uniform numbers in [0, 1), one per id each, shape (n,)."""

    audit: Array
    holdout: Array
    random: Array


def draws(ids: Sequence[str], seed: int) -> Draws:
    key = seed.to_bytes(16, "little", signed=True)
    digests = b"".join([blake2b(name.encode(), digest_size=24, key=key).digest() for name in ids])
    numbers = np.frombuffer(digests, dtype="<u8").reshape(len(ids), 3)
    uniform = (numbers >> np.uint64(11)).astype(float) * 2.0**-53
    return Draws(uniform[:, 0], uniform[:, 1], uniform[:, 2])
