"""What the experiment comes to: mean areas with their errors, ranks, and what is within the noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streamlearn.evaluation.curves import mean_and_error, verdict
from streamlearn.evaluation.readings import CONTROL, RANDOM, Reading

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
    """Means by data set and strategy, in order of appearance. Beyond the noise is also beyond the control's own mean."""
    grouped: dict[str, dict[str, list[Reading]]] = {}
    for one in readings:
        grouped.setdefault(one.dataset, {}).setdefault(one.strategy, []).append(one)
    means: Means = {}
    for dataset, by_strategy in grouped.items():
        noise = abs(float(np.mean([one.score_area for one in by_strategy.get(CONTROL, [])] or [0.0])))
        for name, own in by_strategy.items():
            scores, losses = (np.array([getattr(one, what) for one in own]) for what in ("score_area", "loss_area"))
            (score, score_error), (loss, loss_error) = mean_and_error(scores), mean_and_error(losses)
            told = verdict(scores, higher_is_better=True) if abs(score) > noise else "even"
            means.setdefault(dataset, {})[name] = Mean(score, score_error, loss, loss_error, told)
    return means


def order(means: Means) -> list[str]:
    """Strategies by their mean rank, as a share, over the data sets that they were tried on; the best first."""
    shares: dict[str, list[float]] = {}
    for by_strategy in means.values():
        ranked = sorted(by_strategy, key=lambda name: -by_strategy[name].score_area)
        for place, name in enumerate(ranked):
            shares.setdefault(name, []).append(place / max(1, len(ranked) - 1))
    return sorted(shares, key=lambda name: float(np.mean(shares[name])))


def csv(readings: Sequence[Reading]) -> str:
    """A line a trial."""
    lines = ["dataset,strategy,seed,labels,score,loss,score_area,loss_area"]
    for one in readings:
        numbers = (f"{value:.8g}" for value in one[4:])
        lines.append(",".join([one.dataset, one.strategy, str(one.seed), str(one.labels), *numbers]))
    return "\n".join(lines) + "\n"


def markdown(means: Means, seeds: int, polynomials: int) -> str:
    """A row a strategy, a column a data set; what is beyond the noise in bold."""
    sets = list(means)
    lines = [
        f"Area between the learning curve and random's, in points of score × {SCALE:.0f} (accuracy; R² on diabetes;",
        f"−log₁₀ of the squared error on the polynomial), mean ± standard error over {seeds} seeds (polynomials:",
        f"{seeds * polynomials}), paired. Bold: beyond the noise (95 %, and beyond the second random). In order of mean rank.",
        "",
        "| strategy | " + " | ".join(sets) + " |",
        "| --- |" + " --- |" * len(sets),
    ]
    for name in order(means):
        if name != RANDOM:
            lines.append(f"| `{name}` | " + " | ".join(_cell(means[dataset].get(name)) for dataset in sets) + " |")
    return "\n".join(lines) + "\n"


def as_object(means: Means) -> dict[str, object]:
    """For programs."""
    return {dataset: {name: mean._asdict() for name, mean in own.items()} for dataset, own in means.items()}


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    text = f"{SCALE * mean.score_area:+.1f} ± {SCALE * mean.score_error:.1f}".replace("-", "−")
    return text if mean.ahead == "even" else f"**{text}**"
