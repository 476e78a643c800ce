"""From the configuration to a network: what works, and what is refused in one line before the daemon starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamlearn import settings
from streamlearn.core.losses import named
from streamlearn.core.models.networks import NetworkArchitecture
from streamlearn.edges import networks
from streamlearn.errors import ConfigurationError

FACTORIES = '''
import torch
from torch import nn

def good(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 3), nn.Tanh(), nn.Linear(3, outputs))

def raises(inputs, outputs):
    raise OSError("no weights\\nhere")

def nothing(inputs, outputs):
    return None

def empty(inputs, outputs):
    return nn.Tanh()

class Wrong(nn.Linear):
    def forward(self, x):
        return super().forward(x)[:, :1].expand(-1, 7)

def wrong(inputs, outputs):
    return Wrong(inputs, outputs)

class Late(nn.Linear):
    """Fails on data that nobody would try."""
    def forward(self, x):
        if bool((x > 50).any()):
            raise ValueError("too large for me")
        return super().forward(x)

def late(inputs, outputs):
    return Late(inputs, outputs)

class Logarithm(nn.Linear):
    """Not finite on data that nobody would try."""
    def forward(self, x):
        return super().forward(x) + torch.log(50 - x[:, :1])

def logarithm(inputs, outputs):
    return Logarithm(inputs, outputs)

def fixed(inputs, outputs):
    return nn.Linear(64, outputs)
'''


def architecture(*overrides: str) -> NetworkArchitecture:
    made = networks.architecture(settings.read(None, {}, overrides))
    assert isinstance(made, NetworkArchitecture)
    return made


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "mine.py").write_text(FACTORIES)
    command = [sys.executable, "-m", "streamlearn", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def log_of(folder: Path, events: list[list[float]]) -> None:
    """Every event with its label."""
    (folder / "streamlearn-data").mkdir()
    lines = [json.dumps({"id": str(i), "x": x}) for i, x in enumerate(events)]
    labels = [json.dumps({"id": str(i), "y": "ab"[i % 2]}) for i in range(len(events))]
    (folder / "streamlearn-data/events.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "streamlearn-data/labels.jsonl").write_text("\n".join(labels) + "\n")


@pytest.mark.parametrize(
    ("overrides", "columns", "size"),
    [
        (("model.kind=mlp",), 5, 4 * 64 + 64 + 64 * 2 + 2),
        (("model.kind=mlp", "model.hidden=7,3"), 5, 4 * 7 + 7 + 7 * 3 + 3 + 3 * 2 + 2),
        (("model.kind=cnn", "model.shape=1,8,8", "model.hidden=2"), 65, 9 * 2 + 2 + 8 * 2 + 2),
        (("model.kind=embedding-bag", "features.kind=tokens", "model.vocabulary=9"), 65, 9 * 32 + 32 * 2 + 2),
    ],
)
def test_named_networks_have_the_parameters_that_they_should(
    overrides: tuple[str, ...], columns: int, size: int
) -> None:
    model = architecture(*overrides).model(named("softmax"), 2, columns)
    assert size == model.size
    assert np.float32 == model.first.dtype
    assert (3, 2) == model.outputs(model.first, np.ones((3, columns))).shape


def test_what_is_computed_in_is_the_configured_type() -> None:
    model = architecture("model.kind=mlp", "model.dtype=float64").model(named("logistic"), 1, 3)
    assert (
        np.float64 == model.first.dtype == model.gradient(model.first, np.ones((2, 3)), np.ones(2), np.ones(2))[1].dtype
    )


def test_a_device_that_is_not_there_is_refused_and_auto_does_without() -> None:
    import torch

    if torch.cuda.is_available():
        assert architecture("model.kind=mlp", "model.device=cuda").model(named("logistic"), 1, 3)
    else:
        with pytest.raises(ConfigurationError, match=r'^model\.device = "cuda" and torch finds no such device; set'):
            architecture("model.kind=mlp", "model.device=cuda")
    assert architecture("model.kind=mlp", "model.device=auto").model(named("logistic"), 1, 3)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("missing", "cannot be loaded (AttributeError"),
        ("raises", "cannot be made for 3 inputs and 1 outputs (OSError: no weights here)"),
        ("nothing", "is a NoneType; it must be a torch.nn.Module"),
        ("empty", "has no parameters to train"),
        ("wrong", "returns the shape (4, 7) for 4 rows and 1 outputs; it must return (4, 1)"),
        ("fixed", "set model.shape, as [64]"),
    ],
)
def test_a_factory_that_gives_no_model_is_one_line_and_exit_code_2(factory: str, said: str, tmp_path: Path) -> None:
    log_of(tmp_path, [[0.0, 1.0]])
    done = run(tmp_path, "run", "--set", f"model.kind=mine:{factory}", "--set", "http.port=-1")
    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert f"model.kind mine:{factory}" in done.stderr
    assert said in done.stderr


def test_a_factory_for_a_certain_number_of_inputs_works_where_that_is_said(tmp_path: Path) -> None:
    log_of(tmp_path, [[float(i + j) for j in range(64)] for i in range(6)])
    done = run(tmp_path, "replay", "--json", "--set", "model.kind=mine:fixed", "--set", "model.shape=64")
    assert (0, 6) == (done.returncode, json.loads(done.stdout)["labels"])


def test_a_module_that_fails_on_data_ends_in_one_line(tmp_path: Path) -> None:
    log_of(tmp_path, [[float(i), 1.0] for i in range(100)])
    told = ("--set", "model.kind=mine:late", "--set", "features.standardise=false")
    done = run(tmp_path, "replay", "--json", *told)
    assert 2 == done.returncode
    assert "model.kind mine:late failed on " in done.stderr.splitlines()[-1]
    assert "(ValueError: too large for me)" in done.stderr
    assert "Traceback" not in done.stderr


def test_outputs_that_are_not_finite_are_skipped_and_the_stream_goes_on(tmp_path: Path) -> None:
    log_of(tmp_path, [[float(i % 60), 1.0] for i in range(100)])
    told = ("--set", "model.kind=mine:logarithm", "--set", "features.standardise=false")
    done = run(tmp_path, "replay", "--json", *told)
    assert 0 == done.returncode, done.stderr
    report = json.loads(done.stdout)
    assert (100, 100) == (report["events"], report["labels"])
    assert np.isfinite(report["theta"]).all()


def test_without_torch_a_network_is_refused_and_all_else_works(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text('raise ImportError("no torch here")\n')
    log_of(tmp_path, [[float(i), 1.0] for i in range(30)])
    done = run(tmp_path, "replay", "--json", "--set", "model.kind=mlp")
    assert 2 == done.returncode
    said = 'model.kind mlp needs torch, which cannot be imported (no torch here); pip install "streamlearn[torch]"'
    assert done.stderr.splitlines()[-1].endswith(said)
    assert 0 == run(tmp_path, "replay", "--json").returncode
