"""What an evaluation leaves in its folder: a line a trial, tables, a summary that names no winner without need.

All of it follows from the trials and the request alone: the same bytes, however many processes played and whatever was resumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from streamlearn.evaluation import datasets
from streamlearn.evaluation.arms import CONTROL
from streamlearn.evaluation.evaluation import Cell, Place, Played
from streamlearn.evaluation.report import comparison, curve_drawing, overall, regularity, summary
from streamlearn.evaluation.report.overall import areas_of
from streamlearn.evaluation.report.readings import Reading, readings_of, trials_of
from streamlearn.evaluation.report.summary import shown, table
from streamlearn.evaluation.trial import RANDOM

COLUMNS: Final = (
    "dataset,strategy,budget,delay,seed,labels,score,loss,score_area,loss_area,"
    "issued,events,overspent,refused,regularity,best_regularity,regularity_price"
)
HOW_TO_READ: Final = f"""\
Area: between a strategy's learning curve and random queries', at the same number of labels, the mean over all numbers that both
have; paired by seed, in points of score × {summary.SCALE:.0f} (accuracy, balanced accuracy or R²). `{CONTROL}` and
`periodic` are null controls: what they differ by is noise. A mean over data sets has two errors, over seeds (these data sets,
played anew) and over data sets (others like them); by how much one is ahead of the one that was named first is
paired too, its error over seeds. Mean rank: 0 is the first on every data set, 1 the last. In bold: beyond the
95 % interval and beyond the null controls; of many cells some are by chance.
Labels needed: at which share of random queries' labels the mean curve first reaches what theirs ends with, at a budget of
{comparison.GOAL_BUDGET:g}; the null controls say how far that is from 1 by chance.
"""


def write(folder: Path, played: Played) -> list[Path]:
    """table.csv, table.md, summary.md and a picture a data set; what was written. Raises OSError."""
    texts = {"table.csv": csv(played), "table.md": levels(played), "summary.md": text(played)}
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")
    pictures = []
    for each in played.request.datasets:
        dataset = datasets.load(each, played.request.label)
        panels = [
            (cell, trials)
            for cell in played.request.cells
            for trials in trials_of(played, cell)
            if trials.dataset == dataset.name
        ]
        if panels:
            pictures.append(folder / f"curves-{dataset.name}.png")
            curve_drawing.draw(pictures[-1], dataset, panels)
    return [*(folder / name for name in texts), *pictures]


def csv(played: Played) -> str:
    """A line a trial."""
    lines = [COLUMNS]
    for cell in played.request.cells:
        for one in readings_of(played, cell):
            place = Place(cell, one.dataset, one.strategy, one.seed)
            line = played.lines[place]
            name = f'"{one.strategy}"' if "," in one.strategy else one.strategy
            numbers = [
                *one[4:],
                line.issued,
                line.outcome.events,
                line.outcome.overspent,
                line.outcome.refused,
                line.outcome.points[-1].regularity,
                line.outcome.hindsight.regularity if line.outcome.hindsight else math.nan,
                regularity.price(played, place),
            ]
            told = [one.dataset, name, f"{cell.budget:g}", cell.delay, one.seed, one.labels]
            lines.append(",".join([*map(str, told), *(f"{value:.8g}" for value in numbers)]))
    return "\n".join(lines) + "\n"


def levels(played: Played) -> str:
    """Score and loss themselves, where the areas are differences."""
    parts = [
        "# Score and loss\n\nAt the last number of labels that a strategy and random queries both have; ± standard error. "
        "Labels: all that it had."
    ]
    for cell in played.request.cells:
        readings = readings_of(played, cell)
        for what in ("score", "loss"):
            parts.append(f"## {what.capitalize()}: {_titled(cell)}\n\n{_grid(readings, what)}".rstrip())
        parts.append(
            f"## Labels: {_titled(cell)}\n\n{_grid(_with_all_labels(played, cell, readings), 'labels')}".rstrip()
        )
    return "\n\n".join(parts) + "\n"


def text(played: Played) -> str:
    """The summary."""
    request = played.request
    seeds = f"seeds {request.seeds[0]} to {request.seeds[-1]}"
    parts = [f"# Evaluation\n\n{', '.join(request.names())}; {seeds}.\n\n{HOW_TO_READ}".rstrip()]
    for cell in request.cells:
        readings = readings_of(played, cell)
        if not readings:
            continue
        areas, means = areas_of(readings), summary.summarised(readings)
        rows = [row for row in overall.overall(areas) if row.strategy != RANDOM]
        parts.append(f"## {_titled(cell).capitalize()}\n\n{overall.verdict(areas).text}")
        parts.append(comparison.text(played, cell, readings, rows).rstrip())
        parts.append(summary.grid(means, [row.strategy for row in rows]).rstrip())
        parts += filter(None, [regularity.text(played, cell).rstrip()])
    parts.append("## What else is to be known\n\n" + "\n".join(f"- {line}" for line in remarks(played)))
    return "\n\n".join(parts) + "\n"


def remarks(played: Played) -> list[str]:
    """The budget, strategies that could not act, and trials that failed."""
    over = [place for place, line in played.lines.items() if line.outcome.overspent > 0]
    kept = f"kept in {len(played.lines) - len(over)} of {len(played.lines)} trials"
    lines = [f"Budget b: issued ≤ ⌈b n⌉ after every event n, {kept}."]
    for place in over:
        line = played.lines[place]
        lines.append(
            f"Overspent by {line.outcome.overspent} queries: {place.arm} on {place.dataset}, seed {place.seed}."
        )
    lines += _refusals(played)
    strategies = {arm.name: arm.strategy for arm in played.request.arms}
    stood_in = {
        (place.arm, place.dataset, other)
        for place, line in played.lines.items()
        for other in line.acted
        if strategies[place.arm] not in ("auto", other)
    }
    lines += [f"On {dataset} `{other}` stood in for `{arm}`." for arm, dataset, other in sorted(stood_in)]
    return [*lines, *played.request.notes, *played.failed]


def _refusals(played: Played) -> list[str]:
    refused: dict[str, tuple[int, int]] = {}
    for place, line in played.lines.items():
        asked, answered = refused.get(place.arm, (0, 0))
        refused[place.arm] = (asked + line.issued + line.outcome.refused, answered + line.issued)
    return [
        f"`{arm}` asked {asked} times and was answered {answered} times: beyond the budget it was refused."
        for arm, (asked, answered) in refused.items()
        if asked > answered
    ]


def as_object(played: Played) -> dict[str, object]:
    """For programs."""
    cells = []
    for cell in played.request.cells:
        readings = readings_of(played, cell)
        if readings:
            areas = areas_of(readings)
            verdict = overall.verdict(areas)._asdict()
            rows = [summary.finite(row._asdict()) for row in overall.overall(areas)]
            means = summary.as_object(summary.summarised(readings))
            cells.append({**cell._asdict(), **verdict, "overall": rows, "datasets": means})
    return {"trials": len(played.lines), "failed": list(played.failed), "cells": cells, "remarks": remarks(played)}


def _titled(cell: Cell) -> str:
    late = "at once" if cell.delay == 0 else f"{cell.delay} events late"
    return f"budget {100 * cell.budget:g} %, answers {late}"


def _with_all_labels(played: Played, cell: Cell, readings: Sequence[Reading]) -> list[Reading]:
    """With a trial's own number of labels, not the one at which it is read."""
    places = {one: Place(cell, one.dataset, one.strategy, one.seed) for one in readings}
    return [one._replace(labels=played.lines[place].outcome.labels) for one, place in places.items()]


def _grid(readings: Sequence[Reading], what: str) -> str:
    found: dict[str, dict[str, list[float]]] = {}
    for one in readings:
        found.setdefault(one.strategy, {}).setdefault(one.dataset, []).append(getattr(one, what))
    sets = list(dict.fromkeys(one.dataset for one in readings))
    rows = [
        [f"`{name}`", *(shown(np.array(own[dataset])) if dataset in own else "–" for dataset in sets)]
        for name, own in found.items()
    ]
    return table(["strategy", *sets], rows)
