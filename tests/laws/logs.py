"""Random logs for the laws: events and labels of every kind that a daemon may meet, good and bad, in one order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from streamlearn import assemble
from streamlearn.config import Configuration, Features, Labels, Model, Queries, Regularity, Topics, Training, Users
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.memory import MemoryStore
from streamlearn.learner import columns
from streamlearn.service import restore, tally
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, REJECTED, Commit, Event, Message, Record
from streamlearn.service.tallies import Tallies

KINDS = ("array", "map")
WORDS = ("red", "green", "blue")
ANSWERS: dict[str, list[object]] = {
    "values": [0.5, 1.5, -2.0, 3.25, 7.0],
    "classes": ["no", "yes", "no", "yes", "no", "yes", "perhaps"],
    "booleans": [True, False],
    "whole numbers": [0, 1, 2.0],
}
IDS = 40  # few, so that ids meet again


def _line(rng: Random, kind: str, answers: str, time: float | None) -> tuple[str, bytes | None, bytes | None]:
    """One record as (role, key, value)."""
    what = rng.choice(["event"] * 10 + ["label"] * 7 + ["full label", "forget", "bad event", "bad label"])
    id = f"e{rng.randrange(IDS)}"
    stamp = {} if time is None else {"time": time}
    if what == "forget":
        return LABELS, id.encode(), rng.choice([None, json.dumps({"id": id, "y": None}).encode()])
    if what == "bad event":
        bad = [b"{", b'{"x": [1]}', b'{"id": 3, "x": "no"}', json.dumps({"id": id, "x": [1.0] * 9} | stamp).encode()]
        return EVENTS, None, rng.choice(bad)
    if what == "bad label":
        bad = [b"nothing", b'{"id": "a"}', json.dumps({"id": id, "y": 1, "weight": -1}).encode()]
        return LABELS, None, rng.choice([*bad, json.dumps({"id": id, "y": {"no": 1}}).encode()])
    value: dict[str, object] = {"id": id} | stamp
    if what != "label":
        value["x"] = _features(rng, kind)
    if what == "event":
        return EVENTS, None, json.dumps(value).encode()
    value["y"] = rng.choice(ANSWERS[answers])
    if rng.random() < 0.5:
        value["weight"] = rng.choice([0.5, 2.0])
    return LABELS, id.encode(), json.dumps(value).encode()


def _features(rng: Random, kind: str) -> object:
    values = [-1.5, -0.25, 0.0, 0.5, 1.0, 3.0, None, True]
    if kind == "array":
        return [rng.choice(values) for _ in range(3)]
    return {name: rng.choice([*values, *WORDS]) for name in ("a", "b", "c", "d") if rng.random() < 0.6}


def log(seed: int, count: int) -> list[Record]:
    """`count` records in the order in which they are read."""
    rng, time = Random(seed), 1000.0
    kind, answers, timed = rng.choice(KINDS), rng.choice(sorted(ANSWERS)), rng.random() < 0.5
    records: list[Record] = []
    offsets = {EVENTS: 0, LABELS: 0}
    for _ in range(count):
        time += rng.choice([0.0, 1.0, 20.0])
        role, key, value = _line(rng, kind, answers, time if timed and rng.random() < 0.5 else None)
        records.append(Record(role, 0, offsets[role], offsets[role] + 1, key, value))
        offsets[role] += 1
    return records


def configuration(
    solver: str = "auto",
    validation: str = "progressive",
    keep: int = 0,
    remember: int = 100_000,
    seed: int = 0,
    strategy: str = "auto",
    loss: str = "",
    optimizer: str = "sgd",
    regularizer: str = "l2",
    increasing: str = "",
    kind: str = "linear",
    river: str = "",
    of_candidates: bool = False,
    users: Users | None = None,
) -> Configuration:
    """Small numbers, so that every limit is met within a short log."""
    return replace(
        Configuration(),
        model=Model(loss=loss) if kind == "linear" else Model(kind, loss, hidden=(3,)),
        features=Features(river=river),
        labels=Labels(wait=6, remember=remember),
        training=Training(solver=solver, optimizer=optimizer, keep=keep, steps_per_label=2, batch_size=4),
        regularity=Regularity(
            validation=validation, regularizer=regularizer, increasing=increasing, free=("a", "x0"), compensated=True
        )
        if regularizer != "l2" or increasing
        else Regularity(validation=validation),
        queries=Queries(strategy, budget=0.4, outstanding=5, expire_s=60.0, seed=seed),
        topics=Topics(candidates="candidates" if of_candidates else ""),
        users=users or Users(),
    )


def of_users(seed: int, records: Sequence[Record]) -> list[Record]:
    """The log with a user in most records that are an object: of events, and of labels, which may say another."""
    rng, told = Random(seed), list[Record]()
    for record in records:
        user = rng.choice(["ann", "ben", "eve", 7, None])
        try:
            value = json.loads(record.value or b"")
            line = json.dumps(value | ({} if user is None else {"user": user})).encode()
        except (ValueError, TypeError):
            line = record.value
        told.append(record._replace(value=line))
    return told


def sifted(seed: int, records: Sequence[Record]) -> list[Record]:
    """The log as scorers leave it, of which one knows less of the columns: candidates, some told again, and tallies."""
    rng, known, told = Random(seed), columns.State(), list[Record]()
    tallies, count, codec = Tallies(), 0, JsonCodec()
    for record in records:
        if record.role == LABELS:
            told.append(record)
            continue
        events = [each for each in codec.events(record) if isinstance(each, Event)]
        known, encoded = columns.encode(known, [each.x for each in events])
        good, lines = encoded.rows[:0] if encoded.reasons else encoded.rows, list[bytes]()
        if events and not encoded.reasons:
            count += 1
            here = {"partition": 0, "offset": record.offset, "events": count, "reason": rng.choice(["score", "audit"])}
            line = {"id": events[0].id, "x": events[0].x, "time": events[0].time} | here
            lines = [json.dumps(line).encode()] * rng.choice([0, 1, 1, 1, 2])
        ended = tallies.take(record, good, len(encoded.reasons), known)
        said = [*ended, *(tallies.news() if rng.random() < 0.2 else [])]
        lines += [tally.encode(each) for each in said] * rng.choice([1, 2])
        told += [Record(EVENTS, 0, 0, 0, None, line) for line in lines]
    at = dict.fromkeys((EVENTS, LABELS), 0)
    for i, record in enumerate(told):
        offset = at[record.role]
        told[i], at[record.role] = record._replace(offset=offset, next=offset + 1), offset + 1
    return told


@dataclass
class Trial:
    """A pipeline over a memory store, fed poll by poll; what it published."""

    pipeline: Pipeline
    store: MemoryStore
    published: list[Message]

    def poll(self, records: Sequence[Record]) -> None:
        """One turn of replay: step, commit, publish."""
        self.pipeline.step(records, None)
        self.store.commit(
            Commit(
                self.store.load().number + 1,
                {},
                restore.take(self.pipeline),
                self.pipeline.ledger.take_changes(),
                {},
                (),
            )
        )
        self.published += self.pipeline.take_outbox()

    @property
    def queries(self) -> list[bytes]:
        return [message.value for message in self.published if message.role == QUERIES]

    @property
    def rejects(self) -> list[bytes]:
        return sorted(message.value for message in self.published if message.role == REJECTED)


def trial(told: Configuration) -> Trial:
    store = MemoryStore("store")
    return Trial(assemble.pipeline(told, store.recall, Measurements()), store, [])


def yes_or_no(score: float) -> object:
    return score > 0.0


def stream(
    events: int, width: int = 4, seed: int = 0, delay: int = 7, answer: Callable[[float], object] = yes_or_no
) -> list[Record]:
    """A long plain log: every event's label comes `delay` events later; every ninth label is missing."""
    rng = np.random.default_rng(seed)
    records, offsets = [], {EVENTS: 0, LABELS: 0}
    X = rng.normal(size=(events, width)).round(3)
    for i in range(events + delay):
        if i < events:
            records.append((EVENTS, {"id": f"s{i}", "x": X[i].tolist(), "time": 10.0 * i}))
        if i >= delay and i % 9:
            records.append(
                (LABELS, {"id": f"s{i - delay}", "y": answer(float(X[i - delay].sum() - 0.3 * rng.normal()))})
            )
    lines = []
    for role, value in records:
        lines.append(Record(role, 0, offsets[role], offsets[role] + 1, None, json.dumps(value).encode()))
        offsets[role] += 1
    return lines
