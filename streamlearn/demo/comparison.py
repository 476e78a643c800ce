"""The comparison: streamlearn against random queries at the same number of labels, paired by seed.

Both spend the same budget, but answers under way at the end and the cold start make the counts differ by a few. So both
curves are read, by linear interpolation, at the number of labels that both of a seed's trials came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation.report.curves import along, at
from streamlearn.evaluation.trial import ALL_LABELS, RANDOM, STREAMLEARN, Outcome


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


def _arm(outcomes: Sequence[Outcome], labels: Sequence[int]) -> Arm:
    read = [at(outcome.points, np.array(float(n))) for outcome, n in zip(outcomes, labels, strict=True)]
    return Arm(
        np.array(labels),
        np.array([outcome.labels for outcome in outcomes]),
        np.array([float(loss) for loss, _ in read]),
        np.array([float(score) for _, score in read]),
    )
