"""Networks through the command line: the daemon learns one, and whatever a module of one's own does ends in one line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.daemon_process import append, command, inspect, lines, refusals, running, until

DATA = "streamlearn-data"
SOURCE = """
import torch
from torch import nn

def small(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, outputs))

def raises(inputs, outputs):
    raise RuntimeError("two\\nlines")

class Careful(nn.Module):
    def __init__(self, inputs, outputs, raises):
        super().__init__()
        self.body, self.raises = small(inputs, outputs), raises
    def forward(self, x):
        large = x.abs().amax(1, keepdim=True) > 100.0
        if self.raises and bool(large.any()):
            raise ValueError("too\\nlarge")
        return self.body(x) + torch.where(large, float("nan"), 0.0)

def picky(inputs, outputs):
    return Careful(inputs, outputs, True)

def endless(inputs, outputs):
    return Careful(inputs, outputs, False)

def narrow(inputs, outputs):
    assert inputs < 4, "three inputs at most"
    return small(inputs, outputs)
"""
PLAIN = ("--set", "features.standardise=false", "--set", "model.loss=logistic")


def event(i: int, **more: Any) -> dict[str, Any]:
    chance = random.Random(i)
    return {"id": f"e{i}", "x": {"a": round(chance.gauss(0, 1), 3), "b": round(chance.gauss(0, 1), 3)} | more}


def label(i: int) -> dict[str, Any]:
    x = event(i)["x"]
    return {"id": f"e{i}", "y": x["a"] > x["b"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With modules of one's own, and a log in which every event has its label."""
    (tmp_path / "own.py").write_text(SOURCE)
    append(tmp_path / DATA / "events.jsonl", *map(event, range(40)))
    append(tmp_path / DATA / "labels.jsonl", *map(label, range(40)))
    return tmp_path


def kind(name: str) -> tuple[str, ...]:
    return ("--set", f"model.kind={name}", *PLAIN, "--set", "http.port=-1")


def one_line(folder: Path, what: str, name: str) -> str:
    """What a command ends with, as a mistake of the operator's."""
    done = command(folder, what, *kind(name))
    said = refusals(done.stderr)
    assert (done.returncode, len(said), "Traceback" in done.stderr) == (2, 1, False), done.stderr
    return said[0]


def test_a_module_that_cannot_be_made_is_one_line(folder: Path) -> None:
    why = "model.kind own:raises cannot be made for 3 inputs and 1 outputs (RuntimeError: two lines)"
    assert one_line(folder, "run", "own:raises").startswith(why)
    done = command(folder, "check", *kind("own:raises"))
    assert (3, "") == (done.returncode, done.stderr)
    assert f"FAIL model: {why}" in done.stdout


def test_a_module_that_raises_on_data_is_one_line(folder: Path) -> None:
    append(folder / DATA / "events.jsonl", event(40, a=1000.0))
    expected = "model.kind own:picky failed on data (ValueError: too large); correct the module"
    assert expected == one_line(folder, "run", "own:picky")


def test_a_factory_that_cannot_take_another_column_is_one_line(folder: Path) -> None:
    append(folder / DATA / "events.jsonl", event(40, c=1.0, d=2.0), *map(event, range(41, 60)))
    append(folder / DATA / "labels.jsonl", *map(label, range(40, 60)))
    expected = "model.kind own:narrow cannot be made for 4 inputs and 1 outputs (AssertionError: three inputs at most)"
    assert expected == one_line(folder, "replay", "own:narrow")


def test_outputs_that_are_not_finite_are_waited_out_and_the_store_is_read_without_torch(folder: Path) -> None:
    data, told = folder / DATA, kind("own:endless")[:-2]
    with running(folder, *told) as daemon:
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 40, "the labels")
        before = daemon.metrics()
        assert (True, 0) == (daemon.ready(), before['streamlearn_updates_total{outcome="skipped"}'])
        wild = [{"id": f"wild-{i}", "x": {"a": 1000.0, "b": 0.0}} for i in range(3)]
        append(data / "labels.jsonl", *({**each, "y": True} for each in wild))
        append(data / "events.jsonl", *map(event, range(40, 52)))
        append(data / "labels.jsonl", *map(label, range(40, 52)))
        until(lambda: "numbers" in daemon.unready_because(), "that it is unready")
        assert "updates were not finite and were skipped" in daemon.unready_because()["numbers"]
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 55, "the other labels")
        assert daemon.metrics()['streamlearn_updates_total{outcome="skipped"}'] >= 3
        append(data / "labels.jsonl", *({"id": each["id"], "y": None} for each in wild))
        until(daemon.ready, "that it is ready without them")
        append(data / "events.jsonl", *map(event, range(52, 60)))
        append(data / "labels.jsonl", *map(label, range(52, 60)))
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 63, "more labels")
        after = daemon.metrics()
        assert (
            after['streamlearn_updates_total{outcome="taken"}'] >= before['streamlearn_updates_total{outcome="taken"}']
        )
        assert daemon.drain() == 0
    assert "Traceback" not in daemon.said
    (folder / "torch.py").write_text('raise ImportError("it is not here")\n')
    told = inspect(folder)
    assert (60, 63, 60) == (told["events"], told["labels"], told["train"])
    assert ["body.0.weight 4x2", "body.0.bias 4", "body.2.weight 1x4", "body.2.bias 1"] == told["parameter_names"]
    assert 17 == len(told["theta"]) == len(told["tangent"])
    assert [] == lines(data / "rejected.jsonl")


def test_what_cannot_be_loaded_is_refused_before_there_is_a_store(folder: Path) -> None:
    assert "own:missing" in one_line(folder, "run", "own:missing")
    assert not list(folder.rglob("*.db*"))
