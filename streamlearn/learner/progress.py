"""Progressive validation: the loss of each label's first sight, by a model that had not trained on it.

Losses that are reported as the *stream's* use audit labels only: labels chosen by their score are a biased sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from streamlearn.learner import score

UNSCORED = score.State()


@final
@dataclass(frozen=True)
class State:
    """count, total: labels scored before they were learned, and the sum of their losses; recent: running mean.

    audits, audit_total, audit_recent: the same over audit labels. score: what people would call it.
    excess: of the last label, ℓ less the least that it could be; of values √(2ℓ), the size of the error in their deviations.
    """

    count: int = 0
    total: float = 0.0
    recent: float = 0.0
    audits: int = 0
    audit_total: float = 0.0
    audit_recent: float = 0.0
    score: score.State = UNSCORED
    excess: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


def step(state: State, loss: float, excess: float, audit: bool) -> State:
    """Count the loss of one label; one that is not finite would end all means."""
    if not math.isfinite(loss):
        return state
    recent = _faded(state.recent, loss, state.count + 1)
    state = replace(state, count=state.count + 1, total=state.total + loss, recent=recent, excess=excess)
    if not audit:
        return state
    count = state.audits + 1
    recent = _faded(state.audit_recent, loss, count)
    return replace(state, audits=count, audit_total=state.audit_total + loss, audit_recent=recent)


def _faded(mean: float, value: float, count: int) -> float:
    return mean + score.newest(count) * (value - mean)
