"""What a network ends with when it settles, against conjugate gradients of the test's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, cg
from sklearn.datasets import load_digits

from streamlearn.config import Configuration, Model, Regularity
from streamlearn.core.losses import Array
from streamlearn.edges import networks
from streamlearn.learner import columns, learner, polishing, settings, state, stochastic
from streamlearn.learner.fit import Fit
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

pytest.importorskip("torch")
LABELS = 120


def told(validation: str = "progressive") -> Settings:
    configuration = replace(
        Configuration(), model=Model("mlp", hidden=(16,)), regularity=Regularity(validation=validation)
    )
    return settings.from_configuration(configuration, architecture=networks.architecture(configuration))


def taught(as_told: Settings, seed: int) -> tuple[State, list[Labeled]]:
    """Digits, before the stream is quiet; and more of them."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    new_columns, encoded = columns.encode(columns.State(), X.tolist())
    here = learner.observe(state.init(as_told, columns.State(), "", ()), new_columns, encoded.rows)
    given = [Labeled(encoded.rows[i], f"{y[i]}", 1.0, False, as_told.fold(j % 10 / 10)) for j, i in enumerate(order)]
    for label in given[:LABELS]:
        here = learner.step(here, as_told, label)
    return here, given[LABELS:]


def settled(here: State, as_told: Settings) -> State:
    while here.unfitted:
        here = learner.settle(here, as_told)
    return here


def solution(here: State, as_told: Settings, fit: Fit, which: str = "all") -> Array:
    """θ̇ at the fit's θ by scipy, on the same curvature."""
    whole = state.objective(here, as_told, fit.model, fit.frame)
    examples = state.data(here, as_told, fit.frame, here.examples.end, which)
    product = whole.linearised(fit.theta, examples, fit.regularity)
    H = LinearOperator((len(fit.theta),) * 2, matvec=lambda v: product(v.astype(fit.theta.dtype)).astype(float))
    found, _ = cg(H, -fit.regularity * whole.complexity_gradient(fit.theta).astype(float), rtol=1e-3)
    return np.asarray(found)


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize("seed", range(2))
def test_the_tangent_of_a_settled_network_solves_its_equation(seed: int) -> None:
    here, _ = taught(told(), seed)
    here = settled(here, told())
    fit = here.published
    assert fit is not None
    assert cosine(fit.log_tangent, solution(here, told(), fit)) > 0.95
    assert fit.residual < 0.02


def test_with_a_holdout_both_fits_are_polished_each_on_its_own_examples() -> None:
    as_told = replace(told("holdout"), learn_regularity=False, fixed_regularity=1e-2)
    here = settled(taught(as_told, 0)[0], as_told)
    assert here.fit is not None
    assert here.published is not None
    assert cosine(here.fit.log_tangent, solution(here, as_told, here.fit, "train")) > 0.95
    assert cosine(here.published.log_tangent, solution(here, as_told, here.published)) > 0.95
    assert cosine(here.fit.log_tangent, here.published.log_tangent) < 0.95


def test_theta_goes_on_down_to_where_its_gradient_is_small_against_the_regularitys() -> None:
    here = taught(told(), 0)[0]
    after = polishing.polished(here, told())
    slopes = []
    for fit in (here.published, after.published):
        assert fit is not None
        whole = state.objective(here, told(), fit.model, fit.frame)
        examples = state.data(here, told(), fit.frame, here.examples.end, "all")
        loss, gradient = whole.value_gradient(fit.theta, examples, fit.regularity)
        slopes.append((loss, float(np.linalg.norm(gradient))))
    (loss, slope), (loss_after, slope_after) = slopes
    assert loss_after < loss
    assert slope_after < 0.5 * slope


def test_steps_go_on_from_there() -> None:
    here, more = taught(told(), 0)
    here = settled(here, told())
    after = learner.step(here, told(), more[0])
    assert here.published is not None
    assert after.published is not None
    moved = np.linalg.norm(after.published.theta - here.published.theta)
    assert 0.0 < moved < 0.1 * np.linalg.norm(here.published.theta)
    assert cosine(after.published.log_tangent, here.published.log_tangent) > 0.8


def left_alone(here: State, as_told: Settings) -> bool:
    after = polishing.polished(here, as_told)
    return after.fit is here.fit and after.published is here.published


def test_what_would_take_too_long_is_left_to_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    here = taught(told(), 0)[0]
    size = 1210  # 64 inputs, 16 hidden units, 10 outputs, and biases
    assert here.fit is not None
    assert size == here.fit.model.size
    assert polishing.products_most(LABELS, size) > 1000
    assert polishing.products_most(4000, 200_000) < polishing.PRODUCTS_LEAST
    monkeypatch.setattr(polishing, "WORK_MOST", 0.9 * polishing.PRODUCTS_LEAST * LABELS * size)
    assert left_alone(here, told())


def test_a_regularizer_with_kinks_is_left_to_the_steps() -> None:
    lasso = replace(told(), penalty=replace(told().penalty, kind="l1"))
    assert left_alone(taught(lasso, 0)[0], lasso)


def test_settling_that_comes_to_no_rest_ends_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here = taught(told(), 0)[0]
    monkeypatch.setattr(stochastic, "SETTLE_ROUNDS_MOST", 1)
    after = settled(here, told())
    assert after.fit is not None
    assert 0.1 < after.fit.residual


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.soak)])
def test_the_next_label_does_not_take_trust_away(optimizer: str) -> None:
    as_told = replace(told(), optimizer=optimizer, learn_regularity=False, fixed_regularity=1e-3)
    here, more = taught(as_told, 0)
    here = settled(here, as_told)
    assert here.published is not None
    assert here.published.certificate.trusted
    after = learner.step(here, as_told, more[0])
    assert after.published is not None
    assert after.published.certificate.failures == ()


def test_a_label_given_anew_brings_a_labels_steps_on_itself_and_the_rest_when_it_is_quiet() -> None:
    here, more = taught(told(), 0)
    here = settled(here, told())
    serial = here.examples.first + 3
    before = here.examples.target[3]
    other = next(label for label in more if label.y != here.examples.y[3])
    corrected = Labeled(here.examples.X[3], other.y, 1.0, False, 0)
    after = learner.revise(here, told(), serial, corrected)
    assert here.fit is not None
    assert here.fit.descent is not None
    assert after.fit is not None
    assert after.fit.descent is not None
    assert after.fit.descent.steps == here.fit.descent.steps + told().steps_per_label
    assert after.examples.target[3] != before
    assert after.unfitted == 1
    x = here.fit.frame.design(here.examples.X[3:4])
    wanted = int(after.examples.target[3])
    at_once, later = (fit and fit.model.outputs(fit.theta, x)[0] for fit in (after.fit, settled(after, told()).fit))
    was = here.fit.model.outputs(here.fit.theta, x)[0]
    assert at_once is not None
    assert later is not None
    assert was[wanted] < at_once[wanted] < later[wanted]
