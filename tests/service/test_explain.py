"""What is told of an event, against what happens: the query that was published, a feature left out, a label taken back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from streamlearn.config import Configuration, Features, Model, Regularity
from streamlearn.errors import ConfigurationError
from streamlearn.service import fits
from streamlearn.service.explain import explain
from streamlearn.service.ports import EVENTS, LABELS, Record
from tests.laws import logs
from tests.laws.logs import Trial
from tests.service.test_strategies import three

X = [0.4, -0.3, 0.2, 0.1]


def told(**options: str) -> Configuration:
    """λ and features stay as they are, so that a label taken back takes back nothing else."""
    made = logs.configuration(**options)  # type: ignore[arg-type]  # texts all
    queries = replace(made.queries, budget=1.0, audit_share=0.0, outstanding=1000)
    return replace(
        made,
        queries=queries,
        features=Features(standardise=False),
        regularity=Regularity(learn=False, fixed=0.05),
    )


def event(id: str, x: list[float | None]) -> Record:
    return record(EVENTS, {"id": id, "x": x, "time": 9e5})


def record(role: str, value: dict[str, object]) -> Record:
    return Record(role, 0, 5000, 5001, None, json.dumps(value).encode())


def value(score: float) -> object:
    return score


def taught(configuration: Configuration, answer: object = logs.yes_or_no) -> Trial:
    trial = logs.trial(configuration)
    trial.poll(logs.stream(120, answer=answer))  # type: ignore[arg-type]  # one of two functions
    return trial


@pytest.mark.parametrize("strategy", ["uncertainty", "leverage", "sld", "v-optimality", "flip"])
def test_the_score_is_the_one_that_was_published_when_it_was_asked(strategy: str) -> None:
    trial = taught(told(strategy=strategy))
    trial.poll([event("asked", [*X])])
    query = json.loads(trial.queries[-1])
    found = explain(trial.pipeline, "asked")
    assert (found.stands, found.reason, found.strategy) == ("asked", "score", query["strategy"])
    assert found.score == pytest.approx(query["score"], rel=1e-6)
    assert found.threshold == query["threshold"]
    assert found.prediction == query["prediction"]


def test_other_queries_under_way_lower_a_score() -> None:
    trial = taught(told(strategy="leverage"))
    trial.poll([event(f"before-{i}", [*X]) for i in range(3)] + [event("asked", [*X])])
    found = explain(trial.pipeline, "asked")
    assert found.score is not None
    assert found.score_alone is not None
    assert found.score < 0.95 * found.score_alone


def test_what_moved_the_score_is_the_score_without_the_feature() -> None:
    trial = taught(told(strategy="leverage"))
    trial.poll([event("whole", [*X])])
    scores = dict(explain(trial.pipeline, "whole").moved_by)
    assert set(scores) == {"x0", "x1", "x2", "x3"}
    for name, score in scores.items():
        other = taught(told(strategy="leverage"))
        other.poll([event("without", [None if name == f"x{i}" else x for i, x in enumerate(X)])])
        assert score == pytest.approx(json.loads(other.queries[-1])["score"], rel=0.02)  # one event more in the means


@pytest.mark.parametrize("answer", [logs.yes_or_no, value], ids=["classes", "values"])
@pytest.mark.parametrize("solver", ["newton", "cg"])
def test_influence_is_what_is_gone_when_the_label_is_taken_back(answer: object, solver: str) -> None:
    trial = taught(told(solver=solver), answer)
    trial.poll([event("asked", [*X])])
    found = explain(trial.pipeline, "asked")
    assert len(found.nearest) == 5
    for id, label, influence in found.nearest[:3]:
        other = taught(told(solver=solver), answer)
        before = output(other)
        serial = other.pipeline.ledger.labeled[id]
        assert label == other.pipeline.state.examples.y[serial]
        other.poll([record(LABELS, {"id": id, "y": None})])
        sign = 1.0 if found.prediction is not False else -1.0
        assert sign * (before - output(other)) == pytest.approx(influence, rel=0.2)


def output(trial: Trial) -> float:
    fit = trial.pipeline.state.published
    assert fit is not None
    f = fit.model.outputs(fit.theta, fit.frame.design(np.array([X])))[0, 0]
    return float(f if fit.model.loss.of_classes else fit.frame.value(float(f)))


def test_the_nearest_are_the_strongest_of_all() -> None:
    trial = taught(told())
    trial.poll([event("asked", [*X])])
    strengths = [abs(influence) for _, _, influence in explain(trial.pipeline, "asked").nearest]
    assert strengths == sorted(strengths, reverse=True)


def test_a_labeled_and_a_remembered_event_are_told_too() -> None:
    trial = taught(told())
    labeled = explain(trial.pipeline, "s10")
    assert (labeled.stands, labeled.reason) == ("labeled", None)
    assert labeled.label in (True, False)
    quiet = logs.trial(replace(told(), queries=replace(told().queries, budget=0.01)))
    quiet.poll(logs.stream(60))
    quiet.poll([event("quiet", [*X])])
    assert explain(quiet.pipeline, "quiet").stands == "remembered"


def test_before_there_is_a_model_little_can_be_said() -> None:
    trial = logs.trial(told())
    trial.poll([event("first", [*X])])
    found = explain(trial.pipeline, "first")
    assert (found.stands, found.prediction, found.score, found.nearest) == ("asked", None, None, [])


def test_of_an_event_that_is_not_kept_one_line_says_so() -> None:
    with pytest.raises(ConfigurationError, match="nothing is kept of event 'nobody'"):
        explain(taught(told()).pipeline, "nobody")


@pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])
def test_an_example_whose_class_is_new_since_the_fit_says_nothing_of_it(solver: str) -> None:
    """While learning is paused its label was replaced."""
    trial = taught(told(solver=solver), three)
    trial.pipeline.standing.learning_paused = True
    trial.poll([record(LABELS, {"id": "s100", "y": "new", "x": [*X]}), event("asked", [*X])])
    found = explain(trial.pipeline, "asked")
    assert len(found.nearest) == 5
    assert "new" not in [label for _, label, _ in found.nearest]


def test_an_earlier_fit_of_fewer_classes_is_explained_too() -> None:
    trial = taught(told(), three)
    kept = fits.Kept(trial.pipeline.state.fit, trial.pipeline.state.published, trial.pipeline.state.tuner)
    trial.poll([record(LABELS, {"id": f"new-{i}", "y": "new", "x": [*X]}) for i in range(3)] + [event("asked", [*X])])
    standing = trial.pipeline.standing
    standing.state = fits.back(standing.state, standing.rules.learner, kept)
    standing.asking.outlook.moved()
    assert "new" not in [label for _, label, _ in explain(trial.pipeline, "asked").nearest]


def test_of_tokens_those_that_are_there_are_taken_away() -> None:
    made = logs.configuration()
    tokens = replace(
        made,
        model=Model("embedding-bag", vocabulary=20, hidden=(3,)),
        features=Features("tokens", length=6),
        queries=replace(made.queries, count_pending="never"),
    )
    trial = logs.trial(tokens)
    trial.poll([record(LABELS, {"id": f"l{i}", "y": i % 2 == 0, "x": [i % 2, 5]}) for i in range(40)])
    trial.poll([event("whole", [1, 5, 7]), event("shorter", [1, 5])])
    moved = dict(explain(trial.pipeline, "whole").moved_by)
    assert set(moved) == {"t0", "t1", "t2"}
    assert moved["t2"] == pytest.approx(explain(trial.pipeline, "shorter").score, rel=1e-6)
