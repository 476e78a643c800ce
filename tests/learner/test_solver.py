"""Which solver `auto` takes, that more never leads back, and that a fit goes from one to the next and through a restart."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from streamlearn.config import Configuration, Training
from streamlearn.learner import columns, exact, examples, learner, problem, settings, solver, state
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.core.problems import relative
from tests.learner.streams import labels, learned, start, told

ORDER = {"newton": 0, "cg": 1, "sgdf": 2}


def holding(count: int, outputs: int, width: int) -> State:
    """A learner with so many labels, classes and features, as far as the choice looks at them."""
    here = state.init(told("auto"), columns.State(), "", ())
    known = columns.State("array", tuple((f"x{j}", None) for j in range(width)))
    kind = problem.State("softmax" if outputs > 1 else "logistic", tuple(f"c{c}" for c in range(max(outputs, 2))))
    kept = replace(examples.init(width), end=count)
    return replace(here, columns=known, problem=kind, examples=kept)


def chosen(count: int, outputs: int, width: int, **more: object) -> str:
    return solver.choose(holding(count, outputs, width), replace(told("auto"), **more))  # type: ignore[arg-type]


def test_a_few_hundred_parameters_are_newtons_what_one_batch_holds_is_cgs_the_rest_is_sgdfs() -> None:
    assert "newton" == chosen(1000, 1, 30)
    assert "newton" == chosen(100, 10, 50)
    assert "cg" == chosen(1000, 10, 64)
    assert "cg" == chosen(100, 1, 4000)
    assert "sgdf" == chosen(100_000, 10, 64)
    assert "sgdf" == chosen(50_000, 1, 4000)


def test_more_labels_outputs_or_columns_never_lead_back() -> None:
    counts, outputs, widths = (1, 50, 1000, 20_000, 10**6), (1, 3, 10, 60, 256), (1, 30, 300, 1000, 4000)
    table = {(n, k, w): ORDER[chosen(n, k, w)] for n in counts for k in outputs for w in widths}
    for axis, values in enumerate((counts, outputs, widths)):
        for (n, k, w), before in table.items():
            here = [n, k, w]
            for less, more in pairwise(values):
                if here[axis] == less:
                    assert table[(*here[:axis], more, *here[axis + 1 :])] >= before  # type: ignore[index]
    assert {0, 1, 2} == set(table.values())


def test_only_the_labels_that_are_kept_count() -> None:
    assert "cg" == chosen(10**6, 10, 64, keep=1000)


def test_what_is_configured_is_taken_whatever_it_costs() -> None:
    for name in ORDER:
        assert name == chosen(10**6, 10, 4000, solver=name)


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("validation", ["progressive", "holdout"])
def test_conjugate_gradients_learn_what_newton_learns(head: str, validation: str) -> None:
    ends = []
    for name in ("newton", "cg"):
        settings = told(name, validation)
        ends.append(learned(start(settings), settings, labels(head, 80, test_share=0.3)))
    by_newton, by_products = (end.published for end in ends)
    assert by_newton is not None
    assert by_products is not None
    assert (by_newton.covariance is not None, by_products.covariance) == (True, None)
    assert relative(by_products.theta, by_newton.theta) < 1e-4
    assert relative(by_products.log_tangent, by_newton.log_tangent) < 1e-4
    assert ends[0].tuner.log_precision == pytest.approx(ends[1].tuner.log_precision, abs=1e-4)


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("validation", ["progressive", "holdout"])
def test_a_change_of_solver_starts_from_where_the_other_was(head: str, validation: str) -> None:
    given = labels(head, 300, test_share=0.3)
    here = learned(start(told("newton", validation)), told("newton", validation), given[:200])
    here = learner.settle(here, told("newton", validation))
    for number, name in enumerate(
        ("cg", "sgdf", "cg", "newton")
    ):  # a cut is four labels here: none of them is due by that
        before, there = here, told(name, validation)
        here = learned(here, there, given[200 + number : 201 + number])
        assert (name, name) == (fit(here).solver, fit(before, "published") and fit(here, "published").solver)
        assert (fit(here).covariance is None) == (name != "newton")
        assert (fit(here).descent is None) == (name != "sgdf")
        assert 0 == here.skipped
        rows = np.array([label.x for label in given])
        outputs = [
            each.model.outputs(each.theta, each.frame.design(rows)) * each.frame.target_scale
            for each in (fit(before), fit(here))
        ]
        assert relative(*outputs) < 0.2


def fit(here: State, which: str = "fit") -> Fit:
    found: Fit | None = getattr(here, which)
    assert found is not None
    return found


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
def test_other_optimizers_need_no_rate_and_settle_near_the_exact_fit(head: str, optimizer: str) -> None:
    settings = replace(told("sgdf", learn=False), optimizer=optimizer)
    given = labels(head, 80)
    here = learned(start(settings), settings, given)
    for _ in range(20):
        here = learner.settle(here, settings)
    direct = exact.refit(here, told("newton", learn=False))
    rows = np.array([label.x for label in given])
    responses = [
        np.concatenate(each.model.response(each.theta, each.log_tangent, each.frame.design(rows)))
        for each in (fit(here), fit(direct))
    ]
    assert 0 == here.skipped
    assert relative(*responses) < 0.1


def test_another_optimizer_after_a_restart_takes_a_rate_of_its_own() -> None:
    here, rates = start(told("sgdf")), {}
    here = learned(here, told("sgdf"), labels("logistic", 60))
    for optimizer in ("adam", "adagrad", "sgd"):
        here = learned(here, replace(told("sgdf"), optimizer=optimizer), labels("logistic", 1, seed=5))
        scaling = fit(here).descent.scaling  # type: ignore[union-attr]
        assert optimizer == fit(here).optimizer
        assert (optimizer == "sgd") == (scaling is None)
        rates[optimizer] = fit(here).rate
    assert 3 == len(set(rates.values()))


def squared(**more: object) -> Settings:
    return settings.from_configuration(replace(Configuration(), training=Training(**more)))  # type: ignore[arg-type]


def test_the_squared_loss_has_the_same_covariance_after_a_restart_to_the_last_bit() -> None:
    here = learned(start(squared()), squared(), labels("squared", 60))
    again = exact.with_covariance(replace(fit(here), covariance=None), here, squared(), "all")
    np.testing.assert_array_equal(fit(here).covariance, again.covariance)
