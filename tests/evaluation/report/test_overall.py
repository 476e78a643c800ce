"""Who is called the winner: nobody within the noise, and nobody who is not ahead of all others."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.evaluation.arms import CONTROL
from streamlearn.evaluation.report.curves import Curve
from streamlearn.evaluation.report.overall import Areas, areas_of, overall, paired, verdict
from streamlearn.evaluation.report.readings import Trials, read
from streamlearn.evaluation.report.summary import points
from streamlearn.evaluation.trial import RANDOM, Point

SEEDS = 10


def areas(**strategies: Array) -> Areas:
    """From (data sets, seeds) by strategy."""
    return {
        name.replace("_", " "): {f"set {i}": dict(enumerate(row.tolist())) for i, row in enumerate(values)}
        for name, values in strategies.items()
    }


def noise(seed: int, sets: int = 4) -> Array:
    return np.random.default_rng(seed).normal(scale=0.02, size=(sets, SEEDS))


def made(**strategies: Array) -> Areas:
    return areas(random=np.zeros((4, SEEDS)), random_again=noise(1000), **strategies)


def test_what_one_is_ahead_of_another_is_paired_on_what_both_have() -> None:
    one, other = {"a": {0: 0.5, 1: 0.7}, "b": {0: 0.2, 1: 0.4, 2: 9.0}}, {"b": {0: 0.1, 1: 0.0}, "c": {0: 1.0}}
    np.testing.assert_allclose(paired({"one": one, "other": other}, "one", "other"), [0.1, 0.4])
    assert len(paired({"one": {"a": {0: 0.5}}, "other": other}, "one", "other")) == 0


def test_two_that_are_identical_are_never_called_winner() -> None:
    for seed in range(50):
        same = noise(seed) + 0.05 * (seed % 2)  # within the noise, or well ahead of random queries
        told = verdict(made(one=same, other=same))
        assert told.winner is None
        assert told.ahead == (("one", "other") if seed % 2 else ())


def test_of_many_that_differ_by_chance_alone_hardly_ever_one_is_ahead() -> None:
    runs = [verdict(made(**{f"s{i}": noise(10 * run + i) for i in range(8)})) for run in range(100)]
    assert sum(bool(told.ahead) for told in runs) <= 5


def test_one_that_is_ahead_of_all_is_the_winner_and_what_that_holds_for_is_said() -> None:
    everywhere = verdict(made(good=noise(1) + 0.08, poor=noise(2)))
    assert everywhere.winner == "good"
    assert everywhere.text.endswith("Over data sets like them (4) that it is ahead holds at 95 %.")
    once = np.zeros((4, 1))
    once[0] = 0.4
    told = verdict(made(good=noise(1) + once, poor=noise(2)))
    assert told.winner == "good"
    assert told.text.endswith("does not hold at 95 %.")


def test_the_best_is_no_winner_where_another_may_be_as_good() -> None:
    told = verdict(made(good=noise(1) + 0.08, near=noise(2) + 0.078, poor=noise(3)))
    assert (told.winner, told.ahead) == (None, ("good", "near"))
    assert "`good` is not ahead of `near` beyond the noise" in told.text or "`near` is not ahead of `good`" in told.text


def test_without_a_second_seed_or_a_null_control_nobody_wins() -> None:
    good = noise(1) + 0.08
    assert verdict(areas(random=np.zeros((4, SEEDS)), good=good)).winner is None
    one = {name: {each: {0: seeds[0]} for each, seeds in own.items()} for name, own in made(good=good).items()}
    assert verdict(one).winner is None


def test_a_null_control_that_is_itself_far_off_silences_the_verdict() -> None:
    zero = np.zeros((4, SEEDS))
    assert verdict(areas(random=zero, random_again=noise(7) + 0.1, good=noise(1) + 0.08)).winner is None
    assert (
        verdict(areas(random=zero, random_again=noise(7), periodic=noise(8) - 0.1, good=noise(1) + 0.08)).winner is None
    )


def test_trials_are_paired_by_seed() -> None:
    """Streams differ by far more than strategies do on one stream."""

    def curve(score: float) -> Curve:
        return (Point(50, 5, 1.0, score, 1.0, 0.0), Point(100, 10, 1.0, score + 0.2, 1.0, 0.0))

    curves: dict[tuple[str, int], Curve] = {}
    for seed in range(6):
        gains = {RANDOM: 0.0, CONTROL: 0.001 * (-1) ** seed, "good": 0.02}
        curves |= {(name, seed): curve(gain + 10.0 * seed) for name, gain in gains.items()}
    found = areas_of(read(Trials("set", curves)))
    assert list(found["good"]["set"].values()) == pytest.approx([0.02] * 6)
    assert verdict(found).winner == "good"
    (row,) = (row for row in overall(found) if row.strategy == "good")
    assert (row.mean, row.error_over_seeds) == (pytest.approx(0.02), pytest.approx(0.0, abs=1e-12))


def test_means_errors_and_ranks() -> None:
    a = np.array([[0.1, 0.3], [0.5, 0.3]])
    rows = {row.strategy: row for row in overall(areas(random=np.zeros((2, 2)), a=a, b=np.full((2, 2), 0.3)))}
    assert (rows["a"].mean, rows["a"].sets) == (pytest.approx(0.3), 2)
    assert rows["a"].error_over_seeds == pytest.approx(0.0)  # 0.3 by either seed
    assert rows["a"].error_over_sets == pytest.approx(0.1)  # 0.2 and 0.4
    assert [rows[name].rank for name in ("a", "b", "random")] == [0.25, 0.25, 1.0]


def test_a_strategy_is_compared_on_the_sets_that_it_was_played_on() -> None:
    whole = made(good=noise(1) + 0.08, classes=noise(2) + 0.2)
    partly = cast(dict[str, dict[str, dict[int, float]]], {name: dict(own) for name, own in whole.items()})
    del partly["classes"]["set 3"]
    assert verdict(partly).winner == "classes"
    assert {row.strategy: row.sets for row in overall(partly)}["classes"] == 3


def test_an_area_of_a_single_seed_has_no_error() -> None:
    assert (points(-0.012, 0.003), points(0.012, float("nan"))) == ("−1.2 ± 0.3", "+1.2")
