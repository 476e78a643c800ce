"""One trial: the whole daemon on an embedded log, one arm, one order of the stream.

Events are appended in small chunks, the daemon turns once, the labeler reads and answers: what a user would see, with the
waiting left out. Time is the count of events, so that a trial depends on its data and its plan only.

arm           asks by              is answered
streamlearn   its own strategy     what it asked, late
STRATEGY      the one so named     what it asked, late
random        chance               what it asked, late
all_labels    —                    every event, at once
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, final

from streamlearn import assemble, settings
from streamlearn.config import Configuration
from streamlearn.edges.memory import ManualClock
from streamlearn.errors import StreamlearnError
from streamlearn.evaluation import hindsight
from streamlearn.evaluation.hindsight import Hindsight
from streamlearn.evaluation.labeler import Asked, Labeler, write
from streamlearn.evaluation.quality import Evaluation
from streamlearn.evaluation.rows import Dataset, Part, split
from streamlearn.service.daemon import Daemon
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.patience import Stopped

STREAMLEARN, RANDOM, ALL_LABELS = ARMS = ("streamlearn", "random", "all_labels")
CHUNK_MOST = 10
BEGIN_S = 1_750_000_000.0
NO_BUDGET = 1e-9


@final
@dataclass(frozen=True)
class Plan:
    """What a trial is to be. delay: events until a query is answered.

    seed: of the stream's order and, plus salt, of what is asked by chance: another salt is another chance on one stream.
    dataset: its name, where there are several; settings: KEY=VALUE of the daemon's configuration.
    """

    arm: str
    seed: int
    budget: float
    delay: int
    salt: int = 0
    dataset: str = ""
    settings: tuple[str, ...] = ()


class Point(NamedTuple):
    """A moment of a trial. labels: learned so far; loss, score: on the evaluation set; residual: of the tangent."""

    events: int
    labels: int
    loss: float
    score: float
    regularity: float
    residual: float


@final
@dataclass(frozen=True)
class Outcome:
    """What came of a trial. labels: learned; points: one a change of the labels; asked: queries in order.

    events: in the stream; overspent: by how many queries more than ⌈budget · n⌉ were issued after n events, at worst.
    refused: queries beyond the budget that were not answered, of a strategy that does not keep it by itself.
    hindsight: what another λ would have brought at the end; None where that was not asked.
    """

    plan: Plan
    labels: int
    points: tuple[Point, ...]
    asked: tuple[Asked, ...]
    events: int = 0
    overspent: int = 0
    refused: int = 0
    hindsight: Hindsight | None = None


@final
class Interrupted(Exception):
    """The trial was told to stop."""


def looking_back(dataset: Dataset, plan: Plan, folder: Path, watch: Callable[[int, Point | None], bool]) -> Outcome:
    """`run`, and its hindsight."""
    return run(dataset, plan, folder, watch, look_back=True)


def run(
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    watch: Callable[[int, Point | None], bool],
    look_back: bool = False,
) -> Outcome:
    """Run it in an empty folder. watch(events, last point) is told how it goes; False stops. look_back: for its hindsight."""
    stream, aside = split(dataset, plan.seed)
    clock, evaluation = ManualClock(BEGIN_S), Evaluation(dataset, aside)
    daemon = assemble.daemon(
        configuration(plan, dataset.values, folder), Health(), Measurements(), lambda _: True, clock, poll_timeout_s=0.0
    )
    labeler = Labeler(folder, dict(zip(stream.ids, stream.ys, strict=True)), plan.delay)
    points = list[Point]()
    chunk = chunk_of(plan.delay)
    try:
        daemon.start()
        for begin in range(0, len(stream.ids), chunk):
            end = min(begin + chunk, len(stream.ids))
            _append(folder, stream, begin, end)
            clock.advance(float(end - begin))
            daemon.turn()
            if plan.arm == ALL_LABELS:
                write(folder / "labels.jsonl", _answers(stream, begin, end))
            else:
                labeler.turn(end)
            _record(points, daemon, evaluation, end, stream.places[end - 1])
            if not watch(end, points[-1] if points else None):
                raise Interrupted
        labeler.finish()
        while daemon.turn():
            pass
        daemon.drain()
        _record(points, daemon, evaluation, len(stream.ids), stream.places[-1], last=True)
    except Stopped as stopped:
        raise StreamlearnError(str(stopped.__cause__)) from None  # the disk: a demo does not wait for it
    finally:
        daemon.close()
    state, last = daemon.pipeline.state, stream.places[-1]
    labels = state.labels
    if not points:
        raise StreamlearnError(f"{labels} labels brought no model of {dataset.name}; give more: raise --budget")
    count = {id: i for i, id in enumerate(stream.ids, 1)}
    spent = overspent([count[each.id] for each in labeler.asked], plan.budget)
    learner, of = daemon.pipeline.standing.rules.learner, daemon.pipeline.standing.transforming
    seen = hindsight.of(state, learner, lambda each: evaluation.quality(each, last, of)) if look_back else None
    return Outcome(plan, labels, tuple(points), tuple(labeler.asked), len(stream.ids), spent, hindsight=seen)


def configuration(plan: Plan, values: bool, folder: Path) -> Configuration:
    """The defaults, but for what the plan is about; its own settings have the last word. Raises ConfigurationError."""
    arm, budget = {STREAMLEARN: ("auto", plan.budget), ALL_LABELS: (RANDOM, NO_BUDGET)}.get(
        plan.arm, (plan.arm, plan.budget)
    )
    told = {
        "queries.strategy": arm,
        "queries.budget": budget,
        "queries.seed": plan.seed + plan.salt,
        "log.path": folder,
    }
    loss = ["model.loss=squared"] if values else []
    return settings.read(None, {}, [*(f"{key}={value}" for key, value in told.items()), *loss, *plan.settings])


def chunk_of(delay: int) -> int:
    """How many events come between two turns of the labeler."""
    return max(1, min(CHUNK_MOST, delay // 2))


def overspent(places: Sequence[int], budget: float) -> int:
    """By how many queries more than ⌈budget · n⌉ were issued after n events, at worst; 0: never.

    places: for each query, how many events had come with the one that it is about. Counted anew from what was published, in
    whole numbers: 0.07 of 100 events are 7, which 0.07 · 100 is not.
    """
    share = Fraction(str(budget))
    return max((issued - math.ceil(share * place) for issued, place in enumerate(sorted(places), 1)), default=0)


def _append(folder: Path, stream: Part, begin: int, end: int) -> None:
    write(folder / "events.jsonl", [{"id": stream.ids[i], "x": stream.xs[i]} for i in range(begin, end)])


def _answers(stream: Part, begin: int, end: int) -> list[dict[str, object]]:
    return [{"id": stream.ids[i], "y": stream.ys[i]} for i in range(begin, end)]


def _record(
    points: list[Point], daemon: Daemon, evaluation: Evaluation, events: int, place: int, last: bool = False
) -> None:
    """A point where labels were learned since the one before; the last model counts though no label is new."""
    state = daemon.pipeline.state
    if points and points[-1].labels == state.labels and not last:
        return
    quality, fit = evaluation.quality(state, place, daemon.pipeline.standing.transforming), state.published
    if quality is None or fit is None:
        return
    if points and points[-1].labels == state.labels:
        points.pop()
    points.append(Point(events, state.labels, quality.loss, quality.score, fit.regularity, fit.residual))
