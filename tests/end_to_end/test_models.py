"""A model in a program of one's own says to the last bit what the daemon says, from wherever it was loaded."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamlearn
from streamlearn import assemble, settings
from streamlearn.edges import model_files
from streamlearn.errors import CannotLoad, ConfigurationError, Unavailable
from streamlearn.service import model_snapshot
from streamlearn.service.daemon import Daemon
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from tests.end_to_end.daemon_process import append, command, lines, running, until

SLD = "queries.strategy=sld"
EVENTS = 150  # more than a block


def a_map(i: int, draw: random.Random) -> dict[str, Any]:
    x: dict[str, Any] = {
        "amount": draw.gauss(0.0, 3.0),
        "known": i % 3 == 0,
        "country": draw.choice(["NL", "DE", "BE"]),
    }
    if i % 4 == 0:
        x["country"] = None
    if i % 5 == 0:
        del x["amount"]
    return x


def an_array(i: int, draw: random.Random) -> list[Any]:
    return [None if (i + j) % 7 == 0 else draw.gauss(0.0, 1.0 + j) for j in range(5)]


def an_image(i: int, draw: random.Random) -> list[Any]:
    return [draw.random() for _ in range(36)]


def tokens(i: int, draw: random.Random) -> list[Any]:
    return [draw.randrange(20) for _ in range(1 + i % 9)]


def size(x: Any) -> float:
    """What a label is made of."""
    if isinstance(x, dict):
        return float(x.get("amount", 0.0)) + (2.0 if x["country"] == "NL" else 0.0)
    return float(sum(value or 0.0 for value in x[:3]))


CASES: dict[str, tuple[tuple[str, ...], Callable[[int, random.Random], Any], Callable[[Any], Any]]] = {
    "squared": ((), a_map, lambda x: 0.1 + size(x)),
    "logistic": ((), a_map, lambda x: "high" if size(x) > 0.5 else "low"),
    "softmax": ((), an_array, lambda x: "abc"[min(2, max(0, int(size(x) + 1)))]),
    "poisson": (("model.loss=poisson",), an_array, lambda x: round(math.exp(min(2.0, size(x) / 2)))),
    "mlp": (("model.kind=mlp", "model.hidden=6"), a_map, lambda x: 0.1 + size(x)),
    "cnn": (("model.kind=cnn", "model.shape=1,6,6", "model.hidden=2"), an_image, lambda x: size(x) > 1.5),
    "embedding-bag": (
        ("model.kind=embedding-bag", "features.kind=tokens", "features.length=6", "model.vocabulary=20"),
        tokens,
        lambda x: "odd" if x[0] % 2 else "even",
    ),
}


def daemon(folder: Path, *told: str) -> Daemon:
    usual = (f"log.path={folder}", "http.port=-1", "training.steps_per_label=1", "name=fraud")
    configuration = settings.read(None, {}, (*usual, *told))
    return assemble.daemon(configuration, Health(), Measurements(), lambda _: True, poll_timeout_s=0.0)


def feed(folder: Path, topic: str, values: list[dict[str, Any]]) -> None:
    append(folder / f"{topic}.jsonl", *values)


def learned(folder: Path, case: str, *told: str) -> tuple[Daemon, list[Any]]:
    """A daemon that has learned and then read events, whose model has not moved since; and those events' x."""
    own, x_of, y_of = CASES[case]
    draw = random.Random(7)
    labels = [x_of(i, draw) for i in range(60)]
    feed(folder, "labels", [{"id": f"l{i}", "x": x, "y": y_of(x)} for i, x in enumerate(labels)])
    running_ = daemon(folder, *own, *told)
    running_.start()
    while running_.turn():
        pass
    for _ in range(2):  # quiet: what waits for a cut is learned
        running_.turn()
    events = [x_of(i, draw) for i in range(EVENTS)]
    feed(folder, "events", [{"id": f"e{i}", "x": x} for i, x in enumerate(events)])
    return running_, events


