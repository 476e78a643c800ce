"""`streamlearn export --user`: a user's own model in a file, which says what the daemon says of that user's events."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamlearn
from streamlearn import cli, loading
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import ConfigurationError
from tests.end_to_end.daemon_process import lines
from tests.end_to_end.test_models import daemon, feed

USERS = ("quetzal", "ümlaut", "77", "xanthippe")
KINDS = {
    "deviation": ("users.kind=deviation",),
    "l1": ("users.kind=deviation", "users.penalty=l1", "regularity.initial_precision=1"),
    "personality": ("users.kind=personality",),
    "gamma-normal": ("users.kind=gamma-normal", "model.loss=squared"),
    "mlp": ("users.kind=deviation", "model.kind=mlp", "model.hidden=4"),
    "mlp-l1": ("users.kind=deviation", "users.penalty=l1", "model.kind=mlp", "model.hidden=4"),
}
ROUNDING = {"mlp": 1e-4, "mlp-l1": 1e-4}  # computed in float32


def x(draw: random.Random) -> dict[str, Any]:
    return {"amount": round(draw.gauss(0.0, 2.0), 3), "country": draw.choice(["NL", "DE"]), "age": draw.random()}


def value(x: dict[str, Any], user: str) -> float:
    return float(x["amount"]) * (-1.0 if user == USERS[0] else 1.0) + (2.0 if x["country"] == "NL" else 0.0) + 0.1


def learned(folder: Path, *told: str, of_values: bool = True, users: tuple[str, ...] = USERS) -> None:
    """A store of a daemon that has learned from users and then predicted events of theirs, with one who is new."""
    draw = random.Random(3)
    labels = []
    for i in range(80):
        user, each = users[i % len(users)], x(draw)
        y = round(value(each, user), 3)
        labels.append({"id": f"l{i}", "x": each, "user": user, "y": y if of_values else "high" if y > 1.0 else "low"})
    feed(folder, "labels", labels)
    fixed = ("queries.strategy=sld", "topics.predictions=predictions", "queries.budget=0.01")
    running = daemon(folder, *fixed, *told)
    running.start()
    while running.turn():
        pass
    for _ in range(2):
        running.turn()
    running.pipeline.standing.asking.paused = True
    feed(folder, "events", [{"id": f"e{i}", "x": x(draw), "user": (*users, "new")[i % 5]} for i in range(100)])
    running.turn()
    running.close()


@pytest.mark.parametrize(
    ("case", "of_values"),
    [*((case, True) for case in KINDS), *((case, False) for case in KINDS if case != "gamma-normal")],
)
def test_what_is_exported_of_a_user_says_what_the_daemon_says_of_them(
    case: str, of_values: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned(tmp_path, *KINDS[case], of_values=of_values)
    near = ROUNDING.get(case, 1e-9)
    said = {each["id"]: each for each in lines(tmp_path / "predictions.jsonl")}
    events = lines(tmp_path / "events.jsonl")
    thetas = []
    for user in (*USERS, "new"):
        assert 0 == cli.main(["export", str(tmp_path / "streamlearn.db"), str(tmp_path / "own"), "--user", user])
        assert ("20 labels" if user in USERS else "no label") in capsys.readouterr().out
        own = streamlearn.load(tmp_path / "own")
        assert own.user == (user if user in USERS else "")
        theirs = [each for each in events if each["user"] == user]
        found = [said[each["id"]] for each in theirs]
        predicted = own.predict([each["x"] for each in theirs])
        if of_values:
            np.testing.assert_allclose(predicted, [each["prediction"] for each in found], rtol=near, atol=near)
        else:
            assert predicted == [each["prediction"] for each in found]
        scores = own.sld([each["x"] for each in theirs])
        np.testing.assert_allclose(scores, [each["score"] for each in found], rtol=max(1e-6, near * 30), atol=1e-6)
        thetas.append(own.theta.tolist())
    assert len({*map(tuple, thetas)}) == len(thetas)
    shared = streamlearn.load(tmp_path / "streamlearn.db")
    assert shared.user == ""
    assert (shared.theta.tolist() == thetas[-1]) == (case != "gamma-normal"), "θ₀ of everybody's is another"


def test_nothing_of_other_users_is_in_the_file(tmp_path: Path) -> None:
    for case in ("personality", "gamma-normal"):
        folder = tmp_path / case
        learned(folder, *KINDS[case])
        store = SqliteStore(folder / "streamlearn.db", read_only=True)
        inside = store.load().snapshot
        store.close()
        assert (b"quetzal" in inside) == (case == "gamma-normal"), "the fit has everybody's parameters"
        assert 0 == cli.main(["export", str(folder / "streamlearn.db"), str(folder / "own"), "--user", "xanthippe"])
        line = (folder / "own").read_bytes()
        text = line + base64.b64decode(json.loads(line)["snapshot"])
        assert b"xanthippe" in text
        for user in ("quetzal", "\\u00fcmlaut", "ümlaut", '"77"'):
            assert user.encode() not in text
        assert len(line) < 5_000, "no room for examples"


def test_a_name_that_is_not_known_has_the_shared_model_and_a_line_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned(tmp_path, *KINDS["deviation"])
    store, to = str(tmp_path / "streamlearn.db"), str(tmp_path / "own")
    for user, known in (("new", True), ("nobody there", False)):
        assert 0 == cli.main(["export", store, to, "--user", user])
        told = capsys.readouterr()
        assert "the one that all share" in told.out
        assert ("knows no user 'nobody there'" in told.err) == (not known)
        assert streamlearn.load(to).theta.tolist() == streamlearn.load(store).theta.tolist()


def test_where_there_are_no_users_it_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned(tmp_path)
    assert 2 == cli.main(["export", str(tmp_path / "streamlearn.db"), str(tmp_path / "own"), "--user", "quetzal"])
    said = capsys.readouterr().err
    assert 'users.kind "none"' in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "own").exists()


def test_a_network_that_uses_its_last_layer_elsewhere_too_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tied_module.py").write_text(
        "from torch import nn\n"
        "class Tied(nn.Module):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__()\n"
        "        self.body, self.head = nn.Linear(inputs, 4), nn.Linear(4, outputs)\n"
        "    def forward(self, x):\n"
        "        return self.head(self.body(x).tanh() + self.head.weight[0])\n"
        "def build(inputs, outputs):\n"
        "    return Tied(inputs, outputs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    learned(tmp_path / "log", "users.kind=deviation", "model.kind=tied_module:build")
    with pytest.raises(ConfigurationError, match="elsewhere too"):
        loading.own(tmp_path / "log" / "streamlearn.db", "quetzal")
