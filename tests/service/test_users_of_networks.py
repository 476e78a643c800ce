"""Users with a last layer of their own, or other parameters, through the whole pipeline; beyond what has H⁻¹ too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn import assemble
from streamlearn.config import Configuration, Model, Users
from streamlearn.learner import columns, deviation, inverse
from streamlearn.service import restore
from streamlearn.service.explain import explain
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, PREDICTIONS
from tests.laws.logs import Trial
from tests.service.test_users import DEVIATION, STRATEGIES, answered, published, records, run, truth, x
from tests.service.test_users import told as told_linear

USERS = ["ann", "ben", "eve", ""]
PART = Users("deviation", parameters=("0.bias", "2.*"))
PERSONALITY = Users("personality", directions=2)
ways = pytest.mark.parametrize("users", [DEVIATION, PART], ids=["last layer", "part"])


def told(users: Users = DEVIATION, strategy: str = "auto", budget: float = 0.3) -> Configuration:
    linear = told_linear(users, strategy, budget=budget)
    return replace(
        linear,
        model=Model("mlp", hidden=(6,)),
        training=replace(linear.training, steps_per_label=4, batch_size=8),
    )


@pytest.mark.parametrize(
    "users", [DEVIATION, Users("deviation", "l1"), PERSONALITY, PART], ids=["l2", "l1", "personality", "part"]
)
@pytest.mark.parametrize("of_values", [False, True])
def test_every_event_is_judged_by_its_own_users_network(users: Users, of_values: bool) -> None:
    """As by the module with the user's δ in its last layer, or where they say; wherever in a block the event stands."""
    whose = ["zoe", *USERS]
    asked = [(EVENTS, {"id": f"n{i}", "x": x(900 + i), "user": whose[i % 5]}) for i in range(100)]
    configuration = told(users, strategy="sld", budget=1e-9)
    trial = run(configuration, answered(40, USERS, of_values), asked)
    state, settings = trial.pipeline.state, trial.pipeline.standing.rules.learner
    fit = state.published
    assert fit is not None
    assert fit.model.last_layer is not None
    places = fit.model.last_layer.at if fit.model.part is None else fit.model.part.at
    assert len(places) == (13 if users.parameters else 7)
    scored = {each["id"]: each for each in published(trial, PREDICTIONS)}
    for i in range(100):
        both = np.stack([fit.theta, fit.log_tangent]).astype(float)
        own = deviation.of_user(state, settings, fit, whose[i % 5])
        assert (own is None) == (whose[i % 5] in ("zoe", ""))
        if own is not None:
            part = both[:, places]
            own.add_to(part)
            both[:, places] = part
        _, encoded = columns.encode(state.columns, [x(900 + i)])
        f, f_dot = fit.model.response(*both, fit.frame.design(encoded.rows))
        found = scored[f"n{i}"]
        assert_allclose(found["score"], fit.model.loss.fisher_quadratic(f, f_dot)[0], rtol=1e-3, atol=1e-6)
        if of_values:
            assert_allclose(found["prediction"], fit.frame.value(float(f[0, 0])), rtol=1e-4, atol=1e-4)
        elif abs(f[0, 0]) > 1e-4:
            assert found["prediction"] == state.problem.classes[int(f[0, 0] > 0.0)]


@ways
def test_who_is_unlike_the_others_is_predicted_better_by_a_layer_of_their_own(users: Users) -> None:
    lines, fresh = answered(80, ["ann", "ben", "eve", "kim"]), range(1000, 1200)
    asked = [(EVENTS, {"id": f"n{i}", "x": x(i), "user": "ann"}) for i in fresh]
    right = {}
    for each_way in (Users(), users):
        scored = {each["id"]: each["prediction"] for each in published(run(told(each_way), lines, asked), PREDICTIONS)}
        right[each_way is users] = np.mean([scored[f"n{i}"] == truth(i, "ann") for i in fresh])
    assert right[False] < 0.5 < 0.75 < right[True]


