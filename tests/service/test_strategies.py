"""Every strategy in the whole pipeline: it acts, its scores are numbers, neither polls nor a restart change what it asks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from streamlearn import assemble
from streamlearn.config import Configuration
from streamlearn.learner import inverse
from streamlearn.queries.benefit import Benefit
from streamlearn.queries.choose import STRATEGIES
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.outlook import Outlook
from streamlearn.service.ports import EVENTS, LABELS, PREDICTIONS, Record
from tests.laws import logs
from tests.laws.logs import Trial


def three(score: float) -> object:
    return "low" if score < -1.0 else "high" if score > 1.0 else "middle"


def value(score: float) -> object:
    return score


def count(score: float) -> object:
    return max(0, round(2.0 + score))


PROBLEMS: dict[str, Callable[[float], object]] = {
    "logistic": logs.yes_or_no,
    "softmax": three,
    "squared": value,
    "poisson": count,
}
EVERY_STRATEGY = pytest.mark.parametrize("strategy", sorted(STRATEGIES))


def scores(trial: Trial, acting: str) -> list[float]:
    """Of queries by score that the strategy judged; all name it."""
    asked = [json.loads(query) for query in trial.queries]
    assert {acting} == {query["strategy"] for query in asked[len(asked) // 2 :]}
    return [query["score"] for query in asked if query["strategy"] == acting and query["score"] is not None]


@EVERY_STRATEGY
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_acts_with_scores_that_are_numbers_and_differ(strategy: str, problem: str) -> None:
    trial = logs.trial(logs.configuration(strategy=strategy, loss=problem))
    trial.poll(logs.stream(80, answer=PROBLEMS[problem]))
    of_values = problem in ("squared", "poisson")
    judged = scores(trial, "sld" if of_values and STRATEGIES[strategy].needs_classes else strategy)
    assert len(judged) > 10
    assert all(math.isfinite(score) and score >= 0.0 for score in judged)
    assert len(set(judged)) > 10 or strategy == "periodic"


@EVERY_STRATEGY
def test_without_an_inverse_hessian_it_acts_or_the_squared_loss_derivative_does(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverse, "FORMED_MOST", 0)
    trial = logs.trial(logs.configuration(strategy=strategy, solver="sgdf"))
    trial.poll(logs.stream(80))
    assert len(scores(trial, "sld" if STRATEGIES[strategy].needs_inverse else strategy)) > 10


@EVERY_STRATEGY
def test_neither_polls_nor_restarts_change_what_is_asked(strategy: str) -> None:
    told = logs.configuration(strategy=strategy, keep=20)
    compare_with_restarts(told, logs.stream(90, answer=three))


@pytest.mark.parametrize("remember", [100_000, 150, 20])
def test_neither_do_they_change_which_recent_events_are_looked_at(remember: int) -> None:
    told = logs.configuration(strategy="informed", remember=remember)
    compare_with_restarts(told, logs.stream(400))


def test_nor_do_they_where_one_of_those_is_forgotten() -> None:
    """It has no label, so the model stays where it is."""
    forget = Record(LABELS, 0, 9000, 9001, None, json.dumps({"id": "s83", "y": None}).encode())
    log = [*logs.stream(150), *map(again, range(5)), forget, *map(again, range(5, 90))]
    compare_with_restarts(logs.configuration(strategy="v-optimality"), log)


def predictions(trial: Trial) -> list[bytes]:
    return [message.value for message in trial.published if message.role == PREDICTIONS]


def compare_with_restarts(told: Configuration, log: list[Record]) -> None:
    whole, cut = logs.trial(told), logs.trial(told)
    whole.poll(log)
    for start in range(0, len(log), 41):
        cut.poll(log[start : start + 41])
        pipeline = assemble.pipeline(told, cut.store.recall, Measurements())
        restore.put_back(pipeline, cut.store.load())
        cut = Trial(pipeline, cut.store, cut.published)
    assert whole.queries == cut.queries
    assert predictions(whole) == predictions(cut)
    assert restore.digest(whole.pipeline) == restore.digest(cut.pipeline)


@pytest.mark.parametrize("strategy", ["uncertainty", "leverage", "v-optimality"])
def test_the_same_question_is_worth_less_while_it_is_unanswered_unless_pending_queries_are_not_counted(
    strategy: str,
) -> None:
    told = logs.configuration(strategy=strategy)
    told = replace(told, queries=replace(told.queries, budget=1.0, audit_share=0.0, outstanding=50))
    for counts in (True, False):
        trial = logs.trial(replace(told, queries=replace(told.queries, count_pending="auto" if counts else "never")))
        trial.poll(logs.stream(60))
        asked = len(trial.queries)
        trial.poll([again(i) for i in range(4)])
        scores = [json.loads(query)["score"] for query in trial.queries[asked:]]
        assert len(scores) > 2
        falling = all(after < before for before, after in pairwise(scores))
        assert falling == counts
        assert counts or len(set(scores)) == 1


def again(number: int) -> Record:
    value = {"id": f"again-{number}", "x": [0.5, -0.4, 0.3, 0.2], "time": 700.0}
    return Record(EVENTS, 0, 1000 + number, 1001 + number, None, json.dumps(value).encode())


def test_where_a_label_buys_too_little_only_audits_are_asked_and_a_restart_changes_nothing() -> None:
    told = logs.configuration()
    told = replace(told, queries=replace(told.queries, rest_below=1e6))
    log = logs.stream(400)
    compare_with_restarts(told, log)
    trial = logs.trial(told)
    trial.poll(log)
    reasons = [json.loads(query)["reason"] for query in trial.queries]
    assert set(reasons[10:]) == {"audit"}  # before, there was no model to tell what a label buys
    assert len(reasons) > 20
    assert trial.pipeline.standing.asking.outlook.resting


def test_a_label_that_buys_less_than_nothing_by_rounding_lets_nobody_rest_who_was_not_told_to() -> None:
    for rest_below, rests in ((0.0, False), (1e-9, True)):
        outlook = Outlook(assemble.learner_settings(logs.configuration()), "auto", rest_below)
        outlook.benefit = Benefit(0.0, -1e-20)
        assert outlook.resting == rests


SHADOWS = ("leverage", "v-optimality", "flip", "auto")


def test_a_strategy_in_the_shadow_says_what_it_would_say_if_it_acted_on_the_same_model() -> None:
    """The acting one is in its own shadow: there it says the same, and asks the same, but for audits and the cap."""
    told = logs.configuration(strategy="uncertainty")
    told = replace(told, queries=replace(told.queries, shadows=("uncertainty", "flip"), outstanding=100))
    trial, plain = logs.trial(told), logs.trial(replace(told, queries=replace(told.queries, shadows=())))
    log = logs.stream(300)
    trial.poll(log)
    plain.poll(log)
    assert [without_shadows(query) for query in trial.queries] == [json.loads(query) for query in plain.queries]
    queries = [json.loads(query) for query in trial.queries]
    assert len(queries) > 80
    others = set()
    for query in queries:
        own, other = query["shadows"]
        assert (own["strategy"], other["strategy"]) == ("uncertainty", "flip")
        assert own["score"] == query["score"]
        assert own["asks"]
        others.add(other["asks"])
    assert others == {True, False}


def without_shadows(query: bytes) -> dict[str, object]:
    fields: dict[str, object] = json.loads(query)
    del fields["shadows"]
    return fields


def test_neither_polls_nor_restarts_change_what_shadows_say() -> None:
    told = logs.configuration(strategy="uncertainty", keep=20)
    told = replace(told, queries=replace(told.queries, shadows=SHADOWS), topics=replace(told.topics, predictions="p"))
    compare_with_restarts(told, logs.stream(300, answer=three))


def test_of_values_a_shadow_that_needs_classes_is_the_squared_loss_derivative() -> None:
    told = logs.configuration(loss="squared")
    trial = logs.trial(replace(told, queries=replace(told.queries, shadows=SHADOWS)))
    trial.poll(logs.stream(80, answer=value))
    last = json.loads(trial.queries[-1])["shadows"]
    assert ["leverage", "v-optimality", "sld", "v-optimality"] == [shadow["strategy"] for shadow in last]
