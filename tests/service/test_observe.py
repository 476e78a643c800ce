"""What the metrics say of a daemon in memory, against its state reckoned another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

import numpy as np
import pytest

from streamlearn import assemble
from streamlearn.config import Configuration, Queries, Users
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.learner.fit import Fit
from streamlearn.service.daemon import Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.observe import effective
from streamlearn.service.ports import EVENTS, LABELS, QUERIES

TOLD = replace(Configuration(), queries=Queries(budget=0.2, strategy="uncertainty"))


@final
class World:
    """A daemon that has learned 60 labels and scored 300 events."""

    def __init__(self, told: Configuration = TOLD) -> None:
        self.log, self.clock = MemoryLog(), ManualClock(1e9)
        self.health, self.measured = Health(), Measurements()
        ports = Ports(MemorySource(self.log, waits=False), MemorySink(self.log), MemoryStore(), self.clock)
        self.daemon = assemble.daemon_on(ports, told, self.health, self.measured, lambda _: False, 0.0)
        rng, self.rng = np.random.default_rng(1), np.random.default_rng(2)
        for i in range(60):
            x = rng.normal(size=3)
            weight = 1.0 + i % 4
            self.tell(LABELS, id=f"l{i}", x=x.tolist(), y="ham" if x[0] > 0 else "spam", weight=weight)
        self.daemon.start()
        self.events(300)

    def tell(self, role: str, **fields: Any) -> None:
        self.log.append(role, json.dumps(fields).encode())

    def events(self, count: int) -> None:
        seen = self.daemon.pipeline.ledger.count
        for i in range(count):
            self.tell(EVENTS, id=f"e{seen + i}", x=self.rng.normal(size=3).tolist())
        while self.daemon.turn():
            ...

    def gauge(self, name: str, *labels: str) -> float:
        self.measured.age(self.clock.monotonic())
        return self.measured.snapshot()[f"streamlearn_{name}"][labels]

    @property
    def fit(self) -> Fit:
        fit = self.daemon.pipeline.state.published
        assert fit is not None
        return fit


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_of_a_fit_that_does_not_move_with_the_regularity_complexity_is_everybodys_and_no_alarm_is_false() -> None:
    world = World(replace(TOLD, users=Users("hierarchy")))
    assert world.fit.everybody is not None
    assert world.gauge("complexity") == world.fit.everybody.complexity > 0.0
    assert 0.0 == world.gauge("tangent_residual") == world.gauge("tangent_norm")
    assert 1.0 == world.gauge("tangent_trusted")
    assert world.health.readiness() == {}


def test_the_model(world: World) -> None:
    assert world.gauge("complexity") == pytest.approx(0.5 * float(world.fit.theta[1:] @ world.fit.theta[1:]))
    assert world.gauge("regularity") == world.fit.regularity
    assert world.gauge("theta_norm") == pytest.approx(np.linalg.norm(world.fit.theta))
    assert 0.6 < world.gauge("progressive_score") <= 1.0


def test_labels_of_unequal_weight_count_as_fewer(world: World) -> None:
    weights = np.array([1.0 + i % 4 for i in range(60)])
    assert world.gauge("effective_examples") == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert world.gauge("effective_examples") < 60 == world.gauge("examples", "train")
    assert (effective(np.ones(7)), effective(np.array([3.0, 0.0])), effective(np.empty(0))) == (7.0, 1.0, 0.0)


def test_every_event_that_was_scored_is_in_the_histogram_and_queries_are_above_1(world: World) -> None:
    found = world.measured.distributions()["streamlearn_score_ratio"][()]
    before = sum(found.counts)
    assert 250 <= before <= 300, "but for the first, when there was no score to compare with"
    world.events(50)
    now = world.measured.distributions()["streamlearn_score_ratio"][()]
    assert sum(now.counts) == before + 50
    by_score = world.gauge("queries_issued_total", "score")
    assert 0.5 * by_score < sum(now.counts[7:]) + now.counts[6]


def test_how_long_answers_took() -> None:
    world = World()
    asked = [json.loads(message.value)["id"] for message in world.log.outputs[QUERIES]]
    for id, after_s in ((asked[0], 30.0), (asked[1], 600.0)):
        world.clock.advance(after_s)
        world.tell(LABELS, id=id, y="ham")
        world.daemon.turn()
    found = world.measured.distributions()["streamlearn_query_answer_seconds"][()]
    assert (sum(found.counts), found.total) == (2, 660.0)


def test_commits() -> None:
    world = World()
    commits = world.gauge("commits_total")
    assert sum(world.measured.distributions()["streamlearn_commit_duration_seconds"][()].counts) == commits > 0
    assert world.gauge("commit_bytes") > 1000
    world.clock.advance(7.0)
    assert world.gauge("commit_age_seconds") == 7.0


def broken_theta(fit: Fit) -> Fit:
    return replace(fit, theta=np.full_like(fit.theta, np.nan))


def exploded_tangent(fit: Fit) -> Fit:
    return replace(fit, log_tangent=np.full_like(fit.log_tangent, 1e300))


def broken_regularity(fit: Fit) -> Fit:
    return replace(fit, regularity=np.inf)


@pytest.mark.parametrize(
    ("breaks", "named"),
    [(broken_theta, "theta"), (exploded_tangent, "its tangent"), (broken_regularity, "lambda")],
)
def test_numbers_that_are_none_make_it_unready_until_they_are(breaks: Callable[[Fit], Fit], named: str) -> None:
    world = World()
    standing, whole = world.daemon.pipeline.standing, world.fit
    standing.state = replace(standing.state, published=breaks(whole))
    world.daemon.turn()
    assert {"numbers": f"of the model in use {named} is not finite, or its square is not"} == world.health.readiness()
    assert world.gauge("ready", "numbers") == 0.0
    standing.state = replace(standing.state, published=whole)
    world.daemon.turn()
    assert {} == world.health.readiness()
    assert world.gauge("ready", "numbers") == 1.0
