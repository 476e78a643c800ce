"""A trainer that reads what scorers pass on learns as one that reads every event, and keeps the budget over all of them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamlearn.config import Queries, Topics
from streamlearn.core import moments
from streamlearn.learner.split import draws
from streamlearn.service.ports import EVENTS, REJECTED
from tests.service.sharing import CONFIGURATION, Sharing

N, CHUNK, WARM, TESTS, PARTITIONS = 2000, 100, 15, 1500, 4
ALONE = replace(CONFIGURATION, topics=Topics(models="models"))


class Stream:
    """Events, what is true of them, and events to test by."""

    def __init__(self, seed: int, values: bool) -> None:
        generator = np.random.default_rng(seed)
        self.X = generator.normal(size=(N + WARM + TESTS, 10))
        z = self.X @ (generator.normal(size=10) * [3, 2, 1, *[0.2] * 7]) + 0.5 * generator.normal(size=len(self.X))
        self.y: list[Any] = z.tolist() if values else (z > 1.0).tolist()
        self.seed, self.values = seed, values

    def events(self, start: int) -> list[dict[str, Any]]:
        return [{"id": f"e{i}", "x": self.X[i].tolist(), "at": i} for i in range(start, start + CHUNK)]

    def play(self, shared: Sharing, scorers: int, hands_over: bool = False) -> Iterator[int]:
        """How many events there were, each time that all is dealt with. No scorers: the trainer reads events itself."""
        chance = random.Random(self.seed)
        shared.learn({"id": f"w{i}", "x": self.X[N + i].tolist(), "y": self.y[N + i]} for i in range(WARM))
        order, running = list(range(PARTITIONS)), list[Any]()
        for start in range(0, N, CHUNK):
            if scorers:
                shared.happen(self.events(start))
                if hands_over or not running:  # those of before are gone, and what they had not ended is read again
                    chance.shuffle(order)
                    running = [shared.scorer(order[k::scorers]) for k in range(scorers)]
                shared.score(running)
            else:
                for event in self.events(start):
                    shared.log.append(EVENTS, json.dumps(event).encode())
            before = len(shared.asked)
            shared.learn()
            yield start + CHUNK
            shared.learn({"id": each["id"], "y": self.y[int(each["id"][1:])]} for each in shared.asked[before:])

    def score(self, shared: Sharing) -> float:
        """Accuracy, or R², on what nobody has seen."""
        fit = shared.trainer.pipeline.state.published
        assert fit is not None
        found = fit.model.loss.prediction(fit.model.outputs(fit.theta, fit.frame.design(self.X[N + WARM :])))
        y = np.array(self.y[N + WARM :], dtype=float)
        if not self.values:
            return float(((found > 0.5) == y).mean())
        return float(1.0 - ((np.array([fit.frame.value(each) for each in found]) - y) ** 2).mean() / y.var())


@pytest.mark.parametrize("values", [False, True])
def test_scorers_that_hand_over_all_the_time_change_neither_the_count_nor_the_budget(values: bool) -> None:
    stream, budget = Stream(1, values), 0.1
    shared = Sharing(Queries(budget=budget, outstanding=1000, seed=1), PARTITIONS)
    standing = shared.trainer.pipeline.standing
    for count in stream.play(shared, 3, hands_over=True):
        assert count == standing.census.events == standing.asking.selector.entitled + _waiting(shared)
        assert len(shared.asked) <= math.ceil(budget * count)
    ids = [each["id"] for each in shared.asked]
    assert len(ids) == len(set(ids)) >= 0.95 * budget * N
    assert 0.1 < standing.asking.selector.audits / len(ids) < 0.3
    again = len(shared.log.inputs[EVENTS]) - standing.ledger.count
    assert again > 0.3 * N, "much was passed on more than once"
    assert [] == shared.log.values(REJECTED)
    seen = moments.closed(standing.state.moments)
    whole = stream.X[: N + WARM]
    assert [N + WARM] * 10 == seen.count.tolist()
    np.testing.assert_allclose(whole.mean(axis=0), seen.mean, atol=1e-12)
    np.testing.assert_allclose(whole.var(axis=0), seen.square / seen.count, rtol=1e-9)


def _waiting(shared: Sharing) -> int:
    sifted = shared.trainer.pipeline.standing.asking.selector.sifted
    assert sifted is not None
    return sifted.waiting


def test_a_sample_of_all_events_is_passed_on_of_which_only_audits_are_asked_about() -> None:
    stream, budget = Stream(2, values=False), 0.1
    shared = Sharing(Queries(budget=budget, outstanding=1000, seed=2), PARTITIONS)
    for _ in stream.play(shared, 2):
        ...
    lines = [json.loads(value) for _, value in shared.log.inputs[EVENTS]]
    reasons = {line["id"]: line["reason"] for line in lines if "id" in line}
    ids = [f"e{i}" for i in range(N)]
    drawn = {id for id, each in zip(ids, draws(ids, 2).audit, strict=True) if each < budget}
    assert drawn <= reasons.keys()
    asked, sample = {each["id"] for each in shared.asked}, {id for id in drawn if reasons[id] == "sample"}
    assert len(sample) > 0.3 * len(drawn)
    assert set() == sample & asked
    assert {"sample", "score", "audit"} == set(reasons.values())


def quality(seed: int, values: bool, scorers: int, chance: int, strategy: str = "auto") -> float:
    """The mean score from a quarter of the stream on; chance: the seed of the audits."""
    stream, queries = Stream(seed, values), Queries(strategy, budget=0.05, outstanding=1000, seed=chance)
    shared = Sharing(queries, PARTITIONS, CONFIGURATION if scorers else ALONE)
    found = [stream.score(shared) for count in stream.play(shared, scorers) if count >= N // 4]
    assert 0.05 * N - len(shared.asked) < 2.0 * math.sqrt(0.05 * N), "the budget's other bound"
    assert not scorers or shared.trainer.pipeline.ledger.count < 0.6 * N
    return float(np.mean(found))


@pytest.mark.parametrize("values", [False, True])
def test_four_scorers_choose_as_well_as_a_trainer_that_reads_every_event(values: bool) -> None:
    """Of candidates it reads half as many events, or fewer."""
    apart = [quality(seed, values, 4, seed) - quality(seed, values, 0, seed) for seed in range(4)]
    assert abs(float(np.mean(apart))) < 0.01, apart


@pytest.mark.soak
@pytest.mark.parametrize("values", [False, True])
def test_what_scorers_cost_is_within_the_noise_of_another_draw(
    values: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    arms, seeds = (
        {"4 scorers": (4, 0, "auto"), "other audits": (0, 1000, "auto"), "chance": (0, 0, "random")},
        range(20),
    )
    found = {name: np.array([quality(s, values, k, s + by, how) for s in seeds]) for name, (k, by, how) in arms.items()}
    apart = {name: each - np.array([quality(s, values, 0, s) for s in seeds]) for name, each in found.items()}
    error = {name: float(each.std(ddof=1)) / math.sqrt(len(seeds)) for name, each in apart.items()}
    with capsys.disabled():
        print(*(f"\n{name}: {100 * each.mean():+.2f} ± {100 * error[name]:.2f}" for name, each in apart.items()))
    assert apart["4 scorers"].mean() > -3.0 * math.hypot(error["4 scorers"], error["other audits"])
    assert apart["chance"].mean() < -2.0 * error["chance"], "else it says nothing"
