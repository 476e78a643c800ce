"""The learner as river's estimators: by river's own checks, on river's data, beside river's models."""

from __future__ import annotations

import doctest
import pickle
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import base, checks, datasets, ensemble, evaluate, linear_model, metrics, preprocessing

from streamlearn.errors import ConfigurationError
from streamlearn.river import QuerySampler, StreamlearnClassifier, StreamlearnRegressor, estimators, sampler


def trained(model: Any, dataset: Any, count: int) -> Any:
    for x, y in islice(dataset, count):
        model.learn_one(x, y)
    return model


every_estimator = pytest.mark.parametrize(
    "model",
    [StreamlearnClassifier(), StreamlearnRegressor(), QuerySampler(StreamlearnClassifier(seed=1))],
    ids=lambda model: type(model).__name__,
)


@every_estimator
def test_river_s_own_checks_pass(model: base.Estimator) -> None:
    """Each on its first data set; the others with `make soak`."""
    assert model._unit_test_skips() == set()
    first = {check.__name__: check for check in reversed(list(checks.yield_checks(model)))}
    assert len(first) > 25
    for check in first.values():
        check(model.clone())


@pytest.mark.soak
@every_estimator
def test_river_s_own_checks_pass_on_all_data_sets(model: base.Estimator) -> None:
    checks.check_estimator(model)


