"""The experiment as a picture: a dot a strategy and data set, and a few learning curves with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.evaluation.arms import CONTROL
from streamlearn.evaluation.report import summary
from streamlearn.evaluation.report.curves import grid_of, on
from streamlearn.evaluation.report.readings import Trials
from streamlearn.evaluation.report.style import INK, STYLE, band
from streamlearn.evaluation.report.summary import SCALE, Means
from streamlearn.evaluation.trial import RANDOM

COLORS = {"ahead": "#2c8a4b", "behind": "#c8352b", "even": "#8a8a8a"}
LINES = ("#1f5fbf", "#2c8a4b", "#c8352b", "#8a5fbf")
SHOWN = ("sld",)  # beside random, the usual one and the best two
TITLES = {
    "polynomial": "polynomial (−log₁₀ error)",
    "breast_cancer": "breast cancer (accuracy)",
    "phishing": "phishing (accuracy)",
    "diabetes": "diabetes (R²)",
    "digits": "digits (accuracy)",
}
SIZE_INCHES, DPI = (13.5, 10.5), 90


def draw(path: Path, means: Means, trials: Sequence[Trials]) -> None:
    """A PNG. Raises OSError where it cannot be written."""
    import matplotlib  # a heavy import, needed only here

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure: Any = pyplot.figure(figsize=SIZE_INCHES, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.35, 1.0))
        _dots(above.subplots(1, len(means), sharey=True, squeeze=False)[0], means)
        axes = below.subplots(1, min(4, len(trials)), squeeze=False)[0]
        for axis, each in zip(axes, trials, strict=False):
            _curves(axis, each, means[each.dataset])
        above.suptitle(
            "What each query score gains over random queries: area between learning curves × 100, ± 2 standard errors",
            fontsize=12,
            x=0.01,
            ha="left",
        )
        figure.savefig(path, dpi=DPI, format="png")
        pyplot.close(figure)


def _dots(axes: Sequence[Any], means: Means) -> None:
    names = [name for name in summary.order(means) if name != RANDOM]
    for axis, (dataset, own) in zip(axes, means.items(), strict=True):
        axis.axvline(0.0, color=INK, lw=1.0)
        if CONTROL in own:
            noise = SCALE * (abs(own[CONTROL].score_area) + 2.0 * own[CONTROL].score_error)
            axis.axvspan(-noise, noise, color="#f0f0f0", lw=0)
        for place, name in enumerate(names):
            if name in own:
                mean = own[name]
                color = COLORS[mean.ahead]
                spread = 2.0 * SCALE * mean.score_error if np.isfinite(mean.score_error) else 0.0
                axis.errorbar(SCALE * mean.score_area, place, xerr=spread, fmt="o", ms=6, color=color, lw=1.6)
        axis.set_title(TITLES.get(dataset, dataset), fontsize=10)
        axis.grid(True, axis="y")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    axes[0].set_xlabel("green ahead, red behind, grey within the noise; band: a second random", loc="left")


def _curves(axis: Any, trials: Trials, means: dict[str, summary.Mean]) -> None:
    usual = "uncertainty" if "uncertainty" in means else "leverage"
    best = sorted((name for name in means if name not in (CONTROL, RANDOM)), key=lambda name: -means[name].score_area)
    # Strategies that come to the same to the last digit are one line: on the polynomial a few only differ in scale.
    distinct = {means[name].score_area: name for name in reversed(best) if name != usual}
    best = [name for name in best if name in distinct.values()]
    shown = dict.fromkeys([usual, *best[:2], *(name for name in SHOWN if name in means)])
    for name, color in {RANDOM: "#d9822b", **dict(zip(shown, LINES, strict=False))}.items():
        own = [points for (each, _), points in trials.curves.items() if each == name]
        grid = grid_of(own, lambda point: point.labels)
        values = on(grid, own, lambda point: point.labels, lambda point: point.score)
        mean, error = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(own))
        band(axis, grid, mean, mean - error, mean + error, color=color, lw=1.8, label=name)
    axis.legend(loc="lower right")
    axis.set_title(TITLES.get(trials.dataset, trials.dataset), fontsize=10)
    axis.set_xlabel("labels")
    axis.grid(True)
