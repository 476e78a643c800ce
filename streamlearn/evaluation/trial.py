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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from streamlearn.evaluation.of_users import Judge, OfUser
from streamlearn.evaluation.quality import Evaluation, Quality
from streamlearn.evaluation.rows import Dataset, Part, split
from streamlearn.learner.state import State
from streamlearn.service.daemon import Daemon
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.patience import Stopped

STREAMLEARN, RANDOM, ALL_LABELS = ARMS = ("streamlearn", "random", "all_labels")
CHUNK_MOST = 10
BEGIN_S = 1_750_000_000.0
NO_BUDGET = 1e-9
USERS_EVERY = 10  # labels between two points, where all users' models are judged at each


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
    hindsight: what another λ would have brought at the end; None where that was not asked. users: of each, where there are.
    """

    plan: Plan
    labels: int
    points: tuple[Point, ...]
    asked: tuple[Asked, ...]
    events: int = 0
    overspent: int = 0
    refused: int = 0
    hindsight: Hindsight | None = None
    users: tuple[OfUser, ...] = ()


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
    clock = ManualClock(BEGIN_S)
    daemon = assemble.daemon(
        configuration(plan, dataset.values, folder), Health(), Measurements(), lambda _: True, clock, poll_timeout_s=0.0
    )
    watched = _Watched(dataset, Evaluation(dataset, aside), aside, daemon)
    labeler = Labeler(folder, dict(zip(stream.ids, stream.ys, strict=True)), plan.delay)
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
            watched.record(end, stream.places[end - 1])
            if not watch(end, watched.points[-1] if watched.points else None):
                raise Interrupted
        labeler.finish()
        while daemon.turn():
            pass
        daemon.drain()
        watched.record(len(stream.ids), stream.places[-1], last=True)
    except Stopped as stopped:
        raise StreamlearnError(str(stopped.__cause__)) from None  # the disk: a demo does not wait for it
    finally:
        daemon.close()
    state, last = daemon.pipeline.state, stream.places[-1]
    labels = state.labels
    if not watched.points:
        raise StreamlearnError(f"{labels} labels brought no model of {dataset.name}; give more: raise --budget")
    count = {id: i for i, id in enumerate(stream.ids, 1)}
    spent = overspent([count[each.id] for each in labeler.asked], plan.budget)
    learner = daemon.pipeline.standing.rules.learner
    seen = hindsight.of(state, learner, lambda each: watched.quality(each, last)) if look_back else None
    points, asked = tuple(watched.points), tuple(labeler.asked)
    answered = stream.ids if plan.arm == ALL_LABELS else [each.id for each in asked]
    gave = Counter(stream.users[count[id] - 1] for id in answered) if stream.users else Counter[str]()
    return Outcome(plan, labels, points, asked, len(stream.ids), spent, hindsight=seen, users=watched.of_users(gave))


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
    lines: list[dict[str, object]] = [{"id": stream.ids[i], "x": stream.xs[i]} for i in range(begin, end)]
    for line, user in zip(lines, stream.users[begin:end], strict=False):  # no users, or one a line
        line["user"] = user
    write(folder / "events.jsonl", lines)


def _answers(stream: Part, begin: int, end: int) -> list[dict[str, object]]:
    return [{"id": stream.ids[i], "y": stream.ys[i]} for i in range(begin, end)]


@final
class _Watched:
    """The daemon's model as it comes along: on rows of users each is judged by what their user gets."""

    def __init__(self, dataset: Dataset, evaluation: Evaluation, aside: Part, daemon: Daemon) -> None:
        self._daemon, self._evaluation = daemon, evaluation
        self._judge = Judge(evaluation, aside, daemon.pipeline.standing.rules.learner) if dataset.users else None
        self.points = list[Point]()

    def quality(self, state: State, place: int) -> Quality | None:
        if self._judge is not None:
            return self._judge.quality(state)
        return self._evaluation.quality(state, place, self._daemon.pipeline.standing.transforming)

    def record(self, events: int, place: int, last: bool = False) -> None:
        """A point where labels were learned since the one before; the last model counts though no label is new."""
        state, known = self._daemon.pipeline.state, self.points[-1].labels if self.points else -1
        every = 1 if self._judge is None else USERS_EVERY
        if not last and state.labels < known + every:
            return
        quality, fit = self.quality(state, place), state.published
        if quality is None or fit is None:
            return
        if known == state.labels:
            self.points.pop()
        self.points.append(Point(events, state.labels, quality.loss, quality.score, fit.regularity, fit.residual))

    def of_users(self, labels: Mapping[str, int]) -> tuple[OfUser, ...]:
        return () if self._judge is None else self._judge.of_each(self._daemon.pipeline.state, labels)
