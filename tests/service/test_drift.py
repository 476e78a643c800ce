"""A stream that changes is noticed, by labels and by events, whatever the polls and restarts, and something is done then."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlearn import assemble, cli
from streamlearn.config import Configuration, Drift, Queries, Users
from streamlearn.edges.memory import ManualClock
from streamlearn.learner import learner
from streamlearn.service import restore
from streamlearn.service.detectors import KEPT_MOST, Watch, change
from streamlearn.service.drift import LOSS, SCORE
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Record
from tests.end_to_end.daemon_process import append
from tests.laws import logs
from tests.laws.logs import Trial
from tests.laws.test_snapshots import restarted

EVENTS_COUNT, CHANGE = 2200, 1400


@cache
def stream(flips: bool = False, spreads: bool = False, users: int = 1) -> tuple[Record, ...]:
    """Every fourth event has its label, which nobody asked for. From `CHANGE` on labels are flipped, or events spread."""
    rng, records = np.random.default_rng(3), list[Record]()
    for i in range(EVENTS_COUNT):
        late = i >= CHANGE
        x = rng.normal(size=3) * (3.0 if late and spreads else 1.0)
        y = bool((x.sum() + 0.5 * rng.normal() > 0.0) != (late and flips))
        event = {"id": f"e{i}", "user": i % users, "x": x.tolist(), "time": float(i)}
        told: list[tuple[str, dict[str, Any]]] = [(EVENTS, event)]
        if i % 4 == 0:
            told.append((LABELS, {"id": f"e{i}", "y": y, "time": float(i)}))
        records += [Record(role, 0, i, i + 1, None, json.dumps(value).encode()) for role, value in told]
    return tuple(records)


def told(**drift: Any) -> Configuration:
    return replace(Configuration(), drift=Drift(**drift), queries=Queries(budget=0.3, expire_s=1e9, outstanding=10_000))


def played(configuration: Configuration, records: tuple[Record, ...], size: int = 500, restarts: bool = False) -> Trial:
    trial = logs.trial(configuration)
    for start in range(0, len(records), size):
        trial.poll(records[start : start + size])
        if restarts:
            trial = restarted(trial, configuration)
    return trial


def alarms(trial: Trial) -> dict[str, int]:
    return {count.signal: count.alarms for count in trial.pipeline.standing.drift.counts}


@pytest.mark.parametrize("name", KEPT_MOST)
def test_a_watch_that_was_built_again_says_what_one_that_never_stopped_does(name: str) -> None:
    rng, most = np.random.default_rng(0), KEPT_MOST[name]
    values = np.concatenate([rng.random(most + 60) * 0.5, 0.4 + rng.random(150) * 0.6, rng.random(100) * 0.4]).tolist()
    whole, part, found = Watch(name, 1), Watch(name, 1), list[int]()
    for mark, value in enumerate(values):
        if mark % 97 == 0:
            kept = part.kept()
            part = Watch(name, 1)
            part.restore(kept)
        since = whole.feed(value, mark)
        assert since == part.feed(value, mark)
        found += [] if since is None else [since]
        assert len(whole.kept().values) <= most
    assert any(abs(since - (most + 60)) < 15 for since in found)


def test_a_fall_is_no_alarm_where_only_a_rise_is() -> None:
    rng = np.random.default_rng(0)
    falls = np.concatenate([0.5 + rng.random(200) * 0.5, rng.random(200) * 0.5]).tolist()
    either, rises = Watch("adwin", 0), Watch("adwin", 0, falls=False)
    assert [mark for mark, value in enumerate(falls) if either.feed(value, mark) is not None]
    assert [] == [mark for mark, value in enumerate(falls) if rises.feed(value, mark) is not None]
    assert [] != [mark for mark, value in enumerate(falls[:150]) if rises.feed(value, 400 + mark) is not None]


def test_a_change_is_placed_where_the_means_differ_most() -> None:
    values = np.array([0.1, 0.2] * 20 + [0.8, 0.9] * 10)
    place, rise = change(values)
    assert 40 == place
    assert rise == pytest.approx(0.7)
    assert change(-values)[1] == pytest.approx(-0.7)


def test_nothing_is_noticed_where_nothing_changes() -> None:
    assert {LOSS: 0, SCORE: 0} == alarms(played(told(), stream()))


def test_a_flip_of_labels_is_noticed_by_their_loss_alone_and_placed() -> None:
    trial = played(told(), stream(flips=True))
    assert {LOSS: 1, SCORE: 0} == alarms(trial)
    last = trial.pipeline.standing.drift.last
    assert last is not None
    assert CHANGE < last.events < CHANGE + 300
    assert abs(last.since - CHANGE / 4) < 15


@pytest.mark.parametrize("kind", ["none", "hierarchy"])
def test_a_spread_of_events_is_noticed_by_their_scores_and_placed(kind: str) -> None:
    trial = played(replace(told(), users=Users(kind)), stream(spreads=True, users=5))
    assert alarms(trial)[SCORE] >= 1
    last = trial.pipeline.standing.drift.last
    assert last is not None
    assert SCORE == last.signal
    assert abs(last.since - CHANGE) < 64


def test_by_name_none_watches_nothing() -> None:
    trial = played(told(detector="none"), stream(flips=True))
    assert {} == alarms(trial)
    assert 0 == len(trial.pipeline.standing.drift.kept().loss.values)


@pytest.mark.parametrize("response", ["none", "audit", "forget"])
@pytest.mark.parametrize("flips", [True, False])
def test_neither_polls_nor_restarts_change_anything(response: str, flips: bool) -> None:
    configuration, records = told(response=response), stream(flips=flips, spreads=not flips)
    whole = played(configuration, records, len(records))
    assert sum(alarms(whole).values()) >= 1
    for other in (played(configuration, records, 37), played(configuration, records, 211, restarts=True)):
        assert whole.queries == other.queries
        assert restore.digest(whole.pipeline) == restore.digest(other.pipeline)
        assert whole.pipeline.standing.drift.last == other.pipeline.standing.drift.last


def test_neither_do_they_where_scorers_sift() -> None:
    records = tuple(logs.sifted(1, list(stream(flips=True, spreads=True))))
    topics, queries = (
        replace(Configuration().topics, candidates="candidates"),
        replace(told().queries, budget=0.9, audit_share=0.9),
    )
    configuration = replace(told(response="forget"), topics=topics, queries=queries)
    whole = played(configuration, records, len(records))
    assert whole.pipeline.standing.drift.kept().fair > 300
    assert alarms(whole)[LOSS] >= 1
    other = played(configuration, records, 211, restarts=True)
    assert whole.queries == other.queries
    assert restore.digest(whole.pipeline) == restore.digest(other.pipeline)


def test_labels_that_a_score_has_asked_for_are_not_looked_at() -> None:
    """Of answers to queries, audits are; what came without a query is."""
    trial, answers, audits = logs.trial(told()), list[bytes](), 0
    for start in range(0, 600, 50):
        trial.poll([each for each in stream() if each.role == EVENTS][start : start + 50])
        new = [json.loads(query) for query in trial.queries[len(answers) :]]
        answers += trial.queries[len(answers) :]
        known = trial.pipeline.state.published is not None
        labels = [json.dumps({"id": query["id"], "y": int(query["id"][1:]) % 2 == 0}).encode() for query in new]
        trial.poll([Record(LABELS, 0, 0, 0, None, label) for label in labels])
        audits += sum(query["reason"] == "audit" for query in new) if known else 0
    looked_at = len(trial.pipeline.standing.drift.kept().loss.values)
    assert 0 < audits <= looked_at < len(answers) / 2


def test_the_audit_is_within_the_budget_and_says_its_probability() -> None:
    configuration = told(response="audit", audit_share=0.9, for_events=300)
    trial, asked, active = logs.trial(configuration), 0, list[bool]()
    for start, record in enumerate(stream(flips=True)):
        trial.poll([record])
        standing = trial.pipeline.standing
        seen = standing.ledger.count
        assert standing.asking.selector.issued <= math.ceil(0.3 * seen), start
        new = [json.loads(query) for query in trial.queries[asked:]]
        asked += len(new)
        holds = seen - 1 < standing.drift.until(LOSS)
        for query in new:
            share = 0.9 if holds else 0.2
            assert query["probability"] == (0.3 * share if query["reason"] == "audit" else 1.0)
            active += [holds] if query["reason"] == "audit" else []
    assert not active[0]
    assert not active[-1], "it ends"
    assert sum(active) > 0.6 * 0.3 * 0.9 * 300


def test_to_forget_drops_what_was_before_the_change_and_pays() -> None:
    trial = played(told(response="forget"), stream(flips=True))
    usual = played(told(), stream(flips=True))
    last, state = trial.pipeline.standing.drift.last, trial.pipeline.state
    assert last is not None
    assert state.examples.first == last.since
    assert usual.pipeline.state.examples.first == 0
    assert sorted(trial.pipeline.ledger.labeled.values())[0] == last.since
    assert len(trial.store.load().examples) == state.labels - last.since
    assert state.progress.recent < 0.7 * usual.pipeline.state.progress.recent


@pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])
def test_what_is_dropped_is_refitted_without_and_the_state_given_is_left(solver: str) -> None:
    configuration = replace(logs.configuration(solver=solver), drift=Drift(detector="none"))
    trial = logs.trial(configuration)
    trial.poll(logs.stream(150))
    before, settings = trial.pipeline.state, trial.pipeline.standing.rules.learner
    digest = restore.digest(trial.pipeline)
    after = learner.drop_before(before, settings, 100)
    assert (100, before.examples.end) == (after.examples.first, after.examples.end)
    assert after.tuner.log_precision == pytest.approx(before.tuner.log_precision, abs=0.1)
    assert after.fit is not None
    assert before.fit is not None
    assert np.abs(after.fit.theta - before.fit.theta).max() > 1e-3
    assert digest == restore.digest(trial.pipeline)
    assert 1 == len(learner.drop_before(before, settings, 10**9).examples)


def test_an_alarm_is_a_log_line_and_a_metric_and_inspect_shows_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = replace(told(for_events=10_000), log=replace(Configuration().log, path=str(tmp_path)))
    measurements = Measurements()
    daemon = assemble.daemon(
        configuration, Health(), measurements, lambda _: True, ManualClock(1.7e9), poll_timeout_s=0.0
    )
    for role in (EVENTS, LABELS):
        for part in (stream(flips=True)[:1800], stream(flips=True)[1800:]):
            append(
                tmp_path / f"{role}.jsonl",
                *[json.loads(each.value) for each in part if each.role == role and each.value],
            )
    with caplog.at_level(logging.WARNING, "streamlearn"):
        daemon.start()
        while daemon.turn():
            pass
        daemon.drain()
        daemon.close()
    said = [record for record in caplog.records if getattr(record, "action", "") == "drift"]
    assert 1 == len(said)
    assert "labels are not what they were, since about label 3" in said[0].getMessage()
    found = measurements.snapshot()
    assert {("loss", "adwin"): 1.0, ("score", "adwin"): 0.0} == found["streamlearn_drift_alarms_total"]
    assert {("loss",): 1.0, ("score",): 0.0} == found["streamlearn_drift_active"]
    assert 0 == cli.main(["inspect", str(tmp_path / "streamlearn.db"), "--json"])
    drift = json.loads(capsys.readouterr().out)["drift"]
    assert ("adwin", {"loss": 1, "score": 0}, "loss") == (drift["detector"], drift["alarms"], drift["last"]["signal"])
    assert drift["last"]["time"].startswith("2023-11-14")
