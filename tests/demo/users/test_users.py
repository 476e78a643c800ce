"""`streamlearn demo --users` as a user calls it, and what it says of numbers that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamlearn.demo.users.comparison import ALONE, LINES, OWN, OWN_ASKS, SHARED, SHARED_ASKS, compare, plan
from streamlearn.demo.users.table import sentence, text
from streamlearn.evaluation.of_users import OfUser
from streamlearn.evaluation.quality import Quality
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import Outcome, Point
from tests.demo.test_demo import demo, left

DATA = Dataset("made", ([1.0],), ("a",), values=False)
LOSS = {SHARED: 0.5, OWN: 0.4, SHARED_ASKS: 0.45, OWN_ASKS: 0.45}


def user(labels: int, loss: float) -> OfUser:
    return OfUser(f"user-{labels}", labels, Quality(loss, 0.8), Quality(0.5, 0.8), Quality(0.7, 0.5))


def made(seeds: int) -> list[Outcome]:
    outcomes = []
    for seed in range(seeds):
        for line, loss in LOSS.items():
            users = tuple(user(labels, loss - 0.01 * labels + 1e-4 * seed) for labels in (0, 2, 12))
            point = Point(100, 14, loss, 0.8, 0.1, 0.0)
            outcomes.append(Outcome(plan(line, "made", seed, 0.1, 20), 14, (point,), (), users=users))
    return outcomes


def test_users_are_read_by_how_many_labels_they_have() -> None:
    comparison = compare(made(1))
    assert comparison.loss[OWN][0] == pytest.approx([0.4 - 0.14 / 3, 0.4, 0.38, np.nan, np.nan, 0.28], nan_ok=True)
    assert comparison.loss[ALONE][0, 0] == pytest.approx(0.7)
    assert comparison.users.tolist() == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert [pair.shared for pair in comparison.pairs] == pytest.approx([0.5, 0.48, 0.38])


def test_the_sentence_is_honest() -> None:
    said = sentence(compare(made(4)))
    assert "a personality for each user is ahead of one model that all share, and ahead of each user alone" in said
    assert (
        "no different, within the noise, from one model with its own, and behind personalities with random queries"
        in said
    )
    assert sentence(compare(made(1))).startswith("With one seed nobody can tell")
    assert "asked by scores: labels of their own" in text(compare(made(2)), DATA)


def test_the_command_plays_every_line_and_draws_them(tmp_path: Path) -> None:
    done = demo(tmp_path, "--users", "--dataset", "chicks", "--seeds", "2", "--json")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert (result["dataset"], result["seeds"]) == ("chicks", [0, 1])
    for line in LINES:
        assert [len(row) for row in result[line]["test_loss"]] == [6, 6]
    own, alone = ([row[0] for row in result[line]["test_loss"]] for line in (OWN, ALONE))
    assert all(ours < theirs for ours, theirs in zip(own, alone, strict=True))
    assert result["own"]["labels"] == result["shared"]["labels"]
    assert left(tmp_path) == ["users.png"]
    assert (tmp_path / "users.png").read_bytes().startswith(b"\x89PNG")


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = demo(tmp_path, "--users", "--dataset", "phishing")
    assert (
        done.stderr == "streamlearn: --users: of users are tastes, personalities, readers, chicks, and not 'phishing'\n"
    )
    other = demo(tmp_path, "--users", "--label", "y")
    assert (done.returncode, other.returncode, other.stderr.count("\n")) == (2, 2, 1)
