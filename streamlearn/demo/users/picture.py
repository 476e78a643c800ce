"""The picture of many users: what a model of their own adds by a user's labels, learning curves, every user, and λ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.users.comparison import (
    ALONE,
    ARMS,
    OWN,
    OWN_ASKS,
    SHARED,
    SHARED_ASKS,
    TITLES_OF_BINS,
    Comparison,
    line_of,
)
from streamlearn.demo.users.table import BY_CHANCE, TITLES
from streamlearn.evaluation.report.curves import grid_of, on
from streamlearn.evaluation.report.style import INK, band, four
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import Outcome

COLORS = {SHARED: "#d9822b", ALONE: "#777777", OWN: "#1f5fbf", SHARED_ASKS: "#d9822b", OWN_ASKS: "#1f5fbf"}
DASHED = (0, (4, 2.5))
SIZE_INCHES, DPI = (12.0, 8.6), 120
SPREAD = (0.1, 0.9)  # quantiles over seeds


def draw(path: Path, dataset: Dataset, outcomes: Sequence[Outcome], comparison: Comparison) -> None:
    """A PNG, whatever the path is called."""
    loss = "Test loss" + (" (in variances)" if dataset.values else "")
    plan, seeds = outcomes[0].plan, len(comparison.seeds)
    title = (
        f"streamlearn, many users: {dataset.name}, budget {100 * plan.budget:.3g} % of the stream, answers {plan.delay} "
        f"events late, {seeds} {'seed' if seeds == 1 else 'seeds'}"
    )
    with four(path, title, SIZE_INCHES, DPI) as axes:
        _by_labels(axes[0, 0], comparison)
        axes[0, 0].set_title(f"{loss} over the shared model's, by a user's labels")
        _curves(axes[0, 1], outcomes)
        axes[0, 1].set_title(f"{loss}, mean over all users, as labels come")
        _each(axes[1, 0], comparison)
        axes[1, 0].set_title(f"Each of {len(comparison.pairs)} users, the same labels (seed {comparison.seeds[0]})")
        _regularity(axes[1, 1], outcomes)
        axes[1, 1].set_title("Regularity λ, learned on the way")


def _by_labels(axes: Any, comparison: Comparison) -> None:
    """Against the shared model, seed by seed: mean and spread over seeds of every bin that anybody was in."""
    axes.axhline(0.0, color=COLORS[SHARED], lw=2.2, label=TITLES[SHARED])
    for line in (ALONE, OWN):
        values = (comparison.loss[line] - comparison.loss[SHARED])[:, 1:]
        there = np.flatnonzero(np.isfinite(values).any(axis=0))
        mean, (low, high) = np.nanmean(values[:, there], axis=0), np.nanquantile(values[:, there], SPREAD, axis=0)
        style = {"color": COLORS[line], "lw": 2.2, "marker": "o", "ms": 5.5, "label": TITLES[line]}
        band(axes, there.astype(float), mean, low, high, **style)
    names = [f"{name}\n{users:.0f} users" for name, users in zip(TITLES_OF_BINS, comparison.users, strict=True)]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.3, len(names) - 0.7)
    axes.set_xlabel("labels of the user (asked by chance: the same for all three)")
    axes.legend(loc="best")
    axes.grid(True, axis="y")


def _curves(axes: Any, outcomes: Sequence[Outcome]) -> None:
    shown = list[Array]()
    for line in ARMS:
        own = [outcome.points for outcome in outcomes if line_of(outcome.plan) == line]
        grid = grid_of(own, lambda point: point.labels)
        values = on(grid, own, lambda point: point.labels, lambda point: point.loss)
        low, high = np.quantile(values, SPREAD, axis=0)
        by_chance = line in BY_CHANCE
        name = f"{TITLES[line]}, asked by chance" if by_chance else TITLES[line]
        style = {"color": COLORS[line], "lw": 2.2, "ls": DASHED if by_chance else "-", "label": name}
        axes.plot(grid, values.mean(axis=0), **style)
        if not by_chance:
            axes.fill_between(grid, low, high, color=COLORS[line], alpha=0.15, lw=0)
        shown += [low[len(grid) // 8 :], high[len(grid) // 8 :]]
    low, high = min(each.min() for each in shown), max(each.max() for each in shown)  # the first few are far off
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.set_xlabel("labels given, by all users")
    axes.legend(loc="upper right")
    axes.grid(True)


def _each(axes: Any, comparison: Comparison) -> None:
    """A dot a user: below the line their own model is the better one."""
    labels = np.array([pair.labels for pair in comparison.pairs])
    shared, own = (np.array([getattr(pair, name) for pair in comparison.pairs]) for name in ("shared", "own"))
    most = 1.06 * max(shared.max(), own.max())
    axes.plot([0.0, most], [0.0, most], color="#888888", lw=1.2, ls=DASHED)
    axes.scatter(shared, own, s=16.0 + 9.0 * labels, color=COLORS[OWN], alpha=0.55, edgecolor="white", lw=0.7)
    for count in (0, 5, 20):
        axes.scatter(
            [], [], s=16.0 + 9.0 * count, color=COLORS[OWN], alpha=0.55, edgecolor="white", label=f"{count} labels"
        )
    better, worse = int((own < shared).sum()), int((own > shared).sum())
    axes.text(
        0.98, 0.04, f"own model better: {better}, worse: {worse}", transform=axes.transAxes, ha="right", color=INK
    )
    axes.set_xlim(0.9 * min(shared.min(), own.min()), most)
    axes.set_ylim(0.9 * min(shared.min(), own.min()), most)
    axes.set_xlabel("test loss of the model that all share")
    axes.set_ylabel("test loss of their own")
    axes.legend(loc="upper left")
    axes.grid(True)


def _regularity(axes: Any, outcomes: Sequence[Outcome]) -> None:
    """λ against events: the geometric mean over seeds, and of personalities every seed."""
    for line in ARMS:
        own = [outcome.points for outcome in outcomes if line_of(outcome.plan) == line]
        for points in own if line == OWN_ASKS else ():
            events, values = [point.events for point in points], [point.regularity for point in points]
            axes.plot(events, values, color=COLORS[line], lw=0.7, alpha=0.3)
        grid = grid_of(own, lambda point: point.events)
        mean = on(grid, own, lambda point: point.events, lambda point: float(np.log(point.regularity))).mean(axis=0)
        by_chance = line in BY_CHANCE
        name = f"{TITLES[line]}, asked by chance" if by_chance else TITLES[line]
        axes.plot(grid, np.exp(mean), color=COLORS[line], lw=2.2, ls=DASHED if by_chance else "-", label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("events read")
    axes.legend(loc="upper right")
    axes.grid(True)
