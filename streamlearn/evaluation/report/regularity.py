"""What the tuned λ lost at a trial's end against the best one in hindsight (`hindsight.py`), by strategy and data set."""

from __future__ import annotations

import math

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation import datasets
from streamlearn.evaluation.evaluation import Cell, Place, Played
from streamlearn.evaluation.report.curves import mean_and_error
from streamlearn.evaluation.report.summary import table

SCALE = 1000.0
ABOUT = f"""\
Final loss above the one with the best λ in hindsight, the labels being the same, × {SCALE:.0f} (log loss; of values, lost R²),
mean ± standard error over seeds. What stands first is over all data sets."""


def price(played: Played, place: Place) -> float:
    """In log loss, or in R² of values; NaN where nobody looked back."""
    outcome = played.lines[place].outcome
    if outcome.hindsight is None:
        return math.nan
    values = next(
        one.values
        for one in (datasets.load(name, played.request.label) for name in played.request.datasets)
        if one.name == place.dataset
    )
    last, best = outcome.points[-1], outcome.hindsight
    return best.score - last.score if values else last.loss - best.loss


def text(played: Played, cell: Cell) -> str:
    """A section of the summary; empty where nobody looked back."""
    prices: dict[str, dict[str, list[float]]] = {}
    for place in played.lines:
        if place.cell == cell and math.isfinite(told := price(played, place)):
            prices.setdefault(place.arm, {}).setdefault(place.dataset, []).append(told)
    if not prices:
        return ""
    sets = list(dict.fromkeys(name for own in prices.values() for name in own))
    rows = [
        [f"`{arm}`", _told(np.concatenate(list(map(np.array, own.values())))), *(_told(own.get(name)) for name in sets)]
        for arm, own in prices.items()
    ]
    return f"### λ in hindsight\n\n{ABOUT}\n\n" + table(["strategy", "all", *sets], rows)


def _told(values: Array | list[float] | None) -> str:
    if values is None:
        return "–"
    mean, error = mean_and_error(np.array(values))
    return f"{SCALE * mean:.0f} ± {SCALE * error:.0f}" if math.isfinite(error) else f"{SCALE * mean:.0f}"
