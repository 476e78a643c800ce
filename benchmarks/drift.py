"""Drift: how often detectors are wrong, how late they are, and what a response is worth.

Whole pipelines, with a tenth of the events asked about and answered 50 events later. What they feed the detectors is written
down once a stream, and each detector is then run over that.

    python benchmarks/drift.py made-up | detectors | responses [STREAM ...]
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, final

import numpy as np
from river.datasets import synth

from streamlearn import assemble
from streamlearn.config import Configuration, Drift, Queries
from streamlearn.edges.memory import MemoryStore
from streamlearn.learner import columns
from streamlearn.service.detectors import KEPT_MOST, Watch
from streamlearn.service.drift import LOSS, SCORE, SIGNALS
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, Commit, Record

CHUNK, DELAY, BUDGET = 50, 50, 0.1
STEADY, BEFORE, AFTER, SEEDS, ASIDE = 50_000, 4_000, 4_000, 10, 1_000
STEADY_SEEDS = 1
RESPONSES = ("none", "audit", "forget")

Rows = Iterator[tuple[list[float], Any]]


def sea(seed: int, after: bool) -> Rows:
    """The sum of two features is above 8, then above 9.5; one label of ten is wrong."""
    for x, y in synth.SEA(2 if after else 0, noise=0.1, seed=seed + 1000 * after):
        yield list(x.values()), bool(y)


def hyperplane(seed: int, after: bool) -> Rows:
    """A plane through ten features, then another; one label of twenty is wrong."""
    for x, y in synth.Hyperplane(seed=seed + 1000 * after, n_features=10, n_drift_features=0, noise_percentage=0.05):
        yield list(x.values()), bool(y)


def _normal(seed: int, after: bool) -> tuple[Any, Any]:
    return np.random.default_rng([seed, after]), np.random.default_rng(seed).normal(size=8)


def flipped(seed: int, after: bool) -> Rows:
    """A plane through eight features, with noise, whose sides then change their names."""
    rng, w = _normal(seed, after)
    while True:
        x = rng.normal(size=8)
        yield x.tolist(), bool((x @ w + rng.normal() > 0.0) != after)


def values(seed: int, after: bool) -> Rows:
    """A linear function of eight features, with noise; then half of its coefficients change their sign."""
    rng, w = _normal(seed, after)
    w[4:] *= -1.0 if after else 1.0
    while True:
        x = rng.normal(size=8)
        yield x.tolist(), float(x @ w + rng.normal())


def shifted(seed: int, after: bool) -> Rows:
    """A plane that stays; then the events' features are spread half as wide again."""
    rng, w = _normal(seed, after)
    while True:
        x = rng.normal(size=8) * (1.5 if after else 1.0)
        yield x.tolist(), bool(x @ w + rng.normal() > 0.0)


STREAMS: dict[str, Callable[[int, bool], Rows]] = {
    "SEA": sea,
    "hyperplane": hyperplane,
    "labels flipped": flipped,
    "values": values,
    "events spread": shifted,
}


