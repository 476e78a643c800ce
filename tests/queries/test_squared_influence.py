"""Squared influences against their definitions: influence by influence, enumerated over y, summed in a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.core.problems import part, solved
from tests.queries import views
from tests.queries.views import HEADS

X, PENDING = views.design(7, 2), views.design(5, 3)
COUNTED = pytest.mark.parametrize("pending", [None, PENDING], ids=["none pending", "some pending"])
EVERY_HEAD = pytest.mark.parametrize("head", HEADS)
INFLUENCE = pytest.mark.parametrize("influence", ["si", "ssi", "sti"])
MANY = 25  # references: more than the parameters of any head


def score(strategy: str, view: View, rows: Array = X) -> Array:
    return STRATEGIES[strategy].score(view, rows, np.zeros(len(rows)))


def gathered(influence: str, each: list[Array], view: View) -> float:
    """What becomes of the influences on each reference (k, or one number)."""
    assert view.references is not None
    w = view.references.w
    if influence == "si":
        return float((each[most_wrong(view)] ** 2).sum())
    if influence == "ssi":
        return sum(float(w[j] * (each[j] ** 2).sum()) for j in range(len(w)))
    return float((sum(w[j] * each[j] for j in range(len(w))) ** 2).sum())


def most_wrong(view: View) -> int:
    assert view.references is not None
    gradients = view.model.loss.gradient(view.model.outputs(view.theta, view.references.X), view.references.y)
    return max(range(len(gradients)), key=lambda j: float(np.linalg.norm(gradients[j])))


def reference_gradients(view: View) -> Array:
    assert view.references is not None
    return view.model.example_gradients(view.theta, view.references.X, view.references.y)


def with_many_references(head: str, pending: Array | None) -> View:
    return replace(views.view(head, pending), references=views.references(head, MANY))


VIEWS: dict[str, Callable[[str, Array | None], View]] = {"few": views.view, "many": with_many_references}
HOW_MANY = pytest.mark.parametrize("view_of", VIEWS.values(), ids=VIEWS.keys())


@EVERY_HEAD
@COUNTED
@INFLUENCE
@HOW_MANY
def test_labeled_is_the_expected_square_of_influences_on_the_loss(
    head: str, pending: Array | None, influence: str, view_of: Callable[[str, Array | None], View]
) -> None:
    view = view_of(head, pending)
    A, G = view.covariance, reference_gradients(view)
    expected = [
        views.expected(head, x, lambda y, g: gathered(influence, [np.array(-g @ A @ u) for u in G], view)) for x in X
    ]
    np.testing.assert_allclose(score(influence, view), expected, rtol=1e-9)


@EVERY_HEAD
@COUNTED
@INFLUENCE
@HOW_MANY
def test_unlabeled_drops_the_factor_of_the_candidate(
    head: str, pending: Array | None, influence: str, view_of: Callable[[str, Array | None], View]
) -> None:
    view = view_of(head, pending)
    G, expected = reference_gradients(view), []
    for x in X:
        J = views.jacobian(head, x)
        expected.append(gathered(influence, [views.centred(head, -J @ view.covariance @ u) for u in G], view))
    np.testing.assert_allclose(score(f"{influence}-unlabeled", view), expected, rtol=1e-9)


@EVERY_HEAD
@COUNTED
@INFLUENCE
@HOW_MANY
def test_doubly_unlabeled_drops_the_factor_of_the_reference_too(
    head: str, pending: Array | None, influence: str, view_of: Callable[[str, Array | None], View]
) -> None:
    view, expected = view_of(head, pending), []
    assert view.references is not None
    J_u = [views.jacobian(head, u) for u in view.references.X]
    for x in X:
        J = views.jacobian(head, x)
        expected.append(gathered(influence, [views.centred(head, -J @ view.covariance @ u.T) for u in J_u], view))
    np.testing.assert_allclose(score(f"{influence}-doubly-unlabeled", view), expected, rtol=1e-9)


@pytest.mark.parametrize("form", ["", "-unlabeled"])
def test_the_order_under_the_squared_loss_is_that_of_the_candidates_response_in_every_form(form: str) -> None:
    view = views.view("squared")
    np.testing.assert_allclose(score("si", view), 0.37 * score("si-unlabeled", view), rtol=1e-12)
    ratio = score("si-unlabeled", view) / score("si-doubly-unlabeled", view)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


@EVERY_HEAD
@pytest.mark.parametrize("regularity", [0.02, 1.0])
def test_the_labeled_total_over_the_training_set_is_sld_at_an_optimum(head: str, regularity: float) -> None:
    model = Linear(views.LOSSES[head], views.OUTPUTS[head], views.COLUMNS)
    objective, data = Objective(model, 0.0), views.references(head, 60)
    state = solved(objective, data, regularity)
    view = View(model, state.theta, state.log_tangent, state.covariance, state.covariance, data)
    ratio = score("sti", view) / score("sld", view)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-8)
    assert (np.argsort(score("sti", view)) == np.argsort(score("sld", view))).all()
    ratio = score("sti-unlabeled", view) / score("sld-unlabeled", view)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-8)


@EVERY_HEAD
@pytest.mark.parametrize("form", ["", "-unlabeled", "-doubly-unlabeled"])
@INFLUENCE
def test_a_reference_of_twice_the_weight_is_two(head: str, influence: str, form: str) -> None:
    view, data = views.view(head), views.references(head)
    twice = np.repeat(np.arange(len(data.y)), np.where(data.w == 2.0, 2, 1))
    repeated = Data(data.X[twice], data.y[twice], np.where(data.w == 2.0, 1.0, data.w)[twice])
    expected = score(influence + form, replace(view, references=repeated))
    np.testing.assert_allclose(score(influence + form, view), expected, rtol=1e-10)


def test_without_any_reference_nothing_can_be_judged() -> None:
    view = replace(views.view("logistic"), references=part(views.references("logistic"), np.arange(0)))
    for name in ("si", "ssi-unlabeled", "sti-doubly-unlabeled"):
        assert np.isnan(score(name, view)).all()


def test_a_common_shift_of_all_logits_does_not_count_though_its_variance_is_the_largest() -> None:
    view = views.view("softmax")
    J = views.jacobian("softmax", X[0])
    spread = J @ view.covariance @ J.T
    shift = float(np.ones(4) @ spread @ np.ones(4)) / 4.0
    assert shift > 0.5 * float(np.trace(spread))
    widened = view.covariance + np.kron(np.ones((4, 4)), np.eye(views.COLUMNS))
    for name in ("si-doubly-unlabeled", "ssi-doubly-unlabeled", "sti-doubly-unlabeled"):
        np.testing.assert_allclose(score(name, replace(view, covariance=widened)), score(name, view), rtol=1e-9)
