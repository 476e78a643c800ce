"""The table that the demo ends with, and one honest sentence."""

from __future__ import annotations

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.demo.comparison import Comparison
from streamlearn.evaluation.report.curves import verdict
from streamlearn.evaluation.report.summary import shown
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import ALL_LABELS, RANDOM, STREAMLEARN

TITLES = {STREAMLEARN: "streamlearn", RANDOM: "random queries", ALL_LABELS: "every label given"}
NAME_WIDTH, COLUMN_WIDTH = 29, 20


def text(comparison: Comparison, dataset: Dataset) -> str:
    """The table."""
    lines = [_line("", "labels", dataset.score_name, "test loss")]
    for name, title in TITLES.items():
        arm = comparison.arms[name]
        lines.append(_line(title, _labels(arm.labels), shown(arm.score), shown(arm.loss)))
    score, loss = comparison.difference("score"), comparison.difference("loss")
    lines += [
        "",
        _line("streamlearn − random", "", "", ""),
        _line("  with these labels", "", shown(score, True), shown(loss, True)),
        _line("  mean along the way", "", shown(comparison.along_score, True), shown(comparison.along_loss, True)),
        "",
        _given(comparison),
    ]
    return "\n".join(line.rstrip() for line in lines)


def sentence(comparison: Comparison, dataset: Dataset) -> str:
    """What the table says, where it is good and where it is not."""
    labels = _labels(comparison.arms[STREAMLEARN].labels)
    if len(comparison.seeds) == 1:
        return f"With one seed nobody can tell whether streamlearn or random queries do better at {labels} labels."
    by_score = verdict(comparison.difference("score"), higher_is_better=True)
    by_loss = verdict(comparison.difference("loss"), higher_is_better=False)
    words = {
        "ahead": "ahead of random queries",
        "behind": "behind random queries",
        "even": "no different from random queries within the noise",
    }
    if by_score == by_loss:
        what = f"{words[by_score]} in {dataset.score_name} and in test loss"
    else:
        what = f"{words[by_score]} in {dataset.score_name}, and {words[by_loss]} in test loss"
    return f"At {labels} labels streamlearn is {what} ({len(comparison.seeds)} seeds, paired, 95 %)."


def _line(name: str, labels: str, score: str, loss: str) -> str:
    return f"{name:<{NAME_WIDTH}}{labels:>7}{score:>{COLUMN_WIDTH}}{loss:>{COLUMN_WIDTH}}"


def _labels(values: Array) -> str:
    low, high = int(np.min(values)), int(np.max(values))
    return str(low) if low == high else f"{low}–{high}"


def _given(comparison: Comparison) -> str:
    ours, theirs = (comparison.arms[name].given.mean() for name in (STREAMLEARN, RANDOM))
    return (
        f"Mean ± standard error over {len(comparison.seeds)} seeds. streamlearn got {ours:.1f} labels on average, random "
        f"queries {theirs:.1f};\nboth are read at the number that both came to."
    )
