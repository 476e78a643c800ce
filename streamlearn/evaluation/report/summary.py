"""What the experiment comes to: mean areas with their errors, ranks, and what is within the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation.arms import NULLS
from streamlearn.evaluation.report.curves import mean_and_error, verdict
from streamlearn.evaluation.report.readings import Reading
from streamlearn.evaluation.trial import RANDOM

SCALE = 100.0  # areas of scores are told in hundredths: points of accuracy or R²


class Mean(NamedTuple):
    """Over seeds: score_area, loss_area and their standard errors; ahead: `ahead`, `behind` or `even` with random."""

    score_area: float
    score_error: float
    loss_area: float
    loss_error: float
    ahead: str


Means = dict[str, dict[str, Mean]]  # data set → strategy →


def summarised(readings: Sequence[Reading]) -> Means:
    """Means by data set and strategy, in order of appearance. Beyond the noise is also beyond the null controls' own means."""
    grouped: dict[str, dict[str, list[Reading]]] = {}
    for one in readings:
        grouped.setdefault(one.dataset, {}).setdefault(one.strategy, []).append(one)
    means: Means = {}
    for dataset, by_strategy in grouped.items():
        nulls = [own for name, own in by_strategy.items() if name in NULLS]
        noise = max((abs(float(np.mean([one.score_area for one in own]))) for own in nulls), default=0.0)
        for name, own in by_strategy.items():
            scores, losses = (np.array([getattr(one, what) for one in own]) for what in ("score_area", "loss_area"))
            (score, score_error), (loss, loss_error) = mean_and_error(scores), mean_and_error(losses)
            told = verdict(scores, higher_is_better=True) if abs(score) > noise else "even"
            means.setdefault(dataset, {})[name] = Mean(score, score_error, loss, loss_error, told)
    return means


def order(means: Means) -> list[str]:
    """Strategies by their mean rank; the best first."""
    ranks = mean_ranks([{name: mean.score_area for name, mean in own.items()} for own in means.values()])
    return sorted(ranks, key=lambda name: ranks[name])


def mean_ranks(sets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """From areas by strategy on each data set. 0: the first of all that were tried there, 1: the last; equals share a rank."""
    shares: dict[str, list[float]] = {}
    for areas in sets:
        for name, area in areas.items():
            before = sum(other > area for other in areas.values())
            level = sum(other == area for other in areas.values()) - 1
            shares.setdefault(name, []).append((before + level / 2.0) / max(1, len(areas) - 1))
    return {name: float(np.mean(own)) for name, own in shares.items()}


def csv(readings: Sequence[Reading]) -> str:
    """A line a trial."""
    lines = ["dataset,strategy,seed,labels,score,loss,score_area,loss_area"]
    for one in readings:
        numbers = (f"{value:.8g}" for value in one[4:])
        lines.append(",".join([one.dataset, one.strategy, str(one.seed), str(one.labels), *numbers]))
    return "\n".join(lines) + "\n"


def markdown(means: Means, seeds: int, polynomials: int) -> str:
    """What the paper's experiment comes to."""
    lines = [
        f"Area between the learning curve and random's, in points of score × {SCALE:.0f} (accuracy; R² on diabetes;",
        f"−log₁₀ of the squared error on the polynomial), mean ± standard error over {seeds} seeds (polynomials:",
        f"{seeds * polynomials}), paired. Bold: beyond the noise (95 %, and beyond the second random). In order of mean rank.",
        "",
    ]
    return "\n".join(lines) + "\n" + grid(means, order(means))


def grid(means: Means, names: Sequence[str]) -> str:
    """A row a strategy, a column a data set; what is beyond the noise in bold."""
    rows = [[_cell(own.get(name)) for own in means.values()] for name in names]
    shown = zip(names, rows, strict=True)
    return table(["strategy", *means], [[f"`{name}`", *cells] for name, cells in shown if name != RANDOM])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def points(value: float, error: float, digits: int = 1) -> str:
    """In hundredths, with the standard error; without where there is none, as of a single seed."""
    told = f"{SCALE * value:+.{digits}f}".replace("-", "−")
    return f"{told} ± {SCALE * error:.{digits}f}" if math.isfinite(error) else told


def shown(values: Array, signed: bool = False) -> str:
    """Mean ± standard error, to the error's second digit."""
    mean, error = mean_and_error(values)
    size = error if math.isfinite(error) and error > 0.0 else abs(mean) / 100.0
    digits = min(4, max(0, 1 - math.floor(math.log10(size)))) if size > 0.0 else 3
    shown = f"{mean:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return f"{shown} ± {error:.{digits}f}" if math.isfinite(error) else shown


def as_object(means: Means) -> dict[str, object]:
    """For programs."""
    return {dataset: {name: finite(mean._asdict()) for name, mean in own.items()} for dataset, own in means.items()}


def finite(values: Mapping[str, object]) -> dict[str, object]:
    """With null, which JSON has, for what is not a number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    text = points(mean.score_area, mean.score_error)
    return text if mean.ahead == "even" else f"**{text}**"
