"""The whole pipeline against river's EntropySampler: the same JSON events, one in 100 or 1,000 labeled, 20 features."""

from __future__ import annotations

import json
import statistics
import time

import numpy as np
from river import active, linear_model, optim, preprocessing

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.memory import MemoryStore
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Record
from streamlearn.service.replay import replay

EVENTS_COUNT, FEATURES, ROUNDS = 20_000, 20, 5


def data() -> tuple[list[bytes], list[bool]]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(EVENTS_COUNT, FEATURES)).round(4)
    y = X @ generator.normal(size=FEATURES) + generator.normal(size=EVENTS_COUNT) > 0
    return [json.dumps({"id": f"e{i}", "x": X[i].tolist()}).encode() for i in range(EVENTS_COUNT)], y.tolist()


def streamlearn_once(lines: list[bytes], y: list[bool], label_every: int) -> float:
    records = []
    for i, line in enumerate(lines):
        records.append(Record(EVENTS, 0, i, i + 1, None, line))
        if i % label_every == 0:
            label = json.dumps({"id": f"e{i}", "y": y[i]}).encode()
            records.append(Record(LABELS, 0, i, i + 1, None, label))
    store = MemoryStore()
    pipeline = assemble.pipeline(Configuration(), store.recall, Measurements())
    began = time.perf_counter()
    replay(pipeline, store, records, 1000, lambda done: None)
    return time.perf_counter() - began


def river_once(lines: list[bytes], y: list[bool], label_every: int) -> float:
    model = active.EntropySampler(
        preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.1)), seed=0
    )
    began = time.perf_counter()
    for i, line in enumerate(lines):
        x = dict(enumerate(json.loads(line)["x"]))
        model.predict_one(x)
        if i % label_every == 0:
            model.learn_one(x, y[i])
    return time.perf_counter() - began


def main() -> None:
    lines, y = data()
    for label_every in (100, 1000):
        rounds = [(streamlearn_once(lines, y, label_every), river_once(lines, y, label_every)) for _ in range(ROUNDS)]
        ratio = statistics.median(theirs / ours for ours, theirs in rounds)
        ours, theirs = (EVENTS_COUNT / statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"a label in {label_every}: {ours:,.0f} events/s, river {theirs:,.0f}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
