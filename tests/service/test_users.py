"""Many users through the whole pipeline: whose model says what, whose label teaches whom, and who is asked how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn import assemble
from streamlearn.config import Configuration, Labels, Model, Queries, Topics, Users
from streamlearn.edges.memory import ManualClock, MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.learner import columns, deviation, everybody
from streamlearn.service import restore
from streamlearn.service.daemon import Ports
from streamlearn.service.explain import explain
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, PREDICTIONS, QUERIES, Commit, Record
from tests.laws import logs
from tests.laws.logs import Trial

DEVIATION = Users("deviation")
DAY_S = 86_400.0
WIDTH = 3


def told(users: Users = DEVIATION, strategy: str = "auto", loss: str = "", budget: float = 0.3) -> Configuration:
    return replace(
        Configuration(),
        queries=Queries(strategy, budget=budget, outstanding=1000),
        topics=Topics(predictions="predictions"),
        users=users,
        model=Model(loss=loss),
    )


def records(lines: Sequence[tuple[str, dict[str, Any]]]) -> list[Record]:
    offsets, found = {EVENTS: 0, LABELS: 0}, []
    for role, value in lines:
        found.append(Record(role, 0, offsets[role], offsets[role] + 1, None, json.dumps(value).encode()))
        offsets[role] += 1
    return found


def x(i: int) -> list[float]:
    return np.random.default_rng(i).normal(size=WIDTH).round(3).tolist()


def truth(i: int, user: str, of_values: bool = False) -> object:
    """Ann goes by the first feature the other way round."""
    score = float(np.dot(x(i), [-2.0 if user == "ann" else 2.0, 1.0, 0.0]))
    return round(score, 3) + 1e-4 if of_values else "yes" if score > 0 else "no"


def answered(
    count: int, users: Sequence[str], of_values: bool = False, first: int = 0
) -> list[tuple[str, dict[str, Any]]]:
    """Events of these users in turn, a label behind each."""
    lines: list[tuple[str, dict[str, Any]]] = []
    for i in range(first, first + count):
        user = users[i % len(users)]
        lines.append((EVENTS, {"id": f"e{i}", "x": x(i), "user": user, "time": float(i)}))
        lines.append((LABELS, {"id": f"e{i}", "y": truth(i, user, of_values)}))
    return lines


def run(configuration: Configuration, *parts: Sequence[tuple[str, dict[str, Any]]]) -> Trial:
    """One poll a part."""
    trial, offset = logs.trial(configuration), {EVENTS: 0, LABELS: 0}
    for part in parts:
        polled = [each._replace(offset=offset[each.role] + each.offset) for each in records(part)]
        trial.poll(polled)
        for each in polled:
            offset[each.role] = each.offset + 1
    return trial


def published(trial: Trial, role: str) -> list[dict[str, Any]]:
    return [json.loads(message.value) for message in trial.published if message.role == role]


@pytest.mark.parametrize(
    ("kind", "penalty", "of_values"),
    [
        *((kind, "l2", of_values) for kind in ("deviation", "personality") for of_values in (False, True)),
        ("deviation", "l1", False),
        ("deviation", "l1", True),
        ("gamma-normal", "l2", True),
        ("hierarchy", "l2", False),
        ("hierarchy", "l2", True),
    ],
)
def test_every_event_is_judged_by_its_own_users_model(kind: str, penalty: str, of_values: bool) -> None:
    configuration = told(Users(kind, penalty), strategy="sld", loss="squared" if of_values else "")
    users = ["ann", "ben", "eve", ""]
    asked = [(EVENTS, {"id": f"n{i}", "x": x(900 + i), "user": ["zoe", *users][i % 5]}) for i in range(200)]
    trial = run(configuration, answered(60, users, of_values), asked)
    state, settings = trial.pipeline.state, trial.pipeline.standing.rules.learner
    fit = state.published
    assert fit is not None
    scored = {each["id"]: each for each in published(trial, PREDICTIONS)}
    for i in range(200):
        own = deviation.of_user(state, settings, fit, ["zoe", *users][i % 5])
        theta, tangent = (fit.theta, fit.log_tangent) if own is None else own.added(fit.theta, fit.log_tangent)
        _, encoded = columns.encode(state.columns, [x(900 + i)])
        f, f_dot = fit.model.response(theta, tangent, fit.frame.design(encoded.rows))
        if of_values:
            assert_allclose(scored[f"n{i}"]["prediction"], fit.frame.value(float(f[0, 0])), rtol=1e-9)
        else:
            assert scored[f"n{i}"]["prediction"] == state.problem.classes[int(f[0, 0] > 0.0)]
        if i < 16:  # behind, queries may be pending, which count in the shared tangent
            expected = fit.model.loss.fisher_quadratic(f, f_dot)[0]
            pending = trial.pipeline.ledger.pending
            if not any(entry.ordinal < 60 + i for entry in pending.values()):
                assert_allclose(scored[f"n{i}"]["score"], expected, rtol=1e-9)
    assert len({each["prediction"] for each in scored.values()}) > 1


def test_who_is_unlike_the_others_is_predicted_better_by_a_model_of_their_own() -> None:
    lines, fresh = answered(160, ["ann", "ben", "eve", "kim"]), range(1000, 1200)
    asked = [(EVENTS, {"id": f"n{i}", "x": x(i), "user": "ann"}) for i in fresh]
    right = {}
    for users in (Users(), DEVIATION):
        scored = {each["id"]: each["prediction"] for each in published(run(told(users), lines, asked), PREDICTIONS)}
        right[users.kind] = np.mean([scored[f"n{i}"] == truth(i, "ann") for i in fresh])
    assert right["none"] < 0.5 < 0.75 < right["deviation"]


@pytest.mark.parametrize("kind", ["deviation", "personality", "gamma-normal", "hierarchy"])
def test_of_values_too_who_is_unlike_the_others_is_predicted_better(kind: str) -> None:
    lines, fresh = answered(160, ["ann", "ben", "eve", "kim"], of_values=True), range(1000, 1100)
    asked = [(EVENTS, {"id": f"n{i}", "x": x(i), "user": "ann"}) for i in fresh]
    off = {}
    for users in (Users(), Users(kind)):
        trial = run(told(users, loss="squared"), lines, asked)
        scored = {each["id"]: each["prediction"] for each in published(trial, PREDICTIONS)}
        off[users.kind] = np.mean([abs(scored[f"n{i}"] - truth(i, "ann", of_values=True)) for i in fresh])  # type: ignore[operator]
    assert off[kind] < 0.2 * off["none"]


def test_without_kinds_of_users_the_field_is_ignored() -> None:
    lines = answered(60, ["ann", "ben"])
    without = [(role, {name: each for name, each in value.items() if name != "user"}) for role, value in lines]
    one, other = run(told(Users()), lines), run(told(Users()), without)
    assert restore.digest(one.pipeline) == restore.digest(other.pipeline)
    assert one.published == other.published
    assert not one.pipeline.state.examples.by_user


def test_how_many_deviations_are_kept_in_memory_changes_nothing() -> None:
    lines = answered(120, ["ann", "ben", "eve", "kim", "zoe"])
    few, many = (run(told(Users("deviation", cache=cache)), lines, []) for cache in (1, 100))
    assert restore.digest(few.pipeline) == restore.digest(many.pipeline)
    assert few.published == many.published
    deviations = few.pipeline.standing.asking.deviations
    assert deviations is not None
    assert len(deviations) <= 1


STRATEGIES = [
    "uncertainty",
    "decisive",
    "flip",
    "committee",
    "gradient-length",
    "leverage",
    "si",
    "sti",
    "sld-residual",
]


@pytest.mark.parametrize("kind", ["deviation", "hierarchy"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_scores_users_events(strategy: str, kind: str) -> None:
    asked = [(EVENTS, {"id": f"n{i}", "x": x(1), "user": ["ann", "ben", "zoe"][i % 3]}) for i in range(3)]
    trial = run(told(Users(kind), strategy=strategy, budget=0.01), answered(90, ["ann", "ben", "eve"]), asked)
    scores = [each["score"] for each in published(trial, PREDICTIONS)[-3:]]
    assert all(score is not None for score in scores)
    assert len(set(scores)) == 3, "the same event of three users"


def test_without_an_inverse_hessian_at_hand_users_are_scored_too() -> None:
    """A model that is too wide for one: what pending queries have in common with an event is that of their features."""
    wide = [(i, np.random.default_rng(i).normal(size=600).round(2).tolist()) for i in range(60)]
    lines: list[tuple[str, dict[str, Any]]] = []
    for i, row in wide:
        user = ["ann", "ben"][i % 2]
        lines.append((EVENTS, {"id": f"e{i}", "x": row, "user": user}))
        if i < 30:
            lines.append((LABELS, {"id": f"e{i}", "y": ["a", "b", "c"][int(np.digitize(row[0], [-0.5, 0.5]))]}))
    trial = run(told(strategy="uncertainty"), lines)
    fit = trial.pipeline.state.published
    assert fit is not None
    assert fit.covariance is None
    assert all(each["score"] is not None for each in published(trial, PREDICTIONS)[-25:])
    assert trial.pipeline.ledger.pending


def test_a_label_is_its_events_users_wherever_that_event_is_kept() -> None:
    event = [(EVENTS, {"id": id, "x": x(i), "user": "ann"}) for i, id in enumerate(("now", "stored", "waited"))]
    given = {"y": "yes", "x": x(7)}
    trial = run(
        told(budget=1e-9),
        [(LABELS, {"id": "waited", "y": "no"}), *event, (LABELS, {"id": "now", "y": "yes"})],
        [(LABELS, {"id": "stored", "y": "no"}), (LABELS, {"id": "own", "user": "ben"} | given)],
        [(LABELS, {"id": "nobody's"} | given), (LABELS, {"id": "now"} | given)],
        [(EVENTS, {"id": "later", "x": x(9), "user": "eve"})],
        [(LABELS, {"id": "later"} | given)],
    )
    kept = trial.pipeline.state.examples
    found = {id: kept.user[serial - kept.first] for id, serial in trial.pipeline.ledger.labeled.items()}
    assert found == {"waited": "ann", "now": "ann", "stored": "ann", "own": "ben", "nobody's": "", "later": "eve"}
    saved = trial.store.load()
    assert found == {example.id: example.user for example in saved.examples}


def test_a_label_of_nobodys_event_may_say_whose_it_is() -> None:
    events = [(EVENTS, {"id": id, "x": x(i)}) for i, id in enumerate(("now", "waited"))]
    events.append((EVENTS, {"id": "eve's", "x": x(3), "user": "eve"}))
    label = {"y": "yes", "user": "ann"}
    trial = run(
        told(budget=1e-9),
        [
            (LABELS, {"id": "waited"} | label),
            *events,
            (LABELS, {"id": "now"} | label),
            (LABELS, {"id": "eve's"} | label),
        ],
    )
    kept = trial.pipeline.state.examples
    found = {id: kept.user[serial - kept.first] for id, serial in trial.pipeline.ledger.labeled.items()}
    assert found == {"now": "ann", "waited": "ann", "eve's": "eve"}


def test_a_query_says_whose_event_it_is() -> None:
    trial = run(
        told(budget=1.0), [(EVENTS, {"id": f"e{i}", "x": x(i), "user": user}) for i, user in enumerate(["ann", ""])]
    )
    assert [("e0", "ann"), ("e1", None)] == [(each["id"], each.get("user")) for each in published(trial, QUERIES)]


@pytest.mark.parametrize("kind", ["deviation", "hierarchy"])
def test_an_explanation_is_of_the_users_model(kind: str) -> None:
    event = [(EVENTS, {"id": user, "x": [0.9, 0.1, 0.0], "user": user}) for user in ("ann", "ben", "zoe")]
    trial = run(told(Users(kind), strategy="sld", budget=1e-9), answered(120, ["ann", "ben", "ben", "ben"]), event)
    scored = {each["id"]: each for each in published(trial, PREDICTIONS)}
    found = {user: explain(trial.pipeline, user) for user in ("ann", "ben", "zoe")}
    for user, labels in (("ann", 30), ("ben", 90), ("zoe", 0)):
        assert (found[user].user, found[user].labels_of_user) == (user, labels)
        assert found[user].prediction == scored[user]["prediction"]
        assert found[user].score == pytest.approx(scored[user]["score"], rel=1e-9)
    assert scored["ann"]["prediction"] != scored["ben"]["prediction"]
    of_ann, of_ben = ([(id, value) for id, _, value in found[user].nearest] for user in ("ann", "ben"))
    assert of_ann == [(id, -value) for id, value in of_ben], "what speaks for his likeliest class speaks against hers"


@pytest.mark.parametrize(
    ("kind", "of_values"),
    [
        *((kind, of_values) for kind in ("deviation", "personality", "hierarchy") for of_values in (False, True)),
        ("gamma-normal", True),
    ],
)
@pytest.mark.parametrize("cut", [31, 100])
def test_a_restart_goes_on_to_the_last_bit(kind: str, of_values: bool, cut: int) -> None:
    configuration = told(Users(kind, queries_per_day=5), loss="squared" if of_values else "")
    lines = answered(90, ["ann", "ben", "eve"], of_values)
    whole = run(configuration, lines[:cut], lines[cut:])
    first = run(configuration, lines[:cut])
    pipeline = assemble.pipeline(configuration, first.store.recall, Measurements())
    second = Trial(pipeline, first.store, first.published)
    restore.put_back(second.pipeline, first.store.load())
    second.poll(records(lines)[cut:])
    assert restore.digest(whole.pipeline) == restore.digest(second.pipeline)
    assert whole.published == second.published


def asked_by_day(queries: list[dict[str, Any]], user: str) -> int:
    """The most that this user was asked within 24 hours."""
    times = [datetime.fromisoformat(each["time"]).timestamp() for each in queries if each.get("user") == user]
    return max((sum(0.0 <= later - time < DAY_S for later in times) for time in times), default=0)


@pytest.mark.parametrize("poll", [1, 7, 1000])
def test_nobody_is_asked_more_than_the_quota_within_a_day(poll: int) -> None:
    configuration = told(Users("deviation", queries_per_day=2), budget=1.0)
    users = ["ann", "ann", "ben", ""]
    lines: list[tuple[str, dict[str, Any]]] = [
        (EVENTS, {"id": f"e{i}", "x": x(i), "user": users[i % 4], "time": 1e9 + 6000.0 * i}) for i in range(100)
    ]
    trial = run(configuration, *(lines[at : at + poll] for at in range(0, 100, poll)))
    queries = published(trial, QUERIES)
    assert (2, 2) == (asked_by_day(queries, "ann"), asked_by_day(queries, "ben"))
    asked = [each.get("user") for each in queries]
    assert asked.count(None) == 25, "whose event it is not, is not bounded"
    assert 12 <= asked.count("ann") <= 15, "two a day, for a week"
    saved = trial.store.load().asked
    assert len(saved) <= 5, "what counts no more is dropped"


def test_a_quota_outlives_a_restart_and_a_clock_that_was_ahead() -> None:
    configuration = replace(told(Users("deviation", queries_per_day=1), budget=1.0), labels=Labels(remember=0))
    trial = logs.trial(configuration)

    def come(id: str, now: float) -> int:
        event = records([(EVENTS, {"id": id, "x": x(1), "user": "ann"})])
        trial.pipeline.step(event, now)
        number, changes = trial.store.load().number + 1, trial.pipeline.ledger.take_changes()
        trial.store.commit(Commit(number, {}, restore.take(trial.pipeline), changes, {}, ()))
        return sum(message.role == QUERIES for message in trial.pipeline.take_outbox())

    ahead = 1e9 + 365 * DAY_S
    assert (1, 0) == (come("a", ahead), come("b", ahead + 60.0))
    assert 0 == come("c", 1e9), "put right"
    again = logs.trial(configuration)
    again.store = trial.store
    restore.put_back(again.pipeline, trial.store.load())
    trial = again
    assert (0, 1) == (come("d", 1e9 + 0.9 * DAY_S), come("e", 1e9 + 1.1 * DAY_S))


@pytest.mark.parametrize("kind", ["gamma-normal", "hierarchy"])
def test_that_not_all_users_have_room_is_said_once(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "NUMBERS_MOST", 8)  # two users of four parameters
    log, store = MemoryLog(), MemoryStore()
    ports = Ports(MemorySource(log, waits=False), MemorySink(log), store, ManualClock(1e9))
    configuration = told(Users(kind), loss="squared")
    daemon = assemble.daemon_on(ports, configuration, Health(), Measurements(), lambda s: True, poll_timeout_s=0.0)
    daemon.start()
    said = []
    for first, users in ((0, ["ann", "ben"]), (20, ["eve", "kim", "ann"]), (40, ["ann"])):
        for each in records(answered(20, users, of_values=True, first=first)):
            log.append(each.role, each.value)
        daemon.turn()
        said.append([each.getMessage() for each in caplog.records if getattr(each, "action", "") == "users"])
        caplog.clear()
    text = f"users.kind {kind} has no room for 2 users, those with fewest labels: how near to all they are is not their own"
    assert said == [[], [text], []]
