"""What one label does: it is tested on before it is learned, it can be replaced and forgotten, and the model may grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.learner import columns, examples, learner, problem, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, objective
from streamlearn.queries.strategy import REFERENCES_MOST
from tests.learner.streams import WIDTH, labels, learned, start, told

HEADS = pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
SOLVERS = pytest.mark.parametrize("solver", ["newton", "cg", "sgdf"])
CLASSES: dict[str, tuple[problem.Label, ...]] = {
    "squared": (),
    "logistic": (False, True),
    "softmax": ("low", "middle", "high"),
}


def fixed(head: str, settings: Settings) -> State:
    """A learner that knows its problem beforehand, as far as it has classes."""
    return start(settings, classes=CLASSES[head], loss="squared" if head == "squared" else "")


def fit_of(here: State) -> Fit:
    assert here.published is not None
    return here.published


def predictions(here: State, X: Array) -> Array:
    fit = fit_of(here)
    return fit.model.outputs(fit.theta, fit.frame.design(X)) * fit.frame.target_scale + fit.frame.target_shift


def optimum(here: State, settings: Settings, given: list[Labeled]) -> newton.State:
    """θ and θ̇ on these labels and no others, from zero, in the frame of the fit."""
    fit, kind = fit_of(here), here.problem
    target = np.array([problem.target(kind, label.y) for label in given])
    X = np.array([label.x for label in given])
    data = Data(fit.frame.design(X), fit.frame.targets(target), np.array([label.weight for label in given]))
    whole = objective(here, settings, fit.model, fit.frame)
    solved, info = newton.step(newton.init(fit.model.size), whole, data, fit.regularity)
    assert info.ok
    return solved


def assert_fitted_on(here: State, settings: Settings, given: list[Labeled]) -> None:
    expected, fit = optimum(here, settings, given), fit_of(here)
    np.testing.assert_allclose(fit.theta, expected.theta, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.log_tangent, expected.log_tangent, rtol=1e-7, atol=1e-8)


@HEADS
def test_settled_theta_and_tangent_are_those_of_a_fresh_fit_to_all_labels_with_their_weights(head: str) -> None:
    settings, given = told(), labels(head, 120)
    here = learner.settle(learned(fixed(head, settings), settings, given), settings)
    assert_fitted_on(here, settings, given)
    # λ = α/W, W the sum of the weights.
    weight = sum(label.weight for label in given)
    assert np.exp(here.tuner.log_precision) / weight == pytest.approx(fit_of(here).regularity)


@HEADS
def test_weights_count_as_so_many_labels(head: str) -> None:
    settings = told(learn=False, standardise=False)
    given = [replace(label, weight=1.0) for label in labels(head, 40)]
    doubled = [replace(label, weight=2.0) for label in given]
    twofold = replace(settings.penalty, intercept_precision=2.0 * settings.penalty.intercept_precision)
    anchored = replace(settings, penalty=twofold)
    once = learner.settle(learned(fixed(head, settings), anchored, doubled), anchored)
    twice = learner.settle(learned(fixed(head, settings), anchored, given + given), anchored)
    np.testing.assert_allclose(fit_of(once).theta, fit_of(twice).theta, rtol=1e-7, atol=1e-8)


@HEADS
@SOLVERS
def test_a_label_is_tested_on_by_the_model_that_has_not_learned_it(head: str, solver: str) -> None:
    settings = told(solver)
    here = learned(fixed(head, settings), settings, labels(head, 60))
    label = labels(head, 1, seed=8)[0]
    fit = here.fit
    assert fit is not None
    target = np.array([problem.target(here.problem, label.y)])
    f, f_dot = fit.model.response(fit.theta, fit.log_tangent, fit.frame.design(label.x[None, :]))
    loss = float(fit.model.loss.value(f, fit.frame.targets(target))[0]) * fit.frame.target_scale**2
    gradient = float((fit.model.loss.gradient(f, fit.frame.targets(target)) * f_dot).sum()) * label.weight
    after = learner.step(here, settings, label)
    assert here.progress.total + loss == pytest.approx(after.progress.total)
    assert gradient == pytest.approx(after.tuner.gradient)


@SOLVERS
def test_only_audit_labels_count_for_the_streams_loss(solver: str) -> None:
    settings, given = told(solver), labels("logistic", 60)
    here = learned(fixed("logistic", settings), settings, given)
    unseen = 1  # the first label met no model yet
    assert len(given) - unseen == here.progress.count
    assert sum(label.audit for label in given[unseen:]) == here.progress.audits


@HEADS
def test_a_replaced_label_leaves_nothing_of_what_it_was(head: str) -> None:
    settings, given = told(), labels(head, 50)
    here = learned(fixed(head, settings), settings, given)
    other = labels(head, 3, seed=5)
    for serial, label in zip((0, 17, 49), other, strict=True):
        before = here
        here = learner.revise(here, settings, serial, label)
        given[serial] = label
        assert_fitted_on(here, settings, given)
        # Only an id's first label moves ρ and the progressive loss.
        assert before.tuner == here.tuner
        assert before.progress == here.progress
        assert before.labels == here.labels


@HEADS
def test_a_forgotten_label_leaves_nothing_of_what_it_was(head: str) -> None:
    settings, given = told(), labels(head, 50)
    here = learned(fixed(head, settings), settings, given)
    for serial in (0, 49, 20):
        here = learner.revise(here, settings, serial, None)
    given = [label for serial, label in enumerate(given) if serial not in (0, 49, 20)]
    assert_fitted_on(here, settings, given)
    here = learned(here, settings, labels(head, 10, seed=6))
    assert_fitted_on(learner.settle(here, settings), settings, given + labels(head, 10, seed=6))


@SOLVERS
def test_when_all_is_forgotten_there_is_no_model_and_the_next_label_makes_one(solver: str) -> None:
    settings, given = told(solver), labels("logistic", 3)
    here = learned(fixed("logistic", settings), settings, given)
    for serial in range(3):
        here = learner.revise(here, settings, serial, None)
    assert (None, None, 0, 0) == (here.fit, here.published, here.failing, here.skipped)
    assert learner.view(here) is None
    here = learned(here, settings, given[:1])
    assert here.published is not None
    if solver == "newton":
        assert_fitted_on(here, settings, given[:1])


@HEADS
@pytest.mark.parametrize("keep", [1, 20])
def test_only_the_newest_are_trained_on(head: str, keep: int) -> None:
    settings, given = told(keep=keep), labels(head, 70)
    here = learner.settle(learned(fixed(head, settings), settings, given), settings)
    assert_fitted_on(here, settings, given[-keep:])
    unchanged = learner.revise(here, settings, 0, given[5])  # no longer kept
    assert here is unchanged


def test_sgdf_keeps_the_newest_too() -> None:
    settings = told("sgdf", keep=20)
    here = learned(fixed("logistic", settings), settings, labels("logistic", 200))
    assert len(here.examples) <= 1.25 * 20
    assert 200 == here.examples.end
    train = state.data(here, settings, fit_of(here).frame, here.examples.end, "train")
    assert 20 == len(train.y)


@HEADS
def test_held_out_examples_are_never_trained_on_but_what_is_published_is(head: str) -> None:
    settings, given = told(validation="holdout"), labels(head, 80, test_share=0.3)
    here = learner.settle(learned(fixed(head, settings), settings, given), settings)
    train = [label for label in given if not label.fold]
    assert here.fit is not None
    assert_fitted_on(replace(here, published=here.fit), settings, train)
    assert_fitted_on(here, settings, given)
    # The precision of the prior, λW, is what stays when the test examples are added.
    weights = [sum(label.weight for label in part) for part in (train, given)]
    assert here.fit.regularity * weights[0] == pytest.approx(fit_of(here).regularity * weights[1])
    assert len(train) == here.progress.count + 1
    assert here.test_loss is not None


@SOLVERS
def test_with_only_held_out_examples_there_is_no_model_and_no_failure(solver: str) -> None:
    settings = told(solver, validation="holdout")
    given = [replace(label, fold=1) for label in labels("logistic", 5)]
    here = learned(fixed("logistic", settings), settings, given)
    assert (None, None, 0, 0) == (here.fit, here.published, here.failing, here.skipped)


@SOLVERS
def test_a_third_class_may_turn_up(solver: str) -> None:
    settings = told(solver)
    two = [replace(label, y="b" if label.y else "a") for label in labels("logistic", 60)]
    here = learned(start(settings), settings, two)
    assert ("logistic", 1) == (here.problem.loss, fit_of(here).model.outputs_count)
    before = here
    third = [replace(label, y="c", x=label.x + 6.0) for label in labels("logistic", 30, seed=3)]
    here = learner.step(here, settings, third[0])
    assert (("a", "b", "c"), "softmax", 3) == (
        here.problem.classes,
        here.problem.loss,
        fit_of(here).model.outputs_count,
    )
    # A class that the model had never heard of is no test of it.
    assert before.progress == here.progress
    odds = predictions(here, np.zeros((1, WIDTH)))[0]
    assert np.isfinite(odds).all()
    mixed = [label for pair in zip(two[:30], third, strict=True) for label in pair]
    here = learner.settle(learned(here, settings, mixed), settings)
    found = predictions(here, np.array([label.x for label in two + third])).argmax(axis=1)
    expected = [problem.target(here.problem, label.y) for label in two + third]
    assert (found == expected).mean() > 0.85
    assert 0 == here.skipped


@SOLVERS
def test_whole_numbers_are_learned_once_it_is_clear_what_they_are(solver: str) -> None:
    settings = told(solver)
    given = [replace(label, y=1 if label.y else 0) for label in labels("logistic", 30)]
    here = learned(start(settings), settings, given[:19])
    assert (None, "", 19) == (here.fit, here.problem.loss, here.labels)
    here = learned(here, settings, given[19:])
    assert ("logistic", (0, 1), 30) == (here.problem.loss, here.problem.classes, here.labels)
    if solver == "newton":
        assert_fitted_on(learner.settle(here, settings), settings, given)


@SOLVERS
def test_a_column_may_turn_up(solver: str) -> None:
    settings, here = told(solver), state.init(told(solver), columns.State(), "", ())
    rng = np.random.default_rng(2)
    for i in range(80):
        x: dict[str, columns.Value] = {"a": float(rng.normal())}
        if i >= 40:
            x |= {"b": float(rng.normal()), "c": ["red", "blue"][i % 2]}
        new_columns, encoded = columns.encode(here.columns, [x])
        here = learner.observe(here, new_columns, encoded.rows)
        here = learner.step(here, settings, Labeled(encoded.rows[0], i % 2 == 0, 1.0, False, 0))
    here = learner.settle(here, settings)
    assert ["a", "b", "c=red", "c=blue"] == here.columns.names
    assert 5 == fit_of(here).model.size
    theta = fit_of(here).theta
    assert theta[3] > 0.0 > theta[4]  # red is what is true
    assert (40.0, 40.0) == (here.moments.count[2] + (~np.isnan(here.moments.rows[:, 2])).sum(),) * 2
    assert 0 == here.skipped


MAPS = st.lists(
    st.dictionaries(
        st.sampled_from("abc"), st.one_of(st.floats(-10, 10), st.sampled_from(["red", "blue"]), st.none()), max_size=3
    ),
    min_size=1,
    max_size=300,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(xs=MAPS, cuts=st.lists(st.integers(1, 299), max_size=8))
def test_feature_statistics_do_not_depend_on_batches_also_when_columns_turn_up(
    xs: list[columns.Features], cuts: list[int]
) -> None:
    def observed(stops: list[int]) -> State:
        here, at = state.init(told(), columns.State(), "", ()), 0
        for stop in stops:
            new_columns, encoded = columns.encode(here.columns, xs[at:stop])
            here, at = learner.observe(here, new_columns, encoded.rows), stop
        return here

    xs = (xs * 300)[:300]
    whole, cut = observed([300]), observed(sorted({*cuts, 300}))
    assert whole.columns == cut.columns
    for name in ("count", "mean", "square", "rows"):
        np.testing.assert_array_equal(getattr(whole.moments, name), getattr(cut.moments, name))


@pytest.mark.parametrize("regularizer", ["l2", "l1"])
def test_a_model_that_outgrows_newton_goes_on_without_losing_what_it_says(regularizer: str) -> None:
    settings = told("auto")
    settings = replace(settings, penalty=replace(settings.penalty, kind=regularizer))
    here = learned(fixed("logistic", settings), settings, labels("logistic", 60))
    assert fit_of(here).covariance is not None
    X = np.random.default_rng(4).normal(size=(50, WIDTH))
    before = predictions(here, X)
    wide_columns = replace(
        here.columns, columns=(*here.columns.columns, *((f"n{i}", None) for i in range(600 - WIDTH)))
    )
    here = learner.observe(here, wide_columns, np.empty((0, 600)))
    x = np.concatenate([X[0], np.full(600 - WIDTH, np.nan)])
    here = learner.step(here, settings, Labeled(x, True, 1.0, False, 0))
    fit = fit_of(here)
    # L1 has no use for conjugate gradients.
    assert (601, "cg" if regularizer == "l2" else "sgdf") == (fit.model.size, fit.solver)
    assert (fit.descent is None) == (fit.solver == "cg")
    assert fit.covariance is None
    after = predictions(here, np.column_stack([X, np.full((50, 600 - WIDTH), np.nan)]))
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max()
    assert 0 == here.skipped


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@SOLVERS
def test_an_update_that_is_not_finite_is_skipped_and_counted_and_the_model_stays(solver: str) -> None:
    settings = told(solver, standardise=False)
    here = learned(fixed("squared", settings), settings, labels("squared", 40))
    before = fit_of(here)
    bad = Labeled(np.full(WIDTH, 1e308), 1e308, 1.0, False, 0)
    here = learner.settle(learner.step(here, settings, bad), settings)
    assert here.skipped >= 1
    assert here.failing >= 1
    assert np.isfinite(fit_of(here).theta).all()
    assert np.isfinite(here.tuner.log_precision)
    if solver == "newton":
        np.testing.assert_array_equal(before.theta, fit_of(here).theta)
    here = learner.settle(learner.revise(here, settings, 40, None), settings)
    assert 0 == here.failing
    assert np.isfinite(fit_of(here).theta).all()


@HEADS
@SOLVERS
def test_a_quiet_stream_settles(head: str, solver: str) -> None:
    settings = told(solver)
    here, rounds = learned(fixed(head, settings), settings, labels(head, 55)), 0
    settled = learner.settle(here, settings)
    while settled is not here:
        here, rounds = settled, rounds + 1
        settled = learner.settle(here, settings)
    assert rounds <= 60
    assert 0 == here.unfitted
    assert fit_of(here).residual < 0.3


def references(here: State) -> Data:
    seen = learner.view(here, with_references=True)
    assert seen is not None
    assert seen.references is not None
    return seen.references


def assert_are(given: list[Labeled], here: State, actual: Data) -> None:
    """These labels in this order, as the fit sees them."""
    frame = fit_of(here).frame
    np.testing.assert_array_equal(frame.design(np.array([label.x for label in given])), actual.X)
    target = np.array([problem.target(here.problem, label.y) for label in given])
    np.testing.assert_array_equal(frame.targets(target), actual.y)
    np.testing.assert_array_equal([label.weight for label in given], actual.w)


@HEADS
@SOLVERS
def test_references_are_the_newest_labels_that_the_model_has_learned(head: str, solver: str) -> None:
    settings, given = told(solver), labels(head, 151)
    here = learned(fixed(head, settings), settings, given)
    fitted = fit_of(here).end
    assert fitted == (151 if solver == "sgdf" else 149)  # a cut of two labels, then one of three
    assert_are(given[fitted - REFERENCES_MOST : fitted], here, references(here))
    assert learner.view(here).references is None  # type: ignore[union-attr]  # there is a model


@HEADS
def test_a_forgotten_label_is_no_reference_and_a_replaced_one_is_what_it_is_now(head: str) -> None:
    settings, given = told(), labels(head, 30)
    here = learned(fixed(head, settings), settings, given)
    here = learner.revise(learner.revise(here, settings, 4, None), settings, 7, given[20])
    assert_are([*given[:4], *given[5:7], given[20], *given[8:]], here, references(here))


def test_a_class_that_the_model_never_heard_of_is_no_reference() -> None:
    settings, given = told(), labels("logistic", 12)
    here = learned(fixed("logistic", settings), settings, given)
    kept = examples.replaced(here.examples, 5, given[5].x, "a third", 2.0, 1.0)  # and no fit could be made of it
    assert_are([*given[:5], *given[6:]], here, references(replace(here, examples=kept)))


def test_of_few_kept_labels_a_refit_is_as_often_due_as_of_few_labels() -> None:
    settings = told(keep=60)
    here = learned(start(settings), settings, labels("logistic", 400))
    for label in labels("logistic", 5, seed=1):
        here = learner.step(here, settings, label)
        assert 0 == here.unfitted
