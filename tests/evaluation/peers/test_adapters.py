"""Peers see the stream one by one, pay for what they ask, and learn what they are told."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import desk, numbers, trial
from benchmarks.peers.known import PEERS, arm
from benchmarks.peers.peer import Array, Peer, Task
from streamlearn.evaluation.datasets import load
from streamlearn.evaluation.trial import Outcome, Plan

ROOT = Path(__file__).parents[3]
SETS = ("breast_cancer", "iris", "diabetes")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:skactiveml")  # as its adapter does outside of tests
MODULES = {"river": "river", "skactiveml": "skactiveml", "vw": "vowpalwabbit"}


def missing(*modules: str) -> pytest.MarkDecorator:
    absent = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}; see the extra `peers`")


every_peer = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=missing(MODULES[name.partition("-")[0]])) for name in PEERS]
)


def line(count: int = 300, delay: int = 7, budget: float = 0.1) -> Task:
    """Two classes that the first of three numbers tells apart."""
    rows = np.random.default_rng(0).normal(size=(count, 3))
    return Task(rows, tuple(int(x[0] > 0.0) for x in rows), 2, budget, delay, 1)


class Greedy(Peer):
    """Asks for all, and writes down what happens."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.log: list[tuple[str, int]] = []

    def asks(self, event: int, x: Array) -> bool:
        self.seen.append(event)
        self.log.append(("asks", event))
        return True

    def learn(self, event: int, x: Array, y: int) -> None:
        self.log.append(("learns", event))

    def probabilities(self, X: Array) -> Array:
        return np.full((len(X), 2), 0.5)


@pytest.mark.parametrize(("delay", "chunk"), [(0, 1), (7, 3), (50, 10)])
def test_the_desk_answers_late_and_never_beyond_the_budget(delay: int, chunk: int) -> None:
    greedy, task = Greedy(), line(delay=delay)
    served = desk.serve(greedy, task, lambda events, learned: None)
    assert greedy.seen == list(range(300))
    assert served.granted == tuple(range(0, 300, 10))  # ⌈n / 10⌉ after n events
    assert [event for what, event in greedy.log if what == "learns"] == list(served.granted)
    at = {entry: i for i, entry in enumerate(greedy.log)}
    for event in (20, 100):
        end = (event // chunk + 1) * chunk  # the labeler reads what is there after a chunk
        answered = next(n for n in range(chunk, 301, chunk) if n >= end + delay)
        assert at["asks", answered - 1] < at["learns", event] < at["asks", answered]


def test_what_is_refused_is_counted_once_it_could_judge() -> None:
    task = line(delay=0)
    two = next(i for i in range(0, 300, 10) if len({task.ys[j] for j in range(0, i + 1, 10)}) == 2)
    served = desk.serve(Greedy(), task, lambda events, learned: None)
    assert served.refused == sum(i % 10 > 0 for i in range(two + 1, 300))


@every_peer
def test_a_peer_learns_what_is_easily_learned(name: str) -> None:
    task = line(budget=0.2)
    X = np.random.default_rng(1).normal(size=(200, 3))
    with closing(PEERS[name].make(task)) as peer:
        served = desk.serve(peer, task, lambda events, learned: None)
        probabilities = peer.probabilities(X)
        again = peer.probabilities(X)
    assert 5 <= len(served.granted) <= 60
    assert np.abs(probabilities.sum(axis=1) - 1.0).max() < 1e-6
    assert (probabilities.argmax(axis=1) == (X[:, 0] > 0.0)).mean() > 0.75
    assert (probabilities == again).all()  # nothing is learned from what it is judged on


@every_peer
def test_a_trial_keeps_the_budget_and_is_the_same_again(name: str) -> None:
    def played() -> Outcome:
        return trial.run(load("wine" if name[0] != "v" else "breast_cancer", None), plan, Path(), lambda *_: True)

    plan = Plan(name, 1, 0.2, 10)
    outcome = played()
    assert (outcome.overspent, outcome.labels) == (0, len(outcome.asked))
    assert 3 < outcome.labels == outcome.points[-1].labels <= np.ceil(0.2 * outcome.events)
    assert [point.labels for point in outcome.points] == sorted({point.labels for point in outcome.points})
    assert outcome.points[-1].score > outcome.points[0].score
    again = played()
    assert (again.asked, again.points[-1][:4]) == (outcome.asked, outcome.points[-1][:4])


def test_texts_and_what_is_missing_become_numbers_of_the_stream() -> None:
    stream = [{"size": 1.0, "colour": "red"}, {"size": None, "colour": "blue"}, {"size": 3.0, "colour": None}]
    rows, others = numbers.encoded(stream, [{"size": None, "colour": "green"}])
    assert rows[:, :3].tolist() == [[1.0, 1.0, 0.0], [2.0, 0.0, 1.0], [3.0, 0.0, 0.0]]
    assert others[0, :3].tolist() == [2.0, 0.0, 0.0]


@missing("river", "skactiveml", "vowpalwabbit")
def test_peers_stand_in_the_tables_beside_our_strategies(tmp_path: Path) -> None:
    rows = [f"{i % 17},{'ab'[i % 2]},{'yes' if i % 17 > 8 else 'no'}" for i in range(90)]
    (tmp_path / "shop.csv").write_text("\n".join(["size,kind,bought", *rows]) + "\n")
    options = ["--out", "out", "--datasets", "shop.csv", "--label", "bought", "--strategies", "uncertainty"]
    options += ["--budgets", "0.2", "--delays", "10", "--seeds", "1", "--peers", "skactiveml-random,vw-active"]
    command = [sys.executable, "-m", "benchmarks.peers", *options, "--processes", "1"]

    def called() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = called()
    assert done.returncode == 0, done.stderr
    table = list(csv.reader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    refusals = table.pop(0).index("refused")
    assert {row[1] for row in table} >= {"random", "random again", "uncertainty", "skactiveml-random", "vw-active"}
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "| `skactiveml-random` |" in summary
    assert "- Peers have learners of their own" in summary
    refused = sum(int(row[refusals]) for row in table if row[1] == "vw-active")
    assert ("beyond the budget it was refused" in summary) == (refused > 0)
    before = (tmp_path / "out" / "peers.jsonl").read_bytes()
    assert "2 trials, 2 of them played before" in called().stderr
    assert (tmp_path / "out" / "peers.jsonl").read_bytes() == before


def test_a_peer_plays_only_what_it_can() -> None:
    suited = {name: [arm(peer).suits(load(name, None)) for peer in ("vw-active", "river-entropy")] for name in SETS}
    assert suited == {"breast_cancer": [True, True], "iris": [False, True], "diabetes": [False, False]}
