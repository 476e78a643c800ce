"""The table over data sets: mean areas, what each strategy is ahead of the first that was named, ranks, labels needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation import datasets
from streamlearn.evaluation.evaluation import Cell, Played
from streamlearn.evaluation.report.curves import labels_needed, mean_and_error
from streamlearn.evaluation.report.overall import Overall, areas_of, paired
from streamlearn.evaluation.report.readings import Reading, Trials, trials_of
from streamlearn.evaluation.report.summary import SCALE, points, table
from streamlearn.evaluation.trial import RANDOM

GOAL_BUDGET: Final = 0.2  # of random queries, whose result the others are to reach with fewer labels


def text(played: Played, cell: Cell, readings: Sequence[Reading], rows: Sequence[Overall]) -> str:
    """These rows, of the cell with these readings."""
    needed = needs(trials_of(played, cell)) if cell.budget == GOAL_BUDGET else {}
    ahead = _ahead_of_first(played, readings)
    columns = list(next(iter(ahead.values())))
    header = ["strategy", "mean area", "± over seeds", "± over data sets", *columns, "data sets", "mean rank"]
    if needed:
        header.append("labels needed")
    cells = []
    for row in rows:
        mean, *errors = (
            f"{SCALE * value:{sign}.2f}".replace("-", "−") if math.isfinite(value) else "–"
            for value, sign in ((row.mean, "+"), (row.error_over_seeds, ""), (row.error_over_sets, ""))
        )
        share = needed.get(row.strategy, math.nan)
        last = [f"{share:.2f}" if math.isfinite(share) else "not reached"] if needed else []
        less = ahead.get(row.strategy, dict.fromkeys(columns, "–")).values()
        cells.append([f"`{row.strategy}`", mean, *errors, *less, str(row.sets), f"{row.rank:.2f}", *last])
    return table(header, cells)


def _ahead_of_first(played: Played, readings: Sequence[Reading]) -> dict[str, dict[str, str]]:
    """By strategy what it is ahead, by column: of the strategy that was named first, in score, and in log loss of classes."""
    first, *others = [arm.name for arm in played.request.arms if arm.name != RANDOM]
    columns = {f"ahead of `{first}`": areas_of(readings)}
    if not any(datasets.load(name, played.request.label).values for name in played.request.datasets):
        columns["ahead in log loss"] = areas_of(readings, of_loss=True)
    return {
        name: {
            column: _told(paired(areas, name, first)) if name in areas and first in areas else "–"
            for column, areas in columns.items()
        }
        for name in others
    }


def needs(trials: Sequence[Trials]) -> dict[str, float]:
    """By strategy: the median over data sets of labels needed, as a share of random queries'."""
    shares: dict[str, list[float]] = {}
    for each in trials:
        by_strategy: dict[str, list[int]] = {}
        for name, seed in each.curves:
            by_strategy.setdefault(name, []).append(seed)
        for name, seeds in by_strategy.items():
            ours, theirs = ([each.curves[arm, seed] for seed in seeds] for arm in (name, RANDOM))
            shares.setdefault(name, []).append(labels_needed(ours, theirs))
    return {name: float(np.median(own)) for name, own in shares.items()}


def _told(values: Array) -> str:
    return points(*mean_and_error(values), digits=2) if len(values) else "–"