@pytest.mark.parametrize("case", CASES)
def test_what_is_loaded_says_to_the_last_bit_what_the_daemon_says(case: str, tmp_path: Path) -> None:
    told = (SLD, "topics.predictions=predictions", "topics.models=models", "queries.budget=0.01")
    folder = tmp_path / "log"
    running_, events = learned(folder, case, *told)
    running_.pipeline.standing.asking.paused = True  # a query that is asked changes the scores of those behind it
    running_.turn()
    said = lines(folder / "predictions.jsonl")
    assert EVENTS == len(said)
    running_.close()  # as after a kill: nothing more is committed

    loaded = streamlearn.load(folder / "streamlearn.db")
    assert "fraud" == loaded.name
    assert {loaded.version} == {each["model_version"] for each in said}
    assert [each["prediction"] for each in said] == loaded.predict(events)
    assert [each["score"] for each in said] == loaded.sld(events).tolist()
    # One by one they are the same, and as arrays of numbers.
    assert [said[i]["prediction"] for i in (0, 77, 149)] == [loaded.predict(events[i]) for i in (0, 77, 149)]
    assert said[77]["score"] == loaded.sld(events[77])
    if loaded.classes:
        shares = loaded.predict_proba(events)
        assert (EVENTS, len(loaded.classes)) == shares.shape
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
        assert loaded.predict(events) == [loaded.classes[i] for i in shares.argmax(axis=1)]

    # The same from a file.
    assert 0 == command(tmp_path, "export", "log/streamlearn.db", "model").returncode
    again = streamlearn.load(tmp_path / "model")
    assert loaded.predict(events) == again.predict(events)
    assert loaded.sld(events).tolist() == again.sld(events).tolist()
    assert loaded.columns == again.columns


def test_the_topic_ends_with_the_model_of_the_store(tmp_path: Path) -> None:
    running_, events = learned(tmp_path, "logistic", "topics.models=said", "models.every_labels=1000")
    first = lines(tmp_path / "said.jsonl")
    assert ["fraud"] == [each["name"] for each in first], "the first at once, and no other in the same minute"
    feed(tmp_path, "labels", [{"id": f"m{i}", "x": {"amount": -9.0 - i}, "y": "high"} for i in range(20)])
    while running_.turn():
        pass
    assert first == lines(tmp_path / "said.jsonl")
    running_.drain()
    running_.close()
    from_topic, from_store = (streamlearn.load(tmp_path / name) for name in ("said.jsonl", "streamlearn.db"))
    assert 2 == len(lines(tmp_path / "said.jsonl"))
    assert from_store.predict_proba(events).tolist() == from_topic.predict_proba(events).tolist()
    assert (from_store.version, 80) == (from_topic.version, from_topic.version)
    assert from_store.tangent.tolist() == from_topic.tangent.tolist()

    again = daemon(tmp_path, "topics.models=said")
    again.start()
    again.turn()
    again.drain()
    again.close()
    assert 2 == len(lines(tmp_path / "said.jsonl")), "what was said is not repeated"


def test_a_quiet_stream_leaves_its_last_model_there(tmp_path: Path) -> None:
    usual = ("--set", "topics.models=models", "--set", "models.every_s=0.1", "--set", "log.path=.")
    feed(tmp_path, "labels", [{"id": str(i), "x": [i % 7, i % 3], "y": i % 7 > 3} for i in range(40)])
    with running(tmp_path, *usual) as process:
        until(lambda: lines(tmp_path / "models.jsonl"), "a model")
        feed(tmp_path, "labels", [{"id": str(i), "x": [i % 7, i % 3], "y": i % 7 > 3} for i in range(40, 47)])
        until(lambda: 47 == streamlearn.load(tmp_path / "models.jsonl").version, "the last model")
        process.kill()
    before = lines(tmp_path / "models.jsonl")
    with running(tmp_path, *usual) as process:
        assert 0 == process.drain()
    assert before == lines(tmp_path / "models.jsonl")


def test_a_model_that_no_message_holds_is_published_in_chunks(tmp_path: Path) -> None:
    wide = ("model.kind=mlp", "model.hidden=65536", "topics.models=models")  # 2.1 MB
    feed(tmp_path, "labels", [{"id": str(i), "x": [i % 7, i % 3], "y": float(i)} for i in range(25)])
    measurements = Measurements()
    told = settings.read(None, {}, (f"log.path={tmp_path}", "http.port=-1", "training.steps_per_label=1", *wide))
    process = assemble.daemon(told, Health(), measurements, lambda _: True, poll_timeout_s=0.0)
    process.start()
    process.turn()
    process.close()  # as after a kill
    *chunks, manifest = (tmp_path / "models.jsonl").read_bytes().splitlines(keepends=True)
    assert {("chunk" in json.loads(line), "parts" in json.loads(line)) for line in chunks} == {(True, False)}
    assert (1.0, 25) == (measurements.snapshot()["streamlearn_models_total"][()], json.loads(manifest)["model_version"])
    from_topic, from_store = (streamlearn.load(tmp_path / name) for name in ("models.jsonl", "streamlearn.db"))
    assert from_store.theta.tobytes() == from_topic.theta.tobytes()
    assert from_store.predict([3, 1]) == from_topic.predict([3, 1])
    (tmp_path / "models.jsonl").write_bytes(b"".join([*chunks[1:], manifest]))
    with pytest.raises(CannotLoad, match="is not whole"):
        streamlearn.load(tmp_path / "models.jsonl")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("exported")
    running_, _ = learned(folder, "logistic")
    running_.close()
    return model_snapshot.encode(model_files.from_store(folder / "streamlearn.db")) + b"\n"


