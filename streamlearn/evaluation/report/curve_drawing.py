"""Learning curves of one data set: a panel a budget and delay, a line a strategy, mean and standard error over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from streamlearn.evaluation.arms import NULLS
from streamlearn.evaluation.evaluation import Cell
from streamlearn.evaluation.report.curves import grid_of, on
from streamlearn.evaluation.report.readings import Trials
from streamlearn.evaluation.report.style import STYLE, band
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import RANDOM

COLORS: Final = ("#1f5fbf", "#2c8a4b", "#c8352b", "#8a5fbf", "#1b9aaa", "#b5651d", "#d04a9a", "#6b6b00")
CONTROLS: Final = {RANDOM: "#d9822b", **dict.fromkeys(NULLS, "#aaaaaa")}
ACROSS, PANEL_INCHES, DPI = 3, (4.8, 3.6), 90


def draw(path: Path, dataset: Dataset, panels: Sequence[tuple[Cell, Trials]]) -> None:
    """A PNG. Raises OSError where it cannot be written."""
    import matplotlib  # a heavy import, needed only here

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns, rows = min(ACROSS, len(panels)), math.ceil(len(panels) / ACROSS)
    size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (cell, trials) in zip(axes.flat, panels, strict=False):
            _curves(axis, trials)
            axis.set_title(f"{dataset.name}: budget {100 * cell.budget:g} %, {cell.delay} events late", fontsize=10)
        axes.flat[0].set_ylabel(dataset.score_name)
        axes.flat[0].legend(loc="lower right", fontsize=8)
        try:
            figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})
        finally:
            pyplot.close(figure)


def _curves(axis: Any, trials: Trials) -> None:
    names = list(dict.fromkeys(name for name, _ in trials.curves))
    own_colors = dict(zip((name for name in names if name not in CONTROLS), COLORS * len(names), strict=False))
    shown = list[float]()
    for name in names:
        own = [points for (each, _), points in trials.curves.items() if each == name]
        grid = grid_of(own, lambda point: point.labels)
        values = on(grid, own, lambda point: point.labels, lambda point: point.score)
        mean = values.mean(axis=0)
        error = values.std(axis=0, ddof=1) / np.sqrt(len(own)) if len(own) > 1 else np.zeros_like(mean)
        settled = slice(len(grid) // 8, None)  # the first few labels are far off: what happens later is to be seen
        shown += [*(mean - error)[settled], *(mean + error)[settled]]
        style = "--" if name in NULLS else "-"
        color = CONTROLS.get(name) or own_colors[name]
        band(axis, grid, mean, mean - error, mean + error, color=color, lw=1.6, ls=style, label=name)
    rest = 0.06 * (max(shown) - min(shown)) or 0.06
    axis.set_ylim(min(shown) - rest, max(shown) + rest)
    axis.set_xlabel("labels")
    axis.grid(True)
