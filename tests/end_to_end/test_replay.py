"""`streamlearn replay`: the same digest however the log is cut into polls, and the optimum that it claims to have found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaProducer
from numpy.typing import NDArray

from tests.end_to_end.daemon_process import append, as_json, command
from tests.end_to_end.test_kill_kafka import ROLES, configure

Array = NDArray[np.float64]
DATA = "streamlearn-data"
COUNT = 400
CONTRACT = {
    *("digest", "events", "labels", "train", "test", "queries", "rejected", "train_loss", "test_loss", "regularity"),
    *("tangent_residual", "theta", "tangent", "parameter_names", "train_ids", "test_ids"),
}
HOLDOUT = "regularity.validation=holdout"
PLAIN = (
    *("features.standardise=false", "regularity.learn=false", "regularity.intercept_precision=0"),
    "training.solver=newton",
)


def records(kind: str, timed: bool) -> dict[str, list[dict[str, Any]]]:
    """Events, and labels for a third of them: some before their event, some long after, some again, some forgotten."""
    chance = random.Random(11)
    events, labels = [], []
    for i in range(COUNT):
        a, b, c = (round(chance.gauss(0, 1), 3) for _ in range(3))
        word = chance.choice(["red", "green", "blue", "grey"][: 2 + i // 150])
        x: Any = [a, b, c] if kind == "array" else {"a": a, "b": b, "c": c if i % 5 else None, "word": word}
        if kind == "map" and i > 250:
            x["late"] = bool(i % 3)
        stamp = {"time": 1000.0 + i} if timed else {}
        events.append({"id": f"e{i}", "x": x} | stamp)
        if i % 3 == 0:
            y = ["no", "yes"][int(a - b > 0.2)] if i < 300 or i % 9 else "perhaps"
            moment = {"time": 1000.0 + i + chance.choice([-2.5, 0.0, 3.5, 30.5])} if timed else {}
            labels.append({"id": f"e{i}", "y": y} | moment)
            if i % 45 == 0 and i:
                labels.append({"id": f"e{i - 9}", "y": None if i % 90 else "no"} | moment)
    labels.sort(key=lambda label: label.get("time", 0.0))
    return {"events": events, "labels": labels}


def write(folder: Path, log: dict[str, list[dict[str, Any]]]) -> None:
    for role, values in log.items():
        append(folder / DATA / f"{role}.jsonl", *values)


def replay(folder: Path, *settings: str, poll_size: int = 1000, config: str = "") -> dict[str, Any]:
    sets = [part for setting in settings for part in ("--set", setting)]
    return as_json(folder, "replay", *([config] if config else []), *sets, "--poll-size", str(poll_size))


def same_whatever_the_poll_size(folder: Path, settings: tuple[str, ...], kind: str, timed: bool, *sizes: int) -> None:
    write(folder, records(kind, timed))
    settings += ("queries.expire_s=25", "queries.outstanding=12", "labels.remember=200")
    whole = replay(folder, *settings)
    for size in sizes:
        assert replay(folder, *settings, poll_size=size) == whole, size
    assert CONTRACT <= whole.keys()
    assert (whole["events"], whole["rejected"]) == (COUNT, 0)
    assert whole["queries"] > 10
    assert len(whole["theta"]) == len(whole["tangent"]) == len(whole["parameter_names"])
    assert whole["train"] == len(whole["train_ids"])
    if HOLDOUT in settings:
        assert whole["test"] == len(whole["test_ids"]) > 0
    else:
        assert (whole["test"] > 0, whole["test_ids"]) == (True, [])


KEEP = "training.keep=60"
SOME = [((), "map", True), ((HOLDOUT,), "array", True), ((KEEP,), "array", False)]
ALL = list(product([(), (HOLDOUT,), (KEEP,), (HOLDOUT, KEEP)], ["array", "map"], [False, True]))


@pytest.mark.parametrize(("more", "kind", "timed"), SOME)
def test_the_digest_does_not_depend_on_the_poll_size_with_newton(
    more: tuple[str, ...], kind: str, timed: bool, tmp_path: Path
) -> None:
    same_whatever_the_poll_size(tmp_path, ("training.solver=newton", *more), kind, timed, 7, 1)


def test_the_digest_does_not_depend_on_the_poll_size_with_sgdf(tmp_path: Path) -> None:
    same_whatever_the_poll_size(tmp_path, ("training.solver=sgdf",), "map", True, 7)


@pytest.mark.soak
@pytest.mark.parametrize("solver", ["newton", "sgdf"])
@pytest.mark.parametrize(("more", "kind", "timed"), ALL)
def test_the_digest_does_not_depend_on_the_poll_size_in_all_settings(
    solver: str, more: tuple[str, ...], kind: str, timed: bool, tmp_path: Path
) -> None:
    same_whatever_the_poll_size(tmp_path, (f"training.solver={solver}", *more), kind, timed, 7, 1)


def test_another_seed_or_strategy_gives_another_digest(tmp_path: Path) -> None:
    write(tmp_path, records("array", True))
    given = ["queries.seed=0", "queries.seed=1", "queries.strategy=random"]
    assert len({replay(tmp_path, each)["digest"] for each in given}) == 3


def test_a_log_without_anything_is_replayed(tmp_path: Path) -> None:
    (tmp_path / DATA).mkdir()
    told = replay(tmp_path)
    assert CONTRACT <= told.keys()
    assert (told["events"], told["labels"], told["theta"]) == (0, 0, None)


def test_a_log_that_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = command(tmp_path, "replay", "--json")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_replay_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, records("map", False))
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / DATA).iterdir())
    replay(tmp_path)
    assert before == sorted((path.name, path.read_bytes()) for path in (tmp_path / DATA).iterdir())


@pytest.mark.kafka
def test_records_on_kafka_are_replayed_to_the_same_digest_as_in_files(
    tmp_path: Path, kafka: str, prefix: str, fresh_topics: Callable[..., dict[str, str]]
) -> None:
    log = records("map", True)
    write(tmp_path, log)
    names = fresh_topics(**dict.fromkeys(ROLES, 1))
    producer = KafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    for role, values in log.items():
        for value in values:
            producer.send(names[role], key=value["id"].encode(), value=json.dumps(value).encode())
    producer.flush(30)
    producer.close()
    told = replay(tmp_path, config=configure(tmp_path, kafka, prefix))
    assert told == replay(tmp_path)
    assert told["labels"] > 100


# The optimum, found once more by other means: mean loss + λ/2 ‖weights‖², intercepts free.


def problem(kind: str) -> tuple[Array, Array]:
    """Features (n, 3) of unlike scales, and targets: values, or indices of classes."""
    rng = np.random.default_rng(3)
    X = np.round(rng.normal(size=(120, 3)) * [1.0, 3.0, 0.5] + [0.0, 2.0, -1.0], 3)
    f = X @ [1.0, -0.4, 2.0] + 1.0
    if kind == "squared":
        return X, np.round(f + rng.normal(size=120), 3) + 0.0001
    if kind == "logistic":
        return X, (f + rng.logistic(size=120) > 0).astype(float)
    return X, np.digitize(f + rng.normal(size=120), [-1.0, 1.5]).astype(float)


def optimum(kind: str, X: Array, y: Array, w: Array, lam: float) -> Array:
    """θ (k, 1 + columns) by Newton's method with the full softmax Hessian, one class or output a row."""
    D = np.concatenate([np.ones((len(X), 1)), X], axis=1)
    w = w / w.sum()
    penalty = lam * np.array([0.0, 1.0, 1.0, 1.0])
    if kind == "squared":
        return np.asarray(np.linalg.solve((D.T * w) @ D + np.diag(penalty), (D.T * w) @ y)[None])
    k = 1 if kind == "logistic" else 3
    onehot = (y[:, None] == np.arange(3 - 2 * (k == 1), dtype=float)) if k > 1 else y[:, None]
    theta = np.zeros((k, 4))
    for _ in range(60):
        f = D @ theta.T
        if k == 1:
            p = 1.0 / (1.0 + np.exp(-f))
            F = (p * (1.0 - p))[:, :, None]
        else:
            p = np.exp(f - f.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            F = p[:, :, None] * np.eye(k) - p[:, :, None] * p[:, None, :]
        gradient = ((p - onehot).T * w) @ D + theta * penalty
        hessian = np.einsum("n,nij,na,nb->iajb", w, F, D, D).reshape(4 * k, 4 * k) + np.diag(np.tile(penalty, k))
        theta = theta - (np.linalg.pinv(hessian, rcond=1e-12) @ gradient.ravel()).reshape(k, 4)
    assert np.abs(gradient).max() < 1e-12
    return np.asarray(theta)


def told_and_found(kind: str, told: dict[str, Any], name: str, found: Array) -> tuple[Array, Array]:
    """Both as (k, 4), a softmax's intercepts up to their common shift."""
    both = [np.array(told[name]).reshape(found.shape).copy(), found.copy()]
    if kind == "softmax":
        for each in both:
            each[:, 0] -= each[:, 0].mean()
    return both[0], both[1]


@pytest.mark.parametrize("joined", [False, True], ids=["with-x", "joined-by-id"])
@pytest.mark.parametrize("lam", [0.01, 0.3])
@pytest.mark.parametrize("kind", ["squared", "logistic", "softmax"])
def test_theta_is_the_optimum_and_tangent_its_derivative(kind: str, lam: float, joined: bool, tmp_path: Path) -> None:
    X, y = problem(kind)
    w = np.where(np.arange(len(y)) % 4, 1.0, 2.5)
    values = y.tolist() if kind == "squared" else [f"class {int(each)}" for each in y]
    for i, value in enumerate(values):
        label = {"id": f"e{i}", "y": value, "weight": w[i]}
        append(tmp_path / DATA / "labels.jsonl", label if joined else label | {"x": X[i].tolist()})
        if joined:
            append(tmp_path / DATA / "events.jsonl", {"id": f"e{i}", "x": X[i].tolist()})
    told = replay(tmp_path, *PLAIN, f"regularity.fixed={lam}")
    assert (told["labels"], told["regularity"], told["loss"]) == (len(y), lam, kind)
    order = [int(name[-1]) for name in told["classes"]] if kind == "softmax" else [0]
    theirs, ours = told_and_found(kind, told, "theta", optimum(kind, X, y, w, lam)[order])
    assert np.abs(theirs - ours).max() <= 1e-8
    h = 1e-4 * lam
    slope = (optimum(kind, X, y, w, lam + h) - optimum(kind, X, y, w, lam - h)) / (2.0 * h)
    theirs, ours = told_and_found(kind, told, "tangent", slope[order])
    assert np.abs(theirs - ours).max() <= 1e-6 * max(1.0, np.abs(ours).max())
    assert told["tangent_residual"] <= 1e-8