@final
class Noting:
    """In the place of a watch: every value that it would be fed, with the number of events by then."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.values, self._now = list[tuple[float, int]](), now

    def feed(self, value: float, mark: int) -> None:
        self.values.append((value, self._now()))

    def start_again(self) -> None:
        """A new model scores, and whoever watches begins anew."""
        self.values.append((np.nan, self._now()))


@final
class Desk:
    """A pipeline and a labeler who answers everything, `DELAY` events later."""

    def __init__(self, told: Drift, seed: int) -> None:
        self._store, queries = MemoryStore(), Queries(budget=BUDGET, seed=seed, outstanding=10_000)
        told_all = replace(Configuration(), drift=told, queries=queries)
        self.pipeline = assemble.pipeline(told_all, self._store.recall, Measurements())
        self.now, self._answers, self._due = 0, dict[str, Any](), deque[tuple[int, str]]()

    def play(self, stream: Rows, count: int) -> Iterator[int]:
        """Says after each chunk how many events there were."""
        for begin in range(self.now, self.now + count, CHUNK):
            chunk = {f"e{begin + i}": row for i, row in enumerate(itertools.islice(stream, CHUNK))}
            self._answers |= {id: y for id, (_, y) in chunk.items()}
            self._step(EVENTS, [{"id": id, "x": x} for id, (x, _) in chunk.items()])
            self.now += len(chunk)
            asked = [message for message in self.pipeline.take_outbox() if message.role == QUERIES]
            self._due.extend((self.now + DELAY, json.loads(message.value)["id"]) for message in asked)
            ready = [id for at, id in self._due if at <= self.now]
            for _ in ready:
                self._due.popleft()
            self._step(LABELS, [{"id": id, "y": self._answers[id]} for id in ready])
            self._store.commit(Commit(self.now // CHUNK, {}, b"", self.pipeline.ledger.take_changes(), {}, ()))
            yield self.now

    def _step(self, role: str, told: list[dict[str, Any]]) -> None:
        self.pipeline.step([Record(role, 0, 0, 0, None, json.dumps(each).encode()) for each in told], float(self.now))

    def score(self, aside: list[tuple[list[float], Any]]) -> float:
        """Accuracy, or R²."""
        state, fit = self.pipeline.state, self.pipeline.state.published
        assert fit is not None
        rows = columns.encode(state.columns, [x for x, _ in aside])[1].rows
        found = fit.model.loss.prediction(fit.model.outputs(fit.theta, fit.frame.design(rows)))
        if fit.model.loss.of_classes:
            right = [state.problem.classes[int(each)] == y for each, (_, y) in zip(found, aside, strict=True)]
            return float(np.mean(right))
        y = np.array([y for _, y in aside])
        y = np.array([y for _, y in aside])
        errors = found * fit.frame.target_scale + fit.frame.target_shift - y
        return 1.0 - float(np.mean(errors**2) / y.var())


def noted(kind: str, seed: int, before: int, after: int) -> dict[str, list[tuple[float, int]]]:
    desk = Desk(Drift(), seed)
    watches: dict[str, Any] = {signal: Noting(lambda: desk.pipeline.ledger.count) for signal in SIGNALS}
    desk.pipeline.standing.drift._watches = watches
    for _ in desk.play(STREAMS[kind](seed, False), before):
        pass
    for _ in desk.play(STREAMS[kind](seed, True), after):
        pass
    return {signal: watches[signal].values for signal in SIGNALS}


def alarms(name: str, signal: str, seed: int, fed: list[tuple[float, int]]) -> list[int]:
    """The numbers of events at which there is one."""
    watch, found = Watch(name, seed, falls=signal == SCORE), []
    for value, events in fed:
        if np.isnan(value):
            watch.start_again()
        elif watch.feed(value, events) is not None:
            found.append(events)
    return found


def detectors() -> None:
    print(f"alarms in {STEADY * STEADY_SEEDS} events where nothing changes, by loss / by score")
    for kind in STREAMS:
        told = [noted(kind, seed, STEADY, 0) for seed in range(STEADY_SEEDS)]
        for name in KEPT_MOST:
            counts = [
                sum(len(alarms(name, signal, seed, fed[signal])) for seed, fed in enumerate(told)) for signal in SIGNALS
            ]
            print(f"{kind:15} {name:12} {counts[0]} / {counts[1]}", flush=True)
    print(
        f"a change after {BEFORE} events: found of {SEEDS}, and median of the events until then, by loss / by score; false"
    )
    for kind in STREAMS:
        told = [noted(kind, seed, BEFORE, AFTER) for seed in range(SEEDS)]
        for name in KEPT_MOST:
            said, false = [], 0
            for signal in (LOSS, SCORE):
                at = [alarms(name, signal, seed, fed[signal]) for seed, fed in enumerate(told)]
                false += sum(each <= BEFORE for one in at for each in one)
                delays = [
                    min(each - BEFORE for each in one if each > BEFORE) for one in at if any(e > BEFORE for e in one)
                ]
                said.append(f"{len(delays)}, {statistics.median(delays):.0f}" if delays else "0")
            print(f"{kind:15} {name:12} {' / '.join(said)}; {false}", flush=True)


def made_up() -> None:
    """False alarms per 100,000 values: 1 − p of a calibrated model that is unsure, and of one that is sure; uniform ones.

    Then rises of the mean of uniform ones after 500 values: found of 20, and median of the values until then.
    """
    rng = np.random.default_rng(0)
    for name in KEPT_MOST:
        count, found = 10_000 if name == "kswin" else 1_000_000, []
        for steep in (1.5, 8.0, 0.0):
            p = 1.0 / (1.0 + np.exp(-steep * rng.normal(size=count)))
            drawn = np.where(rng.random(count) < p, 1.0 - p, p) if steep else rng.random(count)
            found.append(len(alarms(name, SCORE, 0, [(value, 0) for value in drawn.tolist()])) * 100_000 / count)
        print(f"{name:12} {found}", flush=True)

    for rise, name in itertools.product((0.08, 0.12, 0.2), ("adwin", "page-hinkley")):
        delays = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            values = np.concatenate([rng.random(500), np.minimum(1.0, rng.random(500) + rise)]).tolist()
            delays += [
                at - 500 for at in alarms(name, LOSS, seed, [(v, i) for i, v in enumerate(values)]) if at >= 500
            ][:1]
        print(rise, name, len(delays), statistics.median(delays or [0]), flush=True)


def responses() -> None:
    """The score on rows of the new concept, mean over the events after the change and at the end; paired differences."""
    for kind in sys.argv[2:] or STREAMS:
        found: dict[str, list[tuple[float, float]]] = {}
        for response, seed in itertools.product(RESPONSES, range(SEEDS)):
            desk, new = Desk(Drift(response=response), seed), STREAMS[kind](seed, True)
            aside = list(itertools.islice(new, ASIDE))
            for _ in desk.play(STREAMS[kind](seed, False), BEFORE):
                pass
            points = [desk.score(aside) for now in desk.play(new, AFTER) if now % 200 == 0]
            found.setdefault(response, []).append((float(np.mean(points)), points[-1]))
        for response in RESPONSES:
            here, base = np.array(found[response]), np.array(found["none"])
            gains, errors = (here - base).mean(axis=0), (here - base).std(axis=0, ddof=1) / np.sqrt(SEEDS)
            means = here.mean(axis=0)
            print(
                f"{kind:15} {response:7} mean {means[0]:.3f} ({gains[0]:+.3f} ± {errors[0]:.3f}), "
                f"end {means[1]:.3f} ({gains[1]:+.3f} ± {errors[1]:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    {"made-up": made_up, "detectors": detectors, "responses": responses}[sys.argv[1]]()
