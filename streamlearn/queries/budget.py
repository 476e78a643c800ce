"""The budget: a share b of the stream, kept after every single event.

With e events that could have been asked about (not labeled already, cap not reached) and q queries issued, audits included:

    always                 q ≤ ⌈b e⌉
    while events can be    b e − q < max(5, 2√(b e))
    asked about

The share of events that pass the threshold follows the debt b e − q: b at a debt of 1, more above, less below, so that
spending neither starves nor bursts, and it is 1 where the second bound would break. After the first query, score queries
leave one of room for the next audit, which is drawn by hash: at the default share one or two in a hundred are refused,
whatever they are, because two came close together. e grows by events that could be asked about only, so what is forfeited
at the cap is not caught up.

Only +, −, ·, / and √ are used, elementwise: the same bits however the events were cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array

TARGET_DEBT = 1.0
BOUND_LEAST = 5.0
ROUNDING = 1e-9


@final
@dataclass(frozen=True)
class Budget:
    """share b of events; audit_share of it for audits; at most `outstanding_most` unanswered queries."""

    share: float
    audit_share: float
    outstanding_most: int

    @property
    def audit_rate(self) -> float:
        """The share of events whose hash makes them audits."""
        return self.share * self.audit_share

    @property
    def sample_rate(self) -> float:
        """The share of events whose hash makes them the sample that scorers pass on: audits, and others."""
        return self.share

    def bound(self, entitled: Array) -> Array:
        """The least shortfall that is too much."""
        return np.maximum(BOUND_LEAST, 2.0 * np.sqrt(self.share * entitled))

    def room(self, entitled: Array, issued: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether one more audit, one more score query, keeps the first bound."""
        most = np.ceil(self.share * entitled - ROUNDING)
        reserve = 1.0 if issued > 0 and 0.0 < self.audit_share and self.share < 1.0 else 0.0
        return issued + 1 <= most, issued + 1 <= most - reserve

    def level(self, entitled: Array, issued: int) -> Array:
        """The share of events that should pass by their score now, in [0, 1]."""
        debt, bound = self.share * entitled - issued, self.bound(entitled)
        u = (debt - TARGET_DEBT) / (bound / BOUND_LEAST)
        rise, fall = 1.0 + u + 0.5 * u * u, 1.0 / (1.0 - u + 0.5 * u * u)
        level = self.share * (1.0 - self.audit_share) * np.where(u > 0.0, rise, fall)
        # One event before the bound would break, everything passes.
        return np.where(debt + self.share >= bound * (1.0 - ROUNDING), 1.0, np.minimum(level, 1.0))
