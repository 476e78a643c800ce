"""The comparison: streamlearn against random queries at the same number of labels, paired by seed.

Both spend the same budget, but answers under way at the end and the cold start make the counts differ by a few. So both
curves are read, by linear interpolation, at the number of labels that both of a seed's trials came to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.trial import ALL_LABELS, RANDOM, STREAMLEARN, Outcome, Point

# Student's t at 97.5 % for 1, 2, … degrees of freedom: few seeds make wide intervals.
T_975 = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
)
T_975_BEYOND = 2.05


@final
@dataclass(frozen=True)
class Arm:
    """Over seeds: labels at which loss and score are read, and labels that were given until the end."""

    labels: Array
    given: Array
    loss: Array
    score: Array


@final
@dataclass(frozen=True)
class Comparison:
    """seeds in order; arms by name; along_loss, along_score: streamlearn − random, mean over the common part of the curves."""

    seeds: tuple[int, ...]
    arms: dict[str, Arm]
    along_loss: Array
    along_score: Array

    def difference(self, what: str) -> Array:
        """streamlearn − random by seed; what: `loss` or `score`."""
        return np.asarray(getattr(self.arms[STREAMLEARN], what) - getattr(self.arms[RANDOM], what))


def compare(outcomes: Sequence[Outcome]) -> Comparison:
    """Every arm of every seed, once."""
    by_plan = {(outcome.plan.arm, outcome.plan.seed): outcome for outcome in outcomes}
    seeds = tuple(sorted({outcome.plan.seed for outcome in outcomes}))
    ours, theirs, full = ([by_plan[arm, seed] for seed in seeds] for arm in (STREAMLEARN, RANDOM, ALL_LABELS))
    common = [min(a.points[-1].labels, b.points[-1].labels) for a, b in zip(ours, theirs, strict=True)]
    arms = {
        STREAMLEARN: _arm(ours, common),
        RANDOM: _arm(theirs, common),
        ALL_LABELS: _arm(full, [outcome.points[-1].labels for outcome in full]),
    }
    areas = np.array([along(a.points, b.points) for a, b in zip(ours, theirs, strict=True)])
    return Comparison(seeds, arms, areas[:, 0], areas[:, 1])


def at(points: Sequence[Point], labels: Array) -> tuple[Array, Array]:
    """(loss, score) of a curve at these numbers of labels; beyond its ends, its ends."""
    x = [point.labels for point in points]
    return (
        np.interp(labels, x, [point.loss for point in points]),
        np.interp(labels, x, [point.score for point in points]),
    )


def mean_and_error(values: Array) -> tuple[float, float]:
    """Mean and standard error; NaN as the error of a single one."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), error


def verdict(difference: Array, higher_is_better: bool) -> str:
    """`ahead`, `behind`, or `even` where the 95 % interval of the mean holds 0 (as with a single seed)."""
    mean, error = mean_and_error(difference)
    degrees = len(difference) - 1
    quantile = T_975[degrees - 1] if 0 < degrees <= len(T_975) else T_975_BEYOND
    if degrees == 0 or abs(mean) <= quantile * error or mean == 0.0:
        return "even"
    return "ahead" if (mean > 0.0) == higher_is_better else "behind"


def along(ours: Sequence[Point], theirs: Sequence[Point]) -> tuple[float, float]:
    """Mean of ours − theirs, (loss, score), over the numbers of labels that both curves have: the area between them."""
    begin = max(ours[0].labels, theirs[0].labels)
    end = max(begin, min(ours[-1].labels, theirs[-1].labels))
    grid = np.arange(begin, end + 1).astype(float)
    (loss, score), (other_loss, other_score) = at(ours, grid), at(theirs, grid)
    return float((loss - other_loss).mean()), float((score - other_score).mean())


def _arm(outcomes: Sequence[Outcome], labels: Sequence[int]) -> Arm:
    read = [at(outcome.points, np.array(float(n))) for outcome, n in zip(outcomes, labels, strict=True)]
    return Arm(
        np.array(labels),
        np.array([outcome.labels for outcome in outcomes]),
        np.array([float(loss) for loss, _ in read]),
        np.array([float(score) for _, score in read]),
    )
