"""What a model is judged on: all rows that were set aside, or those around its moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from streamlearn.evaluation import trial
from streamlearn.evaluation.quality import Evaluation
from streamlearn.evaluation.rows import Dataset, Part
from streamlearn.evaluation.trial import Outcome, Plan

ROWS = 900


def run(folder: Path, dataset: Dataset, arm: str = "all_labels") -> Outcome:
    folder.mkdir()
    return trial.run(dataset, Plan(arm, 1, 0.3, 0), folder, lambda events, point: True)


def test_a_stream_that_turns_over_is_judged_by_what_holds_at_the_time(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=ROWS)
    turned = np.where(np.arange(ROWS) < ROWS // 2, x > 0, x < 0)
    xs, ys = tuple([value] for value in x.tolist()), tuple("yes" if each else "no" for each in turned)
    points = run(tmp_path / "ordered", Dataset("made", xs, ys, values=False, ordered=True)).points
    score = {point.events: point.score for point in points}
    events = sorted(score)
    before = [score[n] for n in events if 100 < n < 230]  # 600 events; the turn comes at 300
    after = [score[n] for n in events if 370 < n < 430]
    assert min(before) > 0.95
    assert max(after) < 0.5
    whole = run(tmp_path / "whole", Dataset("made", xs, ys, values=False)).points
    assert all(0.3 < point.score < 0.7 for point in whole)


def test_r2_in_time_is_against_the_variance_of_the_whole_set(tmp_path: Path) -> None:
    """Within a moment a slow rise varies next to nothing: against that, an error of nothing would be a failure."""
    rise = np.linspace(0.0, 10.0, ROWS)
    xs, ys = tuple([value] for value in rise.tolist()), tuple((3.0 * rise).tolist())
    noisy = tuple(y + 0.5 * (-1) ** i for i, y in enumerate(ys))
    last = run(tmp_path / "a", Dataset("made", xs, noisy, values=True, ordered=True)).points[-1]
    assert last.score > 0.99
    assert abs(last.loss - 0.5 * 0.25) < 0.02


def test_where_classes_are_imbalanced_a_model_that_knows_the_usual_one_scores_a_half(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 1))
    ys = tuple("rare" if i % 20 == 0 else "usual" for i in range(400))
    dataset = Dataset("made", tuple(x.tolist()), ys, values=False, imbalanced=True)
    assert dataset.score_name == "balanced accuracy"
    assert run(tmp_path / "a", dataset).points[-1].score == 0.5
    plain = Dataset("made", tuple(x.tolist()), ys, values=False)
    assert run(tmp_path / "b", plain).points[-1].score > 0.9


def test_another_program_s_probabilities_are_judged_as_ours_are() -> None:
    xs, ys = tuple([float(i)] for i in range(4)), ("a", "a", "b", "c")
    dataset = Dataset("made", xs, ys, values=False)
    evaluation = Evaluation(dataset, Part((0, 1, 2, 3), ("0", "1", "2", "3"), xs, ys))
    told = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]])
    quality = evaluation.of_probabilities(("a", "b", "c"), {"a", "b"}, lambda now: told[now], 3)
    assert quality.score == 0.25  # of equals the first; "c" was never heard of, though it is guessed
    assert abs(quality.loss + np.log([0.7, 0.3, 0.5, 1e-3]).mean()) < 1e-12
    imbalanced = Evaluation(replace(dataset, imbalanced=True), Part((0, 1, 2, 3), ("0", "1", "2", "3"), xs, ys))
    assert imbalanced.of_probabilities(("a", "b", "c"), {"a"}, lambda now: told[now], 3).score == 0.5 / 3
