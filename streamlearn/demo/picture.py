"""The picture: learning curves with their spread, λ over time, and which events were asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.comparison import Comparison
from streamlearn.demo.table import TITLES
from streamlearn.evaluation.report.curves import grid_of, on
from streamlearn.evaluation.report.style import band, four
from streamlearn.evaluation.rows import Dataset, split
from streamlearn.evaluation.trial import ALL_LABELS, RANDOM, STREAMLEARN, Outcome, Point
from streamlearn.learner import columns

COLORS = {STREAMLEARN: "#1f5fbf", RANDOM: "#d9822b", ALL_LABELS: "#555555"}
SIZE_INCHES, DPI = (12.0, 8.6), 120
SPREAD = (0.1, 0.9)  # quantiles over seeds


def draw(path: Path, dataset: Dataset, outcomes: Sequence[Outcome], comparison: Comparison) -> None:
    """A PNG, whatever the path is called."""
    plan, seeds = outcomes[0].plan, len(comparison.seeds)
    title = (
        f"streamlearn on {dataset.name}: budget {100 * plan.budget:.3g} % of the stream, answers {plan.delay} events "
        f"late, {seeds} {'seed' if seeds == 1 else 'seeds'}"
    )
    with four(path, title, SIZE_INCHES, DPI) as axes:
        _curves(axes[0, 0], outcomes, comparison, lambda point: point.score, "score")
        axes[0, 0].set_title(f"{dataset.score_name[0].upper()}{dataset.score_name[1:]} on rows never seen")
        axes[0, 0].legend(loc="lower right")
        _curves(axes[0, 1], outcomes, comparison, lambda point: point.loss, "loss")
        axes[0, 1].set_title("Test loss on the same rows")
        _regularity(axes[1, 0], outcomes)
        _asked(axes[1, 1], dataset, next(o for o in outcomes if o.plan.arm == STREAMLEARN))


def _curves(
    axes: Any, outcomes: Sequence[Outcome], comparison: Comparison, read: Callable[[Point], float], what: str
) -> None:
    """Mean and spread over seeds against labels; the level that all labels reach."""
    shown = list[Array]()
    for arm in (RANDOM, STREAMLEARN):
        own = [outcome.points for outcome in outcomes if outcome.plan.arm == arm]
        grid = grid_of(own, lambda point: point.labels)
        values = on(grid, own, lambda point: point.labels, read)
        low, high = np.quantile(values, SPREAD, axis=0)
        band(axes, grid, values.mean(axis=0), low, high, color=COLORS[arm], lw=2.2, label=TITLES[arm])
        shown += [low[len(grid) // 8 :], high[len(grid) // 8 :]]
    level = float(getattr(comparison.arms[ALL_LABELS], what).mean())
    given = int(comparison.arms[ALL_LABELS].labels.mean())
    axes.axhline(level, color=COLORS[ALL_LABELS], lw=1.4, ls=(0, (5, 3)), label=f"every label given ({given})")
    # The first few labels are far off: what happens later is what is to be seen.
    low, high = min(level, *(s.min() for s in shown)), max(level, *(s.max() for s in shown))
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.set_xlabel("labels given")
    axes.grid(True)


def _regularity(axes: Any, outcomes: Sequence[Outcome]) -> None:
    """λ against events: every seed, and their geometric mean."""
    for arm in (ALL_LABELS, RANDOM, STREAMLEARN):
        own = [outcome.points for outcome in outcomes if outcome.plan.arm == arm]
        for points in own if arm == STREAMLEARN else ():
            axes.plot(
                [point.events for point in points],
                [point.regularity for point in points],
                color=COLORS[arm],
                lw=0.7,
                alpha=0.3,
            )
        grid = grid_of(own, lambda point: point.events)
        values = on(grid, own, lambda point: point.events, lambda point: float(np.log(point.regularity)))
        axes.plot(
            grid,
            np.exp(values.mean(axis=0)),
            color=COLORS[arm],
            lw=2.2 if arm == STREAMLEARN else 1.4,
            ls=(0, (5, 3)) if arm == ALL_LABELS else "-",
            label=TITLES[arm],
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="upper right")
    axes.set_title("Regularity λ, learned on the way")
    axes.set_xlabel("events read")
    axes.grid(True)


def _asked(axes: Any, dataset: Dataset, outcome: Outcome) -> None:
    """One stream in its two directions of largest variance; the events that were asked about stand out."""
    stream, _ = split(dataset, outcome.plan.seed)
    plane = _two_directions(columns.encode(columns.State(), stream.xs)[1].rows)
    if dataset.values:
        ranks = np.argsort(np.argsort(np.array(stream.ys, dtype=float))) / len(stream.ys)
        axes.scatter(*plane.T, c=ranks, cmap="Greys", vmin=-0.25, vmax=2.0, s=16, lw=0)  # its light half
    else:
        classes = sorted(map(str, set(stream.ys)))
        tints = [
            "#c9d7ee",
            "#f3d9bd",
            "#cfe6cf",
            "#ecc9cf",
            "#ddd0ea",
            "#e3dccb",
            "#f0d3e6",
            "#d9d9d9",
            "#e6e6b8",
            "#c9e6ea",
        ]
        colors = [tints[classes.index(str(y)) % len(tints)] for y in stream.ys]
        axes.scatter(*plane.T, c=colors, s=16, lw=0)
    place = {id: i for i, id in enumerate(stream.ids)}
    kinds = (("audit", COLORS[RANDOM], "by chance (audit)"), ("score", COLORS[STREAMLEARN], "by its score"))
    for reason, color, title in kinds:
        rows = [place[asked.id] for asked in outcome.asked if asked.reason == reason]
        axes.scatter(
            *plane[rows].T, s=30, facecolor=color, edgecolor="white", lw=0.7, label=f"asked {title}: {len(rows)}"
        )
    axes.set_title(f"Which of {len(stream.ids)} events were asked about (seed {outcome.plan.seed})")
    axes.set_xlabel("first principal component; tint: " + ("the value" if dataset.values else "the class"))
    axes.set_ylabel("second principal component")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(loc="best")


def _two_directions(rows: Array) -> Array:
    """Standardised rows, projected to two principal components (n, 2)."""
    with np.errstate(invalid="ignore"):
        mean, scale = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    scaled = np.nan_to_num((rows - mean) / np.where(scale > 0.0, scale, 1.0))
    _, vectors = np.linalg.eigh(scaled.T @ scaled)
    plane = scaled @ vectors[:, ::-1][:, :2]
    return plane if plane.shape[1] == 2 else np.column_stack([plane[:, 0], np.arange(len(plane))])
