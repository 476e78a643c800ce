"""Curves are compared at the number of labels that both came to, and the sentence says what the numbers say."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.demo.comparison import compare
from streamlearn.demo.table import sentence, text
from streamlearn.evaluation.report.curves import mean_and_error, verdict
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import ALL_LABELS, RANDOM, STREAMLEARN, Outcome, Plan, Point

DATA = Dataset("made", ([1.0],), ("a",), values=False)


def outcome(arm: str, seed: int, *curve: tuple[int, float, float]) -> Outcome:
    """curve: (labels, loss, score) …"""
    points = tuple(Point(10 * labels, labels, loss, score, 0.1, 0.0) for labels, loss, score in curve)
    return Outcome(Plan(arm, seed, 0.1, 20), points[-1].labels, points, ())


def made(gain: float, seeds: int) -> list[Outcome]:
    outcomes = []
    for seed in range(seeds):
        off = 0.001 * (seed % 2)
        outcomes += [
            outcome(STREAMLEARN, seed, (10, 0.6, 0.5), (20, 0.4 - gain + off, 0.7 + gain + off)),
            outcome(RANDOM, seed, (12, 0.6, 0.5), (22, 0.4, 0.7)),
            outcome(ALL_LABELS, seed, (100, 0.2, 0.95)),
        ]
    return outcomes


def test_curves_are_read_at_the_labels_that_both_have() -> None:
    comparison = compare(made(0.1, 1))
    ours, theirs = comparison.arms[STREAMLEARN], comparison.arms[RANDOM]
    assert (ours.labels.tolist(), theirs.labels.tolist(), theirs.given.tolist()) == ([20], [20], [22])
    assert (ours.loss[0], ours.score[0]) == pytest.approx((0.3, 0.8))
    assert (theirs.loss[0], theirs.score[0]) == pytest.approx((0.44, 0.66))  # four fifths of the way from 12 to 22
    assert comparison.difference("score")[0] == pytest.approx(0.14)
    # From 12 labels to 20 the difference in score rises evenly from 0.06 to 0.14.
    assert comparison.along_score[0] == pytest.approx(0.10)


def test_mean_and_standard_error() -> None:
    assert mean_and_error(np.array([1.0, 3.0])) == pytest.approx((2.0, 1.0))
    assert np.isnan(mean_and_error(np.array([1.0]))[1])


def test_a_verdict_needs_more_than_the_noise() -> None:
    noisy, clear = np.array([1.0, -0.5, 0.7, -0.2]), np.array([1.0, 1.1, 0.9, 1.0])
    assert [verdict(noisy, True), verdict(clear, True), verdict(clear, False)] == ["even", "ahead", "behind"]
    assert verdict(np.array([1.0]), True) == "even"


@pytest.mark.parametrize(
    ("gain", "seeds", "said"),
    [
        (0.1, 4, "At 20 labels streamlearn is ahead of random queries in accuracy and in test loss"),
        (-0.2, 4, "At 20 labels streamlearn is behind random queries in accuracy and in test loss"),
        (0.1, 1, "With one seed nobody can tell"),
    ],
)
def test_the_sentence_is_honest(gain: float, seeds: int, said: str) -> None:
    comparison = compare(made(gain, seeds))
    assert sentence(comparison, DATA).startswith(said)
    assert "every label given" in text(comparison, DATA)
