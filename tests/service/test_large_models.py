"""Models that are too large for an inverse Hessian, in the whole pipeline: who acts, near-duplicates, restarts.

What is too large is told by two numbers of `learner/inverse.py`, which are set so low here that small models are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from streamlearn.config import Configuration
from streamlearn.learner import inverse
from streamlearn.queries.choose import STRATEGIES
from streamlearn.service.explain import explain
from streamlearn.service.ports import EVENTS, Record
from tests.laws import logs
from tests.service.test_strategies import again, compare_with_restarts, scores, three, value

Regime = Callable[[str], Configuration]


@pytest.fixture
def last_layer(monkeypatch: pytest.MonkeyPatch) -> Regime:
    """A network that is too large, and its last layer is not."""
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    return lambda strategy: logs.configuration(strategy=strategy, kind="mlp")


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Regime:
    """A linear model that is too large."""
    monkeypatch.setattr(inverse, "FORMED_MOST", 0)
    return lambda strategy: logs.configuration(strategy=strategy, solver="cg")


@pytest.fixture
def wide_layer(monkeypatch: pytest.MonkeyPatch, wide: Regime) -> Regime:
    """A network that is too large, as is its last layer."""
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    return lambda strategy: logs.configuration(strategy=strategy, kind="mlp")


@pytest.fixture(params=["last_layer", "wide", "wide_layer"])
def regime(request: pytest.FixtureRequest) -> Regime:
    found: Regime = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("strategy", ["leverage", "v-optimality", "informed", "committee", "ssi"])
def test_of_a_network_a_strategy_acts_by_the_last_layer(strategy: str, last_layer: Regime) -> None:
    trial = logs.trial(last_layer(strategy))
    trial.poll(logs.stream(60, answer=three))
    judged = scores(trial, strategy)
    assert len(judged) > 10
    assert all(math.isfinite(score) and score >= 0.0 for score in judged)
    assert len(set(judged)) > 10


def test_of_values_too(last_layer: Regime) -> None:
    trial = logs.trial(last_layer("auto"))
    trial.poll(logs.stream(60, answer=value))
    assert len(set(scores(trial, "v-optimality"))) > 10


@pytest.mark.parametrize("strategy", ["leverage", "committee", "uncertainty"])
def test_where_no_inverse_can_be_formed_who_needs_it_gives_way(strategy: str, wide: Regime, wide_layer: Regime) -> None:
    for told in (wide(strategy), wide_layer(strategy)):
        trial = logs.trial(told)
        trial.poll(logs.stream(60, answer=three))
        assert scores(trial, "sld" if STRATEGIES[strategy].needs_inverse else strategy)


def test_neither_polls_nor_restarts_change_what_is_asked(regime: Regime) -> None:
    told = regime("uncertainty")
    told = replace(told, queries=replace(told.queries, shadows=("informed", "ssi", "sld")))
    told = replace(told, topics=replace(told.topics, predictions="p"), training=replace(told.training, keep=20))
    compare_with_restarts(told, logs.stream(90, answer=three))


@pytest.mark.parametrize("solver", ["cg", "sgdf"])
def test_nor_do_they_where_the_inverse_is_formed_of_a_linear_model(solver: str) -> None:
    told = logs.configuration(strategy="v-optimality", solver=solver, keep=20)
    compare_with_restarts(told, logs.stream(90, answer=three))


def test_of_near_duplicates_in_one_batch_the_second_is_worth_less_unless_pending_queries_are_not_counted(
    regime: Regime,
) -> None:
    told = regime("uncertainty")
    told = replace(told, queries=replace(told.queries, budget=1.0, audit_share=0.0, outstanding=50))
    for counts in (True, False):
        trial = logs.trial(replace(told, queries=replace(told.queries, count_pending="always" if counts else "never")))
        trial.poll(logs.stream(60, answer=three))
        asked = len(trial.queries)
        trial.poll([again(i) for i in range(4)])
        found = [json.loads(query)["score"] for query in trial.queries[asked:]]
        assert len(found) > 2
        assert all(after < before for before, after in pairwise(found)) == counts
        assert counts or len(set(found)) == 1


def test_of_a_crowd_of_near_duplicates_fewer_are_asked_about(regime: Regime) -> None:
    asked = {}
    for counts in (True, False):
        told = regime("uncertainty")
        queries = replace(
            told.queries, count_pending="always" if counts else "never", budget=0.3, audit_share=0.0, outstanding=1000
        )
        trial = logs.trial(replace(told, queries=queries))
        trial.poll(logs.stream(60, answer=three))
        before = len(trial.queries)
        trial.poll(among_others())
        asked[counts] = sum("again" in json.loads(query)["id"] for query in trial.queries[before:])
    assert 0 < asked[True] < 0.7 * asked[False]


def among_others() -> list[Record]:
    """The same event thirty times, on the border between two classes, among thirty others."""
    others = [record for record in logs.stream(30, seed=5, delay=30) if record.role == EVENTS]
    for i, record in enumerate(others):
        renamed = json.loads(record.value or b"") | {"id": f"other-{i}", "time": 700.0}
        others[i] = record._replace(value=json.dumps(renamed).encode())
    return [record for pair in zip(map(again, range(30)), others, strict=True) for record in pair]


def test_an_event_can_be_explained_by_what_was_scored(regime: Regime) -> None:
    told = regime("uncertainty")
    queries = replace(told.queries, budget=1.0, audit_share=0.0, outstanding=50, count_pending="always")
    trial = logs.trial(replace(told, queries=queries))
    trial.poll(logs.stream(60, answer=three))
    trial.poll([again(0), again(1)])
    first, second = (explain(trial.pipeline, f"again-{i}") for i in range(2))
    assert second.score == pytest.approx(json.loads(trial.queries[-1])["score"], rel=1e-4)
    assert second.score_alone == pytest.approx(first.score_alone, rel=1e-6)
    assert second.score is not None
    assert second.score_alone is not None
    assert second.score < second.score_alone
    assert second.moved_by
    assert second.nearest


def test_of_a_strategy_that_does_not_look_at_it_no_inverse_is_formed_unless_it_is_to_rest() -> None:
    told = logs.configuration(strategy="random", solver="cg")
    for rest_below, there in ((0.0, False), (1e-9, True)):
        trial = logs.trial(replace(told, queries=replace(told.queries, rest_below=rest_below)))
        trial.poll(logs.stream(60))
        pipeline = trial.pipeline
        assert (pipeline.standing.asking.outlook.watch(pipeline.state, pipeline.ledger) is not None) == there


def test_of_a_network_uncertainty_is_not_discounted_by_the_last_layer_unless_it_is_said(last_layer: Regime) -> None:
    told = last_layer("uncertainty")
    found = {}
    for said in ("auto", "always", "never"):
        trial = logs.trial(replace(told, queries=replace(told.queries, count_pending=said)))
        trial.poll(logs.stream(90, answer=three))
        found[said] = trial.queries
    assert found["auto"] == found["never"]
    assert found["auto"] != found["always"]
