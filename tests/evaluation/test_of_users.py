"""Trials on events of users: who is judged by which model, and that chance asks the same whatever users mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core.losses import Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.evaluation import of_users, trial
from streamlearn.evaluation.datasets import load
from streamlearn.evaluation.rows import split
from streamlearn.evaluation.trial import RANDOM, Outcome, Plan

CHICKS = load("chicks", None, 1)


def run(folder: Path, kind: str) -> Outcome:
    folder.mkdir()
    plan = Plan(RANDOM, 1, 0.2, 20, 0, "chicks", (f"users.kind={kind}",))
    return trial.run(CHICKS, plan, folder, lambda events, point: True)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    folder = tmp_path_factory.mktemp("trials")
    return run(folder / "none", "none"), run(folder / "deviation", "deviation")


def test_chance_asks_the_same_whatever_users_mean(both: tuple[Outcome, Outcome]) -> None:
    shared, own = both
    assert shared.asked == own.asked
    stream, _ = split(CHICKS, 1)
    users = Counter(stream.users[stream.ids.index(each.id)] for each in own.asked)
    assert {each.user: each.labels for each in own.users if each.labels} == users
    assert [each.labels for each in shared.users] == [each.labels for each in own.users]


def test_who_has_no_labels_has_what_all_share_and_who_has_some_has_more(both: tuple[Outcome, Outcome]) -> None:
    shared, own = both
    assert all(each.own == each.shared and each.alone is None for each in shared.users)
    assert all(each.own == each.shared for each in own.users if each.labels == 0)
    assert all(each.own != each.shared for each in own.users if each.labels > 0)
    having = [each for each in own.users if each.labels > 1]
    assert np.mean([each.own.loss for each in having]) < 0.6 * np.mean([each.shared.loss for each in having])
    assert own.points[-1].loss == pytest.approx(np.mean([each.own.loss for each in own.users]))


def test_a_model_of_a_user_alone_is_ridge_regression_of_their_labels() -> None:
    draws = np.random.default_rng(0)
    X, y, model = draws.normal(size=(9, 4)), draws.normal(size=9), Linear(Squared(), 1, 4)
    found = of_users._alone(model, Data(X, y, np.ones(9)), 0.7)
    assert_allclose(found, np.linalg.solve(X.T @ X + 0.7 * np.eye(4), X.T @ y), rtol=1e-9)
    few = replace(Data(X, y, np.ones(9)), X=X[:0], y=y[:0], w=np.ones(0))
    assert_allclose(of_users._alone(model, few, 0.7), 0.0)