@pytest.fixture
def inverse_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What has an inverse Hessian."""
    what: str = request.param
    monkeypatch.setattr(inverse, "NETWORK_MOST", inverse.NETWORK_MOST if what == "whole" else 0)
    monkeypatch.setattr(inverse, "FORMED_MOST", inverse.FORMED_MOST if what != "none" else 0)
    return what


@pytest.mark.parametrize(
    ("users", "inverse_of"),
    [*((DEVIATION, what) for what in ("whole", "last layer", "none")), (PART, "whole")],
    indirect=["inverse_of"],
)
def test_every_strategy_scores_users_events(users: Users, inverse_of: str) -> None:
    acting, *others = STRATEGIES
    configuration = told(users, acting)
    queries = replace(configuration.queries, count_pending="always", shadows=tuple(others))
    open_ = [(EVENTS, {"id": f"o{i}", "x": x(500 + i), "user": "ann"}) for i in range(12)]
    asked = [(EVENTS, {"id": f"n{i}", "x": x(1), "user": ["ann", "ben", "zoe"][i % 3]}) for i in range(3)]
    trial = run(replace(configuration, queries=queries), [*answered(42, ["ann", "ben", "eve"]), *open_, *asked])
    assert trial.pipeline.ledger.pending, "they count"
    told_of = published(trial, PREDICTIONS)[-3:]
    scores = [[each["score"], *(shadow["score"] for shadow in each["shadows"])] for each in told_of]
    assert len(scores[0]) == len(STRATEGIES)
    for strategy, found in zip(STRATEGIES, zip(*scores, strict=True), strict=True):
        assert None not in found, (strategy, inverse_of)
        assert len(set(found)) == 3, f"the same event of three users, by {strategy}"


@ways
def test_how_many_deviations_are_kept_in_memory_changes_nothing(users: Users) -> None:
    lines = answered(25, ["ann", "ben", "eve", "kim", "zoe"])
    few, many = (run(told(replace(users, cache=cache)), lines, []) for cache in (1, 100))
    assert restore.digest(few.pipeline) == restore.digest(many.pipeline)
    assert few.published == many.published


@pytest.mark.parametrize("users", [DEVIATION, PERSONALITY, PART], ids=["last layer", "personality", "part"])
def test_a_restart_goes_on_to_the_last_bit(users: Users) -> None:
    configuration, lines = told(replace(users, queries_per_day=5)), answered(40, ["ann", "ben", "eve"])
    whole = run(configuration, lines[:50], lines[50:])
    first = run(configuration, lines[:50])
    pipeline = assemble.pipeline(configuration, first.store.recall, Measurements())
    second = Trial(pipeline, first.store, first.published)
    restore.put_back(second.pipeline, first.store.load())
    second.poll(records(lines)[50:])
    assert restore.digest(whole.pipeline) == restore.digest(second.pipeline)
    assert whole.published == second.published


def test_an_explanation_is_of_the_users_network() -> None:
    event = [(EVENTS, {"id": user, "x": [0.9, 0.1, 0.0], "user": user}) for user in ("ann", "ben", "zoe")]
    trial = run(told(strategy="sld", budget=1e-9), answered(80, ["ann", "ben", "ben", "ben"]), event)
    scored = {each["id"]: each for each in published(trial, PREDICTIONS)}
    for user in ("ann", "ben", "zoe"):
        found = explain(trial.pipeline, user)
        assert found.prediction == scored[user]["prediction"]
        assert found.score == pytest.approx(scored[user]["score"], rel=1e-4)
    assert scored["ann"]["prediction"] != scored["ben"]["prediction"]


def test_directions_go_on_in_the_last_layer_when_there_is_one_class_more() -> None:
    trial = run(told(PERSONALITY), answered(46, ["ann", "ben", "eve"]))
    fit = trial.pipeline.state.published
    assert fit is not None
    assert fit.prior is not None
    assert fit.prior.directions.shape == (7, 2)
    new = [(EVENTS, {"id": "new", "x": x(7), "user": "ann"}), (LABELS, {"id": "new", "y": "maybe"})]
    trial.poll([each._replace(offset=46, next=47) for each in records(new)])
    grown = trial.pipeline.state.published
    assert grown is not None
    assert grown.prior is not None
    assert grown.users_at == fit.users_at, "not learned anew"
    by_output = grown.prior.directions.reshape(3, 7, 2)
    assert_allclose(by_output[2 if trial.pipeline.state.problem.classes[2] == "maybe" else 0], 0.0)
    assert sum(np.array_equal(part, fit.prior.directions) for part in by_output) == 1
