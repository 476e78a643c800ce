"""How well labels were told before they were learned, in terms that people have: balanced accuracy of classes, R² of values.

Balanced, so that a rare class counts as much as a common one: the mean over classes of the share that was told right. All are
running means, of the last hundred labels or so (of each class, or in all), as the progressive loss is. Labels that were
chosen by their score are harder than the stream: it is a lower score than the stream's, and a change of it says more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

FADE = 0.99


@final
@dataclass(frozen=True)
class State:
    """counts, right: of classes by their index, how many labels came and the running share of them that was told right.

    values: how many came; error: running mean of the squared error; mean, variance: running, of the values themselves.
    """

    counts: tuple[int, ...] = ()
    right: tuple[float, ...] = ()
    values: int = 0
    error: float = 0.0
    mean: float = 0.0
    variance: float = 0.0


def of_class(state: State, told: int, label: int) -> State:
    """A label came of this class, when `told` had been predicted."""
    missing = max(0, label + 1 - len(state.counts))
    counts, right = [*state.counts, *[0] * missing], [*state.right, *[0.0] * missing]
    counts[label] += 1
    right[label] += newest(counts[label]) * (float(told == label) - right[label])
    return replace(state, counts=tuple(counts), right=tuple(right))


def of_value(state: State, told: float, label: float) -> State:
    """A value came, when `told` had been predicted; what is not finite is left out, as of the loss."""
    squared = (told - label) ** 2 if math.isfinite(told) and abs(told - label) < 1e150 else math.inf
    if not math.isfinite(squared):
        return state
    rate, off = newest(state.values + 1), label - state.mean
    return replace(
        state,
        values=state.values + 1,
        error=state.error + rate * (squared - state.error),
        mean=state.mean + rate * off,
        variance=(1.0 - rate) * (state.variance + rate * off * off),
    )


def score(state: State) -> float | None:
    """Balanced accuracy, or R²; None while there is too little to say."""
    seen = [right for right, count in zip(state.right, state.counts, strict=True) if count]
    if seen:
        return sum(seen) / len(seen)
    return 1.0 - state.error / state.variance if state.variance > 0.0 else None


def newest(count: int) -> float:
    """What the last of so many counts in a running mean: a plain one up to a hundred, which fades from there on."""
    return max(1.0 / count, 1.0 - FADE)
