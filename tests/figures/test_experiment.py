"""The experiment: who takes part, what is read off, and that the same seeds give the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.evaluation.arms import CONTROL
from streamlearn.evaluation.report import summary
from streamlearn.evaluation.report.readings import Reading, Trials, read
from streamlearn.evaluation.trial import RANDOM, Point
from streamlearn.figures import experiment
from streamlearn.figures.experiment import POLYNOMIAL
from streamlearn.queries.choose import STRATEGIES


def curve(labels: list[int], scores: list[float]) -> tuple[Point, ...]:
    return tuple(Point(0, n, 10.0 - s, s, 1.0, 0.0) for n, s in zip(labels, scores, strict=True))


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, on the polynomial and on real data, with every strategy."""
    folder = tmp_path_factory.mktemp("experiment")
    experiment.run(folder, 2, silent, (POLYNOMIAL, "diabetes"))
    return folder


def test_every_strategy_takes_part_somewhere_and_random_twice_everywhere() -> None:
    sets = {name: experiment.arms(name) for name in (POLYNOMIAL, *experiment.REAL)}
    assert {name for arms in sets.values() for name in arms} == set(STRATEGIES) - {"margin"} | {CONTROL}
    assert all({RANDOM, CONTROL} <= set(arms) for arms in sets.values())
    assert not {"uncertainty", "entropy", "flip"} & set(sets["diabetes"])
    assert "uncertainty" in sets["breast_cancer"]
    assert "leverage" not in sets["digits"]  # where it would be SLD under another name


def test_the_area_is_the_mean_lead_over_the_labels_that_both_curves_have() -> None:
    ours, theirs = curve([2, 4, 6, 9], [1.0, 3.0, 5.0, 5.0]), curve([3, 7], [1.0, 3.0])
    trials = Trials("a", {("x", 0): ours, (RANDOM, 0): theirs})
    found = {one.strategy: one for one in read(trials)}
    # At 3 … 7: 2, 3, 4, 5, 5 against 1, 1.5, 2, 2.5, 3.
    assert_allclose(found["x"].score_area, (19.0 - 10.0) / 5.0)
    assert_allclose(found["x"].loss_area, -(19.0 - 10.0) / 5.0)
    assert (found["x"].labels, found["x"].score) == (7, 5.0)
    assert (found[RANDOM].score_area, found[RANDOM].loss_area) == (0.0, 0.0)


def readings(areas: dict[str, list[float]]) -> list[Reading]:
    return [
        Reading("set", name, seed, 9, 0.0, 0.0, area, -area)
        for name, own in areas.items()
        for seed, area in enumerate(own)
    ]


def test_a_lead_counts_only_beyond_its_own_spread_and_beyond_the_second_random() -> None:
    steady, wild, small = [1.0, 1.1, 0.9, 1.0], [9.0, -8.0, 7.0, -6.0], [0.10, 0.11, 0.09, 0.10]
    given = {"steady": steady, "wild": wild, "small": small, "worse": [-2.0, -2.1, -1.9, -2.0]}
    means = summary.summarised(readings({**given, RANDOM: [0.0] * 4, CONTROL: [0.5, -0.1, 0.4, 0.2]}))["set"]
    told = {name: means[name].ahead for name in given}
    assert told == {"steady": "ahead", "wild": "even", "small": "even", "worse": "behind"}
    assert_allclose(means["steady"].score_error, np.std(steady, ddof=1) / 2.0)


def test_the_order_is_by_mean_rank_over_the_sets_that_a_strategy_was_tried_on() -> None:
    one = readings({"a": [3.0], "b": [2.0], RANDOM: [0.0]})
    other = [each._replace(dataset="other") for each in readings({"b": [1.0], "c": [-1.0], RANDOM: [0.0]})]
    assert summary.order(summary.summarised(one + other)) == ["a", "b", RANDOM, "c"]
    text = summary.markdown(summary.summarised(one + other), 1, 5)
    assert "| `a` | +300.0 | – |" in text


def test_a_run_leaves_a_table_a_picture_and_a_line_a_trial(folder: Path) -> None:
    lines = (folder / "experiment.csv").read_text().splitlines()
    arms = {name: experiment.arms(name) for name in (POLYNOMIAL, "diabetes")}
    seeds = {POLYNOMIAL: 2 * experiment.POLYNOMIALS, "diabetes": 2}
    expected = {f"{name},{arm},{seed}" for name, own in arms.items() for arm in own for seed in range(seeds[name])}
    assert {",".join(line.split(",")[:3]) for line in lines[1:]} == expected
    table = (folder / "experiment.md").read_text()
    assert all(f"| `{arm}` |" in table for arm in arms[POLYNOMIAL] if arm != RANDOM)
    assert (folder / "experiment.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seeds_give_the_same_bytes_and_what_is_sld_by_another_name_the_same_numbers(
    folder: Path,
) -> None:
    lines = summary.csv(read(experiment.of_polynomial(1, silent))).splitlines()
    assert lines == (folder / "experiment.csv").read_text().splitlines()[: len(lines)]
    # On the polynomial the labeled total over all labels is SLD (59)-(63), and chooses what it chooses.
    rows = {line.rsplit(",", 5)[0].split(",", 1)[1]: line.split(",")[3:] for line in lines[1:]}
    assert rows["sld,0"] == rows["sti,0"]
