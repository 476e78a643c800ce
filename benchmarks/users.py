"""Many users: events a second and memory with 10³, 10⁵ and 10⁶ of them, against one model for all.

A thousand users have five labels each; then events of all users come in random order, one in 500 with its label. Each run is a
process of its own, over a store on disk, and timed by its processor; what it says is the median of `ROUNDS` in turn.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Record
from streamlearn.service.replay import replay
from streamlearn.settings import read

FEATURES, HAVING_LABELS, LABELS_EACH, LABEL_EVERY, ROUNDS = 20, 1000, 5, 500, 3
EVENTS_COUNT = 200_000
BY_VARIANCE = "queries.strategy=v-optimality"  # which looks at what is not known of a user


def records(users: int) -> tuple[list[Record], list[Record]]:
    """What was learned before, and what is measured."""
    rng = np.random.default_rng(0)
    common, whose = rng.normal(size=FEATURES), rng.normal(size=(HAVING_LABELS, FEATURES))

    def label(user: int, x: np.ndarray) -> bool:
        own = whose[user] if user < HAVING_LABELS else 0.0
        return bool(x @ (common + own) > 0.0)

    before = []
    for i in range(HAVING_LABELS * LABELS_EACH):
        user, x = i % HAVING_LABELS, rng.normal(size=FEATURES).round(3)
        line = {"id": f"w{i}", "x": x.tolist(), "y": label(user, x), "user": user}
        before.append(Record(LABELS, 0, i, i + 1, None, json.dumps(line).encode()))
    measured, X = [], rng.normal(size=(EVENTS_COUNT, FEATURES)).round(3)
    for i, user in enumerate(rng.integers(users, size=EVENTS_COUNT).tolist()):
        line = {"id": f"e{i}", "x": X[i].tolist(), "user": user}
        measured.append(Record(EVENTS, 0, i, i + 1, None, json.dumps(line).encode()))
        if i % LABEL_EVERY == 0:
            line = {"id": f"e{i}", "y": label(user, X[i])}
            measured.append(Record(LABELS, 0, i, i + 1, None, json.dumps(line).encode()))
    return before, measured


def once(users: int, told: Configuration) -> dict[str, float]:
    before, measured = records(users)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db")
        pipeline = assemble.pipeline(told, store.recall, Measurements())
        began = time.process_time()
        replay(pipeline, store, before, 1000, lambda done: None)
        learned = time.process_time() - began
        resident = _resident()
        began = time.process_time()
        for start in range(0, len(measured), 1000):
            pipeline.step(measured[start : start + 1000], None)
            pipeline.take_outbox()
            pipeline.ledger.take_changes()
        seconds = time.process_time() - began
        store.close()
    rate, more = EVENTS_COUNT / seconds, _resident() - resident
    return {"events": rate, "labels": len(before) / learned, "bytes": more, "peak": 1024.0 * _peak()}


def _resident() -> float:
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    kinds = {
        "none": (),
        "l2": ("users.kind=deviation",),
        "l1": ("users.kind=deviation", "users.penalty=l1"),
        "personality": ("users.kind=personality",),
        "none, v-optimality": (BY_VARIANCE,),
        "l2, v-optimality": ("users.kind=deviation", BY_VARIANCE),
        "personality, v-optimality": ("users.kind=personality", BY_VARIANCE),
    }
    if len(sys.argv) == 3:
        print(json.dumps(once(int(sys.argv[1]), read(None, {}, kinds[sys.argv[2]]))))
        return
    for users in (1_000, 100_000, 1_000_000):
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            for kind in kinds:
                command = [sys.executable, __file__, str(users), kind]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[kind].append(json.loads(told))
        for kind, runs in found.items():
            _, *strategy = kind.split(", ")
            without = ", ".join(["none", *strategy])
            none = statistics.median(each["events"] for each in found[without])
            events, labels, more = (
                statistics.median(each[name] for each in runs) for name in ("events", "labels", "bytes")
            )
            text = f"{users:9,} users, {kind:25}: {events:8,.0f} events/s, {events / none:.2f} × {without}"
            print(f"{text}; {labels:6,.0f} labels/s; {more / 2**20:.1f} MiB more", flush=True)


if __name__ == "__main__":
    main()
