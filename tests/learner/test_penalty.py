"""The penalty in the learner: what the configuration asks for is what is fitted, as columns come and frames move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, penalty
from streamlearn.learner.fit import Fit, Frame
from streamlearn.learner.penalty import Penalty
from streamlearn.learner.problem import Label
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.learner.streams import WIDTH, labels, learned, start, told

HEADS = pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])


def penalised(by: Penalty, alpha: float = 1.0, solver: str = "newton") -> Settings:
    """Settings with this penalty and a fixed precision of about alpha at a hundred labels."""
    return replace(told(solver, learn=False), penalty=by, fixed_regularity=alpha / 100.0)


def fitted(head: str, settings: Settings, count: int = 100, seed: int = 0) -> State:
    here = start(settings, loss="squared" if head == "squared" else "")
    return learner.settle(learned(here, settings, labels(head, count, seed)), settings)


def raw(fit: Fit) -> Array:
    """Weights of raw features (k, columns), without intercepts."""
    weights = fit.model.matrix(fit.theta)[:, 1:] * fit.frame.target_scale
    return weights / fit.frame.scaling.scale if fit.frame.standardise else weights


def by_class(here: State) -> Array:
    """Raw weights in the order of the classes' names, whichever was heard first."""
    order = sorted(range(len(here.problem.classes)), key=lambda i: str(here.problem.classes[i]))
    weights = raw(fit_of(here))
    return weights[order] if len(weights) > 1 else weights


def fit_of(here: State) -> Fit:
    assert here.published is not None
    return here.published


@HEADS
def test_l1_leaves_exact_zeros_and_l2_none(head: str) -> None:
    sparse, ridge = (fit_of(fitted(head, penalised(Penalty(kind=kind), alpha=30.0))) for kind in ("l1", "l2"))
    assert (sparse.model.matrix(sparse.theta)[:, 1:] == 0.0).any()
    assert not (ridge.model.matrix(ridge.theta)[:, 1:] == 0.0).any()
    assert sparse.residual < 1e-9


@HEADS
@pytest.mark.parametrize("kind", ["l2", "l1"])
def test_far_from_its_own_data_a_model_is_the_one_it_deviates_from(head: str, kind: str) -> None:
    settings = penalised(Penalty())
    base = fitted(head, settings)
    origin = penalty.origin_of(fit_of(base), base.columns, base.problem)
    here = fitted(head, penalised(Penalty(kind=kind, origin=origin), alpha=1e9), seed=5)
    np.testing.assert_allclose(by_class(here), by_class(base), rtol=1e-5, atol=1e-7)


@HEADS
def test_a_deviation_from_the_truth_beats_one_from_zero_with_few_labels(head: str) -> None:
    base = fitted(head, penalised(Penalty()), count=400)
    origin = penalty.origin_of(fit_of(base), base.columns, base.problem)
    shared, alone = (
        fitted(head, penalised(Penalty(origin=each), alpha=300.0), count=25, seed=9) for each in (origin, None)
    )
    target = by_class(base)
    assert np.linalg.norm(by_class(shared) - target) < 0.3 * np.linalg.norm(by_class(alone) - target)


def test_columns_are_matched_by_name_and_unknown_ones_deviate_from_zero() -> None:
    settings = penalised(Penalty())
    base = fitted("logistic", settings)
    weights = penalty.origin_of(fit_of(base), base.columns, base.problem).weights
    named = tuple((name, None) for name in ("a", "b", "c"))
    origin = penalty.Origin(named, base.problem, weights)
    frame = Frame(fit_of(base).frame.scaling, False, 0.0, 1.0)
    known = columns.State("map", (("c", None), ("new", None), ("a", None)))
    whole = penalty.objective(Penalty(origin=origin), known, base.problem, fit_of(base).model, frame)
    minus_origin = whole.regularizer.gradient(np.zeros(3))
    np.testing.assert_allclose(minus_origin, -np.array([weights[0, 2], 0.0, weights[0, 0]]))


def test_classes_are_matched_by_name_between_two_classes_and_more() -> None:
    def origin(classes: tuple[Label, ...], weights: Array) -> penalty.Origin:
        what = replace(base.problem, classes=classes, loss="softmax" if len(classes) > 2 else "logistic")
        return penalty.Origin(base.columns.columns, what, weights)

    def theta0(of: penalty.Origin, into: State) -> Array:
        fit = fit_of(into)
        frame = Frame(fit.frame.scaling, False, 0.0, 1.0)
        whole = penalty.objective(Penalty(origin=of), into.columns, into.problem, fit.model, frame)
        return -whole.regularizer.gradient(np.zeros(WIDTH * fit.model.outputs_count)).reshape(-1, WIDTH)

    settings = penalised(Penalty())
    base, three = fitted("logistic", settings), fitted("softmax", settings)  # classes false, true; high, low, middle
    two, rows = np.array([[1.0, 2.0, 3.0]]), np.arange(9.0).reshape(3, 3)
    order = [three.problem.classes.index(name) for name in ("low", "middle", "high")]
    np.testing.assert_allclose(theta0(origin(("low", "middle", "high"), rows), three)[order], rows)
    into_three = theta0(origin(("high", "low"), two), three)
    np.testing.assert_allclose(into_three[order], [two[0], np.zeros(3), np.zeros(3)])
    np.testing.assert_allclose(theta0(origin((True, "x", False), rows), base), [rows[0] - rows[2]])
    # A model of values is no origin for one of classes.
    values = penalty.Origin(base.columns.columns, replace(base.problem, loss="squared", classes=()), two)
    np.testing.assert_allclose(theta0(values, base), 0.0)


