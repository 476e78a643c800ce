"""The table of many users: test loss by how many labels a user has, and one honest sentence."""

from __future__ import annotations

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.users.comparison import (
    ALONE,
    LINES,
    OWN,
    OWN_ASKS,
    SHARED,
    SHARED_ASKS,
    TITLES_OF_BINS,
    Comparison,
)
from streamlearn.evaluation.report.curves import mean_and_error, verdict
from streamlearn.evaluation.rows import Dataset

TITLES = {
    SHARED: "one model that all share",
    ALONE: "each user alone",
    OWN: "a personality for each",
    SHARED_ASKS: "one model, asks by its scores",
    OWN_ASKS: "personalities, ask by their scores",
}
BY_CHANCE = (SHARED, ALONE, OWN)
NAME_WIDTH, COLUMN_WIDTH = 37, 15
WORDS = {"ahead": "ahead of", "behind": "behind", "even": "no different, within the noise, from"}


def text(comparison: Comparison, dataset: Dataset) -> str:
    """The table; a score column where it is a share of right answers."""
    lines = [
        "Test loss by the labels that a user has" + (" (in variances of the labels)" if dataset.values else ""),
        _line("", ["all users", *TITLES_OF_BINS], "" if dataset.values else dataset.score_name),
        _line("users, on average", ["", *(f"{each:.1f}" for each in comparison.users)], ""),
    ]
    for name in LINES:
        if name in (SHARED, SHARED_ASKS):
            lines.append(
                "asked by chance: the same labels" if name in BY_CHANCE else "asked by scores: labels of their own"
            )
        cells = [_cell(column) for column in comparison.loss[name].T]
        lines.append(_line(f"  {TITLES[name]}", cells, "" if dataset.values else _cell(comparison.score[name][:, 0])))
    given = {name: comparison.labels[name].mean() for name in LINES}
    lines += [
        "",
        f"Mean ± standard error over {len(comparison.seeds)} seeds. Labels on average: {given[OWN]:.0f} by chance, "
        f"{given[SHARED_ASKS]:.0f} and {given[OWN_ASKS]:.0f} by scores.",
    ]
    return "\n".join(line.rstrip() for line in lines)


def sentence(comparison: Comparison) -> str:
    """What the table says of all users, where it is good and where it is not."""
    count = len(comparison.seeds)
    if count == 1:
        return "With one seed nobody can tell which of them does better."

    def said(ours: str, theirs: str) -> str:
        return WORDS[verdict(comparison.difference(ours, theirs), higher_is_better=False)]

    return (
        f"In test loss a personality for each user is {said(OWN, SHARED)} one model that all share, and {said(OWN, ALONE)} "
        f"each user alone; with queries by their scores personalities are {said(OWN_ASKS, SHARED_ASKS)} one model with its "
        f"own, and {said(OWN_ASKS, OWN)} personalities with random queries ({count} seeds, paired, 95 %)."
    )


def as_object(comparison: Comparison, dataset: Dataset, budget: float, delay: int) -> dict[str, object]:
    """The same for programs: by line, of every seed, the mean over all users and over those of each bin; null: nobody."""
    result: dict[str, object] = {
        "dataset": dataset.name,
        "budget": budget,
        "delay": delay,
        "seeds": list(comparison.seeds),
    }
    result |= {
        "score": dataset.score_name,
        "labels_of_a_user": ["all", *TITLES_OF_BINS],
        "users": comparison.users.tolist(),
    }
    for name in LINES:
        result[name] = {
            "labels": comparison.labels[name].tolist(),
            "test_loss": _nulls(comparison.loss[name]),
            "test_score": _nulls(comparison.score[name]),
        }
    result["verdict"] = sentence(comparison)
    return result


def _nulls(values: Array) -> list[list[float | None]]:
    return [[float(each) if np.isfinite(each) else None for each in row] for row in values]


def _cell(values: Array) -> str:
    there = values[np.isfinite(values)]
    if len(there) == 0:
        return "–"
    mean, error = mean_and_error(there)
    return f"{mean:.3f}" if np.isnan(error) else f"{mean:.3f} ± {error:.3f}"


def _line(name: str, cells: list[str], last: str) -> str:
    return f"{name:<{NAME_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in [*cells, last])