def test_bytes_that_were_changed_or_cut_are_refused_in_one_line(exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    assert "fraud" == load_of(path, exported).name
    for at in [*range(0, len(exported) - 1, 97), len(exported) - 2]:
        changed = bytearray(exported)
        changed[at] ^= 1
        with pytest.raises(CannotLoad) as caught:
            load_of(path, bytes(changed))
        assert str(caught.value).isprintable()
    for cut in range(0, len(exported) - 1, 97):
        with pytest.raises(CannotLoad, match="damaged"):
            load_of(path, exported[:cut])


def load_of(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return streamlearn.load(path)


def test_a_file_that_could_not_be_written_leaves_the_one_before(
    exported: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    before = load_of(path, exported)
    later = replace(model_snapshot.decode(exported.rstrip()), commit=99)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            model_files.write(later, path)
    assert before.commit == streamlearn.load(path).commit
    assert [path] == list(tmp_path.iterdir())
    model_files.write(later, path)
    assert 99 == streamlearn.load(path).commit


def test_another_format_is_refused_by_its_number(exported: bytes, tmp_path: Path) -> None:
    other = model_snapshot.read(exported.rstrip(), model_snapshot.Line)
    other.format = 3
    with pytest.raises(CannotLoad, match="format 3, and this version of streamlearn reads formats 1 and 2"):
        load_of(tmp_path / "model", model_snapshot.sealed(other))


def test_names_and_categories_that_it_does_not_know_are_ignored_and_what_is_missing_is_the_mean(
    exported: bytes, tmp_path: Path
) -> None:
    loaded = load_of(tmp_path / "model", exported)
    plain = {"amount": 1.5, "known": True, "country": "NL"}
    assert loaded.predict_proba(plain).tolist() == loaded.predict_proba({**plain, "shoes": 44, "hat": "red"}).tolist()
    mean = loaded._snapshot.frame.scaling.shift[loaded.columns.index("amount")]
    np.testing.assert_allclose(
        loaded.predict_proba({**plain, "amount": None}), loaded.predict_proba({**plain, "amount": mean}), atol=1e-15
    )
    nowhere = {"amount": 1.5, "known": True, "country": "FR"}
    assert loaded.predict_proba(nowhere).tolist() != loaded.predict_proba(plain).tolist()
    assert [] == loaded.predict([])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([1.0, 2.0], "x is an array; the events before had a map of names"),
        ({"amount": 1e200}, "x has a number beyond 1e"),
        ({"amount": [1]}, "x: Expected"),
        ("amount", "x: Expected"),
        ([{"amount": 1}, {"amount": math.inf}], r"x\[1\]: x has a number beyond"),
    ],
)
def test_an_event_that_the_daemon_would_reject_is_refused(x: Any, says: str, exported: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        load_of(tmp_path / "model", exported).predict(x)


def test_what_is_no_model_is_refused_in_one_line(exported: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        streamlearn.load(tmp_path / "nothing")
    (tmp_path / "model").write_bytes(exported)
    with pytest.raises(ConfigurationError, match='holds no model of the name "churn"; there are: "fraud"'):
        streamlearn.load(tmp_path / "model", name="churn")
    empty = daemon(tmp_path / "log")
    empty.start()
    empty.close()
    with pytest.raises(ConfigurationError, match="holds no model yet"):
        streamlearn.load(tmp_path / "log/streamlearn.db")
    for source in ("kafka://", "kafka://a:9092", "kafka://a:9092/b/c", "kafka://a:9092/b?names=c"):
        with pytest.raises(ConfigurationError, match="is not of the form"):
            streamlearn.load(source)


def test_importing_is_light() -> None:
    code = "import sys, streamlearn; assert streamlearn.load; print(json if 'numpy' in sys.modules else 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "light\n" == done.stdout


def test_a_linear_model_is_loaded_without_torch(exported: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(exported)
    code = f"import sys, streamlearn; streamlearn.load({json.dumps(str(tmp_path / 'model'))}).predict({{'amount': 1}})"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