@pytest.mark.parametrize("module", [estimators, sampler])
def test_the_examples_of_the_docstrings_say_what_is_so(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert (0, True) == (failed, tried > 0)


def test_on_phishing_it_is_as_good_as_river_s_logistic_regression() -> None:
    ours = preprocessing.StandardScaler() | StreamlearnClassifier()
    theirs = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    found = [
        evaluate.progressive_val_score(datasets.Phishing(), each, metrics.LogLoss()).get() for each in (ours, theirs)
    ]
    assert found[0] < found[1] - 0.02
    accuracy = evaluate.progressive_val_score(datasets.Phishing(), ours.clone(), metrics.Accuracy()).get()
    assert accuracy > 0.89


def test_of_seven_classes_it_tells_more_apart_than_river_s_softmax_regression() -> None:
    theirs = preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
    rows = list(datasets.ImageSegments().take(400))
    ours, others = (
        evaluate.progressive_val_score(rows, each, metrics.Accuracy()).get()
        for each in (StreamlearnClassifier(), theirs)
    )
    assert ours > others + 0.03


def test_on_trump_approval_it_is_better_than_river_s_linear_regression() -> None:
    theirs = preprocessing.StandardScaler() | linear_model.LinearRegression(intercept_lr=0.1)
    found = [
        evaluate.progressive_val_score(datasets.TrumpApproval(), each, metrics.R2()).get()
        for each in (StreamlearnRegressor(), theirs)
    ]
    assert found[0] > 0.2 > found[1]


def test_whole_numbers_are_classes_and_a_third_class_may_come_late() -> None:
    model = StreamlearnClassifier()
    for i in range(90):
        model.learn_one({"a": float(i % 2)}, 7 + i % 2)
    assert [7, 8] == model.classes
    model.learn_one({"a": 5.0}, 12)
    assert {7, 8, 12} == set(model.predict_proba_one({"a": 5.0}))
    trained(model, [({"a": 5.0}, 12)] * 5, 5)
    assert (12, 8, 7) == tuple(model.predict_one({"a": a}) for a in (5.0, 1.0, 0.0))


def test_an_absent_name_is_zero_also_before_it_was_there_and_none_is_the_mean() -> None:
    rows = [({"a": float(i)} if i < 150 else {"a": float(i), "b": 3.0 + i % 2}, float(i % 7)) for i in range(300)]
    sparse, dense = (
        trained(StreamlearnRegressor(), rows, 300),
        trained(StreamlearnRegressor(), [({"a": x["a"], "b": x.get("b", 0.0)}, y) for x, y in rows], 300),
    )
    x = {"a": 7.0}
    assert dense.predict_one({**x, "b": 0.0}) == pytest.approx(sparse.predict_one(x), rel=1e-9)
    mean = np.mean([each.get("b", 0.0) for each, _ in rows])
    assert sparse.predict_one({**x, "b": mean}) == pytest.approx(sparse.predict_one({**x, "b": None}), rel=0.01)


def test_features_may_be_categories_missing_and_new() -> None:
    model = StreamlearnClassifier()
    for i in range(60):
        model.learn_one({"country": "NL" if i % 2 else "DE", "amount": None if i % 3 else 2.0}, bool(i % 2))
    assert ["country=DE", "amount", "country=NL"] == model.columns
    assert model.predict_one({"country": "NL", "never seen": 1.0, "amount": float("nan")})
    with pytest.raises(ValueError, match="x has a number beyond"):
        model.predict_one({"amount": float("inf")})


def test_counts_have_the_poisson_loss() -> None:
    generator = np.random.default_rng(0)
    rows = [({"a": a}, int(generator.poisson(np.exp(1.0 + 0.5 * a)))) for a in generator.normal(size=400)]
    model = trained(StreamlearnRegressor(loss="poisson"), rows, 400)
    assert np.exp(1.5) == pytest.approx(model.predict_one({"a": 1.0}), rel=0.15)
    with pytest.raises(ValueError, match="label is negative"):
        model.learn_one({"a": 0.0}, -1)


def test_the_tangent_is_the_derivative_by_the_regularity() -> None:
    def at(regularity: float) -> StreamlearnClassifier:
        model = StreamlearnClassifier(fixed_regularity=regularity, solver="newton")
        return trained(model, datasets.Phishing(), 90)

    here, step = at(0.01), 1e-5
    assert here.theta is not None
    assert here.theta.shape == here.tangent.shape == (1 + len(here.columns),)
    difference = (at(0.01 + step).theta - at(0.01 - step).theta) / (2.0 * step)
    np.testing.assert_allclose(here.tangent, difference, rtol=1e-4, atol=1e-4 * np.abs(difference).max())
    assert 0.01 == here.regularity


def test_the_regularity_is_learned_unless_it_is_fixed() -> None:
    model = trained(StreamlearnClassifier(), datasets.Phishing(), 300)
    # λ = α/W began at α = 10.
    assert model.regularity < 0.5 * 10.0 / 300
    fresh = StreamlearnClassifier()
    assert (None, None, None, []) == (fresh.theta, fresh.tangent, fresh.regularity, fresh.columns)


def test_a_weight_counts_as_so_many_labels() -> None:
    rows, plain, weighted = list(datasets.Phishing().take(60)), StreamlearnClassifier(), StreamlearnClassifier()
    for x, y in rows:
        plain.learn_one(x, y)
        weighted.learn_one(x, not y, w=0.0)
        weighted.learn_one(x, y, w=3.0 if y else 1.0)
    p, q = (np.mean([model.predict_proba_one(x)[True] for x, _ in rows]) for model in (plain, weighted))
    assert p + 0.05 < q
    with pytest.raises(ValueError, match="weight"):
        plain.learn_one(rows[0][0], True, w=-1.0)


def test_a_pickled_model_goes_on_as_if_nothing_had_been() -> None:
    rows = list(datasets.Phishing().take(200))
    through = trained(StreamlearnClassifier(solver="sgdf", seed=3), rows, 200)
    again = pickle.loads(pickle.dumps(trained(StreamlearnClassifier(solver="sgdf", seed=3), rows, 120)))
    trained(again, rows[120:], 80)
    np.testing.assert_array_equal(again.theta, through.theta)
    other = trained(StreamlearnClassifier(solver="sgdf", seed=4), rows, 200)
    assert not np.array_equal(other.theta, through.theta)


def test_batches_of_a_data_frame_keep_its_index() -> None:
    X, y = (pd.DataFrame([x for x, _ in datasets.Phishing().take(80)]), [y for _, y in datasets.Phishing().take(80)])
    X.index = X.index + 1000
    model = StreamlearnClassifier()
    assert model.predict_proba_many(X).shape == (80, 0)
    model.learn_many(X, pd.Series(y, index=X.index))
    assert model.theta is not None
    np.testing.assert_array_equal(model.theta, trained(StreamlearnClassifier(), datasets.Phishing(), 80).theta)
    for found in (model.predict_many(X), model.predict_proba_many(X)):
        assert found.index.equals(X.index)


def test_it_works_in_an_ensemble() -> None:
    bag = ensemble.BaggingClassifier(StreamlearnClassifier(), n_models=2, seed=1)
    found = evaluate.progressive_val_score(datasets.Phishing().take(150), bag, metrics.Accuracy()).get()
    assert found > 0.8


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"regularizer": "l3"}, 'regularity.regularizer = "l3" is not "l2", "l1" or'),
        ({"regularizer": "l1", "solver": "cg"}, "needs a smooth regularizer"),
        ({"fixed_regularity": 0.0}, "regularity.fixed = 0.0 is not a number above 0"),
        ({"seed": -1}, "queries.seed = -1 is not a whole number"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        StreamlearnClassifier(**wrong)
