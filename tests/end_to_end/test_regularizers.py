"""Regularizers and losses by configuration, through the command line: what is asked for is what is fitted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlearn import cli
from tests.end_to_end.daemon_process import running, until

WEIGHTS = np.array([1.5, -1.0, 0.0, 0.0])
Replay = Callable[..., dict[str, Any]]


def write(folder: Path, ys: Sequence[object], X: np.ndarray) -> Path:
    """A finished log in which every event has its label."""
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"e{i}", "x": dict(zip("abcd", x.tolist(), strict=True))} for i, x in enumerate(X)]
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = [{"id": f"e{i}", "y": y} for i, y in enumerate(ys)]
    (folder / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4)).round(3)
    return write(tmp_path / "log", (X @ WEIGHTS + 0.3 * rng.normal(size=150) > 0.0).tolist(), X)


@pytest.fixture
def replay(log: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    def run(*overrides: str, path: Path | None = None) -> dict[str, Any]:
        told = [word for each in (f"log.path={path or log}", *overrides) for word in ("--set", each)]
        assert cli.main(["replay", "--json", *told]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_l1_reports_exact_zeros_where_nothing_is_to_be_learned(replay: Replay) -> None:
    ridge = replay()
    sparse = replay("regularity.regularizer=l1", "regularity.learn=false", "regularity.fixed=0.08")
    by_name = dict(zip(sparse["parameter_names"], sparse["theta"], strict=True))
    assert by_name["c"] == by_name["d"] == 0.0
    assert by_name["a"] > 0.1 > -0.1 > by_name["b"]
    assert all(ridge["theta"])
    assert sparse["tangent_residual"] < 1e-9


def test_the_store_of_one_daemon_is_the_origin_of_another(replay: Replay, tmp_path: Path) -> None:
    X = np.tile([[-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], (10, 1))
    base = write(tmp_path / "base", [bool(i % 2) for i in range(20)], X)
    with running(tmp_path, "--set", f"log.path={base}") as daemon:
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 20.0, "20 labels")
        assert daemon.drain() == 0
    origin = base / "streamlearn.db"
    stiff = ("regularity.learn=false", "regularity.fixed=1e6")
    shared = replay(*stiff, f"regularity.origin={origin}")
    theta = dict(zip(shared["parameter_names"], shared["theta"], strict=True))
    assert theta["a"] > 0.5
    assert abs(theta["b"]) < 1e-3 > abs(theta["c"])
    alone = replay(*stiff)
    assert max(map(abs, alone["theta"][1:])) < 1e-4


def test_a_free_feature_keeps_its_weight_whatever_lambda_is(replay: Replay) -> None:
    result = replay("regularity.learn=false", "regularity.fixed=1e6", "regularity.free=a")
    theta = dict(zip(result["parameter_names"], result["theta"], strict=True))
    assert theta["a"] > 0.5
    assert max(abs(theta[name]) for name in "bcd") < 1e-4


def test_counts_have_a_poisson_loss_and_a_negative_one_is_rejected(replay: Replay, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 4)).round(3)
    counts = [*rng.poisson(np.exp(1.0 + X @ [0.5, -0.5, 0.0, 0.0])).tolist(), -3]
    result = replay("model.loss=poisson", path=write(tmp_path / "counts", counts, np.vstack([X, X[:1]])))
    assert result["loss"] == "poisson"
    assert result["rejected"] == 1
    np.testing.assert_allclose(result["theta"][1:], [0.5, -0.5, 0.0, 0.0], atol=0.15)


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (("regularity.regularizer=no_module:f",), "regularity.regularizer no_module:f cannot be loaded"),
        (("regularity.origin=absent.db",), "regularity.origin absent.db cannot be opened"),
        (("regularity.regularizer=l1", "regularity.increasing=log"), 'set regularity.increasing = ""'),
        (("regularity.regularizer=json:loads", "regularity.origin=a.db"), 'set regularity.regularizer = "l2" or "l1"'),
        (("features.names=a,b", "regularity.free=c"), 'regularity.free names "c", which is not among features.names'),
        (("model.loss=poisson", "queries.strategy=uncertainty"), 'set queries.strategy = "leverage"'),
        (("model.loss=poisson", "model.classes=a,b"), "has no classes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    overrides: tuple[str, ...], why: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [word for each in (f"log.path={log}", *overrides) for word in ("--set", each)]
    assert cli.main(["replay", *told]) == 2
    printed = capsys.readouterr().err
    assert why in printed
    assert printed.count("\n") == 1
