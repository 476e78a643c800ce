"""A trial is the whole daemon, depends on data, arm and seed only, and keeps the budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlearn.evaluation import trial
from streamlearn.evaluation.datasets import load
from streamlearn.evaluation.rows import split
from streamlearn.evaluation.trial import ALL_LABELS, RANDOM, STREAMLEARN, Outcome, Plan


def run(folder: Path, arm: str, name: str = "breast_cancer", seed: int = 1) -> Outcome:
    folder.mkdir()
    return trial.run(load(name, None), Plan(arm, seed, 0.1, 20), folder, lambda events, point: True)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_the_same_trial_gives_the_same_outcome(tmp_path: Path) -> None:
    assert run(tmp_path / "a", STREAMLEARN) == run(tmp_path / "b", STREAMLEARN)


def test_only_what_was_asked_is_answered_and_the_budget_is_kept(tmp_path: Path) -> None:
    outcome = run(tmp_path / "a", STREAMLEARN)
    asked = ids(tmp_path / "a" / "queries.jsonl")
    assert ids(tmp_path / "a" / "labels.jsonl") == asked == [each.id for each in outcome.asked]
    assert outcome.labels == len(asked) <= 40
    assert outcome.points[-1].labels == outcome.labels
    assert {each.reason for each in outcome.asked} == {"audit", "score"}


def test_the_daemon_never_sees_the_evaluation_set(tmp_path: Path) -> None:
    run(tmp_path / "a", RANDOM, "diabetes")
    stream, aside = split(load("diabetes", None), 1)
    assert ids(tmp_path / "a" / "events.jsonl") == list(stream.ids)
    assert set(stream.ids).isdisjoint(aside.ids)


def test_every_label_given_is_learned(tmp_path: Path) -> None:
    outcome = run(tmp_path / "a", ALL_LABELS, "diabetes")
    assert outcome.labels == outcome.points[-1].labels == 309
    assert outcome.points[-1].score > 0.3


def test_a_trial_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with pytest.raises(trial.Interrupted):
        trial.run(load("diabetes", None), Plan(RANDOM, 0, 0.1, 20), tmp_path, lambda events, point: events < 50)
    assert len(ids(tmp_path / "events.jsonl")) == 50


def test_overspending_is_counted_from_what_was_asked() -> None:
    assert trial.overspent([], 0.1) == 0
    assert trial.overspent([1, 11, 21], 0.1) == 0
    assert trial.overspent([1, 10, 21], 0.1) == 1  # the second one event early
    assert trial.overspent([1, 2, 3, 41], 0.1) == 2
    assert trial.overspent(list(range(1, 101, 13)), 0.07) == 1  # eight of 100, though 0.07 * 100 is above 7


def test_a_trial_that_asks_more_than_its_budget_would_be_found(tmp_path: Path) -> None:
    outcome = run(tmp_path / "a", STREAMLEARN)
    stream, _ = split(load("breast_cancer", None), 1)
    places = [stream.ids.index(asked.id) + 1 for asked in outcome.asked]
    assert (outcome.events, outcome.overspent, trial.overspent(places, 0.1)) == (398, 0, 0)
    assert trial.overspent(places, 0.05) > 0
