"""Learning curves: reading them, the area between two, means over seeds, and what is beyond the noise.

A curve is a trial's points. Strategies under one budget do not come to the same number of labels (answers under way at the
end, the cold start, audits that coincide), so curves are compared at numbers of labels, by linear interpolation, and never at
the end of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import stdtrit

from streamlearn.core.losses import Array
from streamlearn.evaluation.trial import Point

Curve = Sequence[Point]
Axis = Callable[[Point], float]

PLACES = 200  # of a grid
CONFIDENCE = 0.95


def at(points: Curve, labels: Array) -> tuple[Array, Array]:
    """(loss, score) of a curve at these numbers of labels; beyond its ends, its ends."""
    x = [point.labels for point in points]
    return (
        np.interp(labels, x, [point.loss for point in points]),
        np.interp(labels, x, [point.score for point in points]),
    )


def along(ours: Curve, theirs: Curve) -> tuple[float, float]:
    """Mean of ours − theirs, (loss, score), over the numbers of labels that both curves have: the area between them."""
    begin = max(ours[0].labels, theirs[0].labels)
    end = max(begin, min(ours[-1].labels, theirs[-1].labels))
    grid = np.arange(begin, end + 1).astype(float)
    (loss, score), (other_loss, other_score) = at(ours, grid), at(theirs, grid)
    return float((loss - other_loss).mean()), float((score - other_score).mean())


def labels_needed(ours: Sequence[Curve], theirs: Sequence[Curve]) -> float:
    """The share of theirs' labels at which the mean of `ours` first reaches what the mean of `theirs` ends with.

    Infinite where it never does. Both means are over curves, at numbers of labels that all of them have.
    """
    end = min(points[-1].labels for points in theirs)
    goal = float(np.mean([at(points, np.array(float(end)))[1] for points in theirs]))
    begin, last = max(points[0].labels for points in ours), min(points[-1].labels for points in ours)
    grid = np.arange(begin, max(begin, last) + 1).astype(float)
    mean = np.mean([at(points, grid)[1] for points in ours], axis=0)
    reached = np.flatnonzero(mean >= goal)
    if len(reached) == 0:
        return math.inf
    first = int(reached[0])
    if first == 0:
        return float(grid[0]) / end
    before, after = mean[first - 1], mean[first]
    return float(grid[first - 1] + (goal - before) / (after - before)) / end


def mean_and_error(values: Array) -> tuple[float, float]:
    """Mean and standard error; NaN as the error of a single one."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), error


def margin(values: Array, comparisons: int = 1) -> float:
    """Half the width of the mean's 95 % interval, by Student's t; infinite for a single value.

    comparisons: how many intervals are to hold all at once (Bonferroni).
    """
    if len(values) < 2:
        return math.inf
    quantile = stdtrit(len(values) - 1, 1.0 - (1.0 - CONFIDENCE) / (2.0 * comparisons))
    return float(quantile) * mean_and_error(values)[1]


def verdict(difference: Array, higher_is_better: bool, comparisons: int = 1) -> str:
    """`ahead`, `behind`, or `even` where the 95 % interval of the mean holds 0 (as with a single seed)."""
    mean = float(difference.mean())
    if abs(mean) <= margin(difference, comparisons) or mean == 0.0:
        return "even"
    return "ahead" if (mean > 0.0) == higher_is_better else "behind"


def grid_of(curves: Sequence[Curve], read: Axis) -> Array:
    """From where the first half of the seeds has a model to where the last seed ends."""
    begin, end = np.median([read(points[0]) for points in curves]), max(read(points[-1]) for points in curves)
    return np.linspace(float(begin), float(end), PLACES)


def on(grid: Array, curves: Sequence[Curve], x: Axis, y: Axis) -> Array:
    """Every curve at the grid's places, (curves, places)."""
    return np.array(
        [np.interp(grid, [x(point) for point in points], [y(point) for point in points]) for points in curves]
    )
