"""A transformer of river in a daemon that is killed: it ends with the state that one process would have come to."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from streamlearn import assemble, settings
from streamlearn.edges.memory import MemoryStore
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.replay import finished
from tests.end_to_end.daemon_process import append, command, inspect, running, until

TOLD = ("features.river=mine:features", "queries.budget=0.3", "queries.outstanding=1000")
MINE = """
from river import compose, preprocessing

features = (compose.SelectType(float) | preprocessing.StandardScaler()) + (
    compose.SelectType(str) | preprocessing.OneHotEncoder()
)
"""


def test_after_kills_the_state_is_that_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    data, chance = tmp_path / "streamlearn-data", random.Random(0)
    xs = [{"a": chance.gauss(5.0, 2.0), "c": chance.choice(["NL", "DE", "FR", "BE", "LU"])} for _ in range(300)]
    append(data / "events.jsonl", *({"id": f"e{i}", "x": x} for i, x in enumerate(xs)))
    arguments = [word for each in TOLD for word in ("--set", each)]
    with running(tmp_path, *arguments) as daemon:
        until(lambda: daemon.metrics()["streamlearn_commit_number"] > 0.0, "the events' commit")
        daemon.kill()
    # Fewer than a hundred: each is learned at once, whenever the stream is quiet.
    ys = {f"e{3 * i}": xs[3 * i]["c"] == "NL" or xs[3 * i]["a"] > 7.0 for i in range(90)}
    labels = [{"id": id, "y": y} for id, y in ys.items()]
    labels += [{"id": f"new{i}", "y": True, "x": {"a": 9.0, "c": "ES"}} for i in range(5)]
    append(data / "labels.jsonl", *labels)
    with running(tmp_path, *arguments) as daemon:
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 95.0, "the labels")
        daemon.kill()
    with running(tmp_path, *arguments) as daemon:
        assert daemon.drain() == 0

    told = settings.read(None, {}, (f"log.path={data}", *TOLD))
    pipeline, source = assemble.pipeline(told, MemoryStore().recall, Measurements()), assemble.source(told)
    pipeline.step(sorted(finished(source), key=lambda record: record.role), None)
    source.close()
    found = inspect(tmp_path)
    assert {"a", "c_NL", "c_DE", "c_ES"} < set(found["parameter_names"])
    assert found["digest"] == restore.digest(pipeline)
    assert 95 == pipeline.state.labels

    refused = command(tmp_path, "export", "streamlearn-data/streamlearn.db", "model")
    assert 2 == refused.returncode
    assert "features.river = mine:features" in refused.stderr
