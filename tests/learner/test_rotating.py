"""λ learned while the held-out fold rotates, and by leave-one-out, in the closed loop of the learner, against a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.config import Configuration, Regularity, Training, Validation
from streamlearn.core import validation
from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, settings, state
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.learner import streams
from tests.learner.test_holdout import breast_cancer, diabetes

FOLDS, LABELS = 5, 150
GRID = np.geomspace(1e-2, 1e3, 13)  # of α = λW


def told(protocol: str, start: float, solver: str = "newton", regularizer: str = "l2") -> Settings:
    regularity = Regularity(
        validation=protocol, initial_precision=start, precision_bounds=(1e-4, 1e5), regularizer=regularizer
    )
    return settings.from_configuration(
        replace(
            Configuration(),
            regularity=regularity,
            training=Training(solver=solver),
            validation=Validation(folds=FOLDS),
        )
    )


def learned(data: tuple[Array, list], told: Settings, fold: Array) -> State:
    """The learner after LABELS labels at random, settled."""
    X, y = data
    order = np.random.default_rng(0).permutation(len(y))[:LABELS]
    here = state.init(told, columns.State(), "", ())
    new_columns, encoded = columns.encode(here.columns, X[order].tolist())
    here = learner.observe(here, new_columns, encoded.rows)
    for count, i in enumerate(order):
        here = learner.step(here, told, Labeled(encoded.rows[count], y[i], 1.0, False, int(fold[count])))
    before = None
    while here is not before:
        before, here = here, learner.settle(here, told)
    return here


def cost(here: State, told: Settings, which: Array, learned: list[float]) -> tuple[Array, Array]:
    """What learned values of ρ cost over the grid's best, in nats of the anchored error by refits without each of the groups
    in `which`, and α over the best."""
    fit = here.published
    assert fit is not None
    train = state.data(here, told, fit.frame, here.examples.end, "all")
    whole = state.objective(here, told, fit.model, fit.frame)
    alphas = np.exp(learned)
    grid = validation.choose(validation.refitted(whole, train, GRID, which), train.w, GRID, anchored=True)
    reached = validation.choose(validation.refitted(whole, train, alphas, which), train.w, alphas, anchored=True)
    return (reached.errors - grid.errors.min()) * train.w.sum(), alphas / grid.precision


@pytest.fixture(scope="module")
def fold() -> Array:
    return 1 + validation.folds(LABELS, FOLDS, np.random.default_rng(1))


@pytest.mark.parametrize("load", [breast_cancer, diabetes])
def test_leave_one_out_ends_within_a_factor_of_one_and_a_half_of_the_best_by_refits(load) -> None:
    given = [told("leave-one-out", start) for start in (1e-2, 1e3)]
    ends = [learned(load(), each, np.zeros(LABELS)) for each in given]
    nats, factors = cost(ends[0], given[0], np.arange(LABELS), [end.tuner.log_precision for end in ends])
    assert nats.max() < 0.1
    assert ((factors > 1 / 1.5) & (factors < 1.5)).all()


@pytest.mark.parametrize("load", [breast_cancer, diabetes])
def test_rotating_folds_end_near_the_best_of_all_of_them(load, fold: Array) -> None:
    given = [told("rotating", start) for start in (1e-2, 1e1, 1e3)]
    ends = [learned(load(), each, fold) for each in given]
    nats, factors = cost(ends[0], given[0], fold, [end.tuner.log_precision for end in ends])
    assert nats.max() < 0.1
    assert ((factors > 1 / 2) & (factors < 2)).all()


@pytest.mark.parametrize("load", [breast_cancer, diabetes])
def test_rotating_folds_do_not_let_sgdf_collapse(load, fold: Array) -> None:
    """A θ that still remembers the fold it is tested on would prefer less λ, and with less λ remember it longer."""
    given = told("rotating", 10.0, "sgdf")
    here = learned(load(), given, fold)
    nats, factors = cost(here, given, fold, [here.tuner.log_precision])
    assert nats[0] < 2.5
    assert factors[0] > 0.5


def test_sgdf_moves_rho_only_once_the_fold_is_forgotten_and_not_while_the_stream_is_quiet() -> None:
    given, labels = told("rotating", 10.0, "sgdf"), streams.labels("logistic", 120, folds=FOLDS)
    here, moved = streams.start(given), {True: 0, False: 0}
    for label in labels:
        before, here = here, learner.step(here, given, label)
        moved[here.forgetting > 0.0] += here.tuner != before.tuner
    assert 0 == moved[True]
    assert moved[False] > 20
    settled = learner.settle(here, given)
    assert here.tuner.log_precision == settled.tuner.log_precision
    assert settled.updates > here.updates


def test_leave_one_out_goes_along_the_orthants_of_l1() -> None:
    given = told("leave-one-out", 300.0, regularizer="l1")
    here = learned(diabetes(), given, np.zeros(LABELS))
    nats, _ = cost(here, given, np.arange(LABELS), [here.tuner.log_precision])
    assert nats[0] < 0.1


@pytest.mark.parametrize("solver", ["newton", "sgdf"])
def test_the_fit_that_tunes_never_saw_the_fold_that_is_held_out_and_what_is_published_saw_all(solver: str) -> None:
    given, labels = told("rotating", 10.0, solver), streams.labels("logistic", 60, folds=FOLDS)
    here, turns = streams.start(given), set()
    for label in labels:
        here = learner.step(here, given, label)
        if here.fit is None or here.published is None:
            continue
        turns.add(state.held(here, given))
        train = state.data(here, given, here.fit.frame, here.examples.end, "train")
        kept = [each for each in labels[: here.examples.end] if each.fold != state.held(here, given)]
        assert len(kept) == len(train.y)
        if solver == "newton" and here.unfitted == 0:
            whole = state.objective(here, given, here.fit.model, here.fit.frame)
            _, gradient = whole.value_gradient(here.fit.theta, train, here.fit.regularity)
            assert np.abs(gradient).max() < 1e-8
            every = state.data(here, given, here.published.frame, here.examples.end, "all")
            _, gradient = whole.value_gradient(here.published.theta, every, here.published.regularity)
            assert np.abs(gradient).max() < 1e-8
    assert {*range(1, FOLDS + 1)} == turns if solver == "newton" else len(turns) > 1


@pytest.mark.parametrize("solver", ["newton", "sgdf"])
def test_one_fold_alone_is_trained_on_and_nothing_is_tested(solver: str) -> None:
    given = told("rotating", 10.0, solver)
    here = streams.learned(
        streams.start(given, classes=(False, True)),
        given,
        [replace(label, fold=1) for label in streams.labels("logistic", 12)],
    )
    assert here.fit is not None
    assert (0, 0, 10.0) == (here.failing, here.skipped, pytest.approx(np.exp(here.tuner.log_precision)))
    assert state.held(here, given) != 1


def test_without_h_inverse_leave_one_out_falls_back_on_progressive_validation() -> None:
    labels = streams.labels("logistic", 60)
    plain, other = told("progressive", 10.0, "sgdf"), told("leave-one-out", 10.0, "sgdf")
    a, b = (streams.learned(streams.start(each), each, labels) for each in (plain, other))
    assert a.tuner == b.tuner
    assert a.tuner.log_precision != np.log(10.0)