def test_a_free_feature_is_not_shrunk() -> None:
    free = fit_of(fitted("squared", penalised(Penalty(free=("x1",)), alpha=1e8)))
    names = ("x0", "x1", "x2")
    assert names == tuple(start(penalised(Penalty())).columns.names)
    weights = free.model.matrix(free.theta)[0, 1:]
    assert np.abs(weights[[0, 2]]).max() < 1e-5
    assert abs(weights[1]) > 0.1


@pytest.mark.parametrize("solver", ["newton", "sgdf"])
def test_a_users_function_that_is_half_the_squares_is_l2(solver: str) -> None:
    own = Penalty(kind="custom", function=lambda theta: (0.5 * float(theta @ theta), theta))
    ours, theirs = (fit_of(fitted("logistic", penalised(each, solver=solver))) for each in (Penalty(), own))
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.log_tangent, theirs.log_tangent, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", ["newton", "sgdf"])
def test_a_users_function_that_fails_is_counted_and_leaves_the_model_alone(solver: str) -> None:
    def fails(theta: Array) -> tuple[float, Array]:
        raise RuntimeError("no")

    settings = penalised(Penalty(), solver=solver)
    here = fitted("logistic", settings)
    broken = replace(settings, penalty=Penalty(kind="custom", function=fails))
    after = learner.settle(learner.step(here, broken, labels("logistic", 1, seed=3)[0]), broken)
    assert after.skipped > here.skipped
    assert after.failing > 0
    np.testing.assert_allclose(fit_of(after).theta, fit_of(here).theta, rtol=1e-12)


@HEADS
@pytest.mark.parametrize("increase", ["log", "square"])
def test_an_increasing_function_of_complexity_has_an_exact_tangent_too(head: str, increase: str) -> None:
    fit = fit_of(fitted(head, penalised(Penalty(increase=increase), alpha=1.0)))
    assert fit.residual < 1e-8
    assert np.linalg.norm(fit.log_tangent) > 0.0


def test_with_the_compensated_term_lambda_is_larger() -> None:
    plain = told()
    without, within = (fitted("logistic", each, count=60) for each in (plain, replace(plain, compensated=True)))
    assert within.tuner.log_precision > without.tuner.log_precision


def test_counts_are_learned_with_a_poisson_loss_by_either_solver() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, WIDTH)) * [1.0, 3.0, 0.2] + [0.0, 5.0, -1.0]
    rates = np.exp(3.0 + X @ np.array([0.5, -0.2, 1.0]))
    exact, stochastic = told("newton", learn=False), told("sgdf", learn=False)
    fits = []
    for settings in (replace(s, fixed_regularity=1e-3) for s in (exact, stochastic)):
        here = start(settings, X, loss="poisson")
        given = [
            learner.Labeled(x, int(count), 1.0, False, False) for x, count in zip(X, rng.poisson(rates), strict=True)
        ]
        here = learned(here, settings, given)
        for _ in range(40):
            here = learner.settle(here, settings)
        fits.append(fit_of(here))
        assert here.skipped == 0
    truth = np.array([0.5, -0.2, 1.0])
    for fit, within in zip(fits, (0.01, 0.05), strict=True):
        np.testing.assert_allclose((raw(fit)[0] - truth) * fit.frame.scaling.scale, 0.0, atol=within)


def test_the_origin_of_a_model_with_fewer_outputs_than_there_are_classes_by_now_is_of_the_first_ones() -> None:
    # A third class has been heard and no refit was due yet.
    base, known = fitted("softmax", penalised(Penalty())), fitted("logistic", penalised(Penalty()))
    heard = replace(base.problem, loss="softmax", classes=("low", "high", "middle"))
    weights = np.arange(9.0).reshape(3, 3)
    origin = penalty.Origin(base.columns.columns, heard, weights)
    fit = fit_of(known)
    frame = Frame(fit.frame.scaling, False, 0.0, 1.0)
    whole = penalty.objective(Penalty(origin=origin), known.columns, heard, fit.model, frame)
    np.testing.assert_allclose(-whole.regularizer.gradient(np.zeros(WIDTH)), weights[1] - weights[0])


def test_rates_are_no_origin_for_values() -> None:
    here = fitted("squared", penalised(Penalty()))
    counts = replace(here.problem, loss="poisson")
    origin = penalty.Origin(here.columns.columns, counts, np.ones((1, WIDTH)))
    fit = fit_of(here)
    whole = penalty.objective(Penalty(origin=origin), here.columns, here.problem, fit.model, fit.frame)
    np.testing.assert_array_equal(whole.regularizer.gradient(np.zeros(WIDTH)), np.zeros(WIDTH))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", ["l2", "l1"])
@pytest.mark.parametrize("seed", [2, 3])
def test_counts_do_not_explode_with_stochastic_steps(optimizer: str, kind: str, seed: int) -> None:
    if (kind, optimizer) == ("l1", "adam"):
        return  # refused by the configuration
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(120, WIDTH))
    counts = rng.poisson(np.exp(np.minimum(X.sum(axis=1) - 0.3 * rng.normal(size=120), 2.0)))
    fits = {}
    for solver in ("newton", "sgdf"):
        settings = replace(told(solver), optimizer=optimizer, penalty=Penalty(kind=kind))
        given = [learner.Labeled(x, int(y), 1.0, False, 0) for x, y in zip(X, counts, strict=True)]
        here = learned(start(settings, X, loss="poisson"), settings, given)
        for _ in range(5 if solver == "sgdf" else 1):
            here = learner.settle(here, settings)
        assert here.skipped == 0
        fits[solver] = fit_of(here)
    assert fits["sgdf"].loss < fits["newton"].loss + 0.05
