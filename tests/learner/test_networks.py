"""The learner with a network in the place of the linear model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.config import Configuration, Model, Regularity, Training
from streamlearn.edges import networks
from streamlearn.errors import ConfigurationError
from streamlearn.learner import inverse, learner, penalty, settings
from streamlearn.learner.learner import Labeled
from streamlearn.learner.penalty import Penalty
from streamlearn.learner.settings import Settings
from tests.learner.streams import WIDTH, learned, start


def told(
    training: Training | None = None, kind: str = "mlp", regularity: Regularity | None = None, dtype: str = ""
) -> Settings:
    configuration = replace(
        Configuration(),
        model=Model(kind, hidden=(6,) if kind == "mlp" else (), dtype=dtype),
        training=training or Training(),
        regularity=regularity or Regularity(),
    )
    architecture = None if kind == "linear" else networks.architecture(configuration)
    return settings.from_configuration(configuration, architecture=architecture)


def rings(count: int, seed: int = 0) -> list[Labeled]:
    """Two classes that no line divides: near the middle and far from it."""
    X = np.random.default_rng(seed).normal(size=(count, WIDTH))
    inner = (X[:, :2] ** 2).sum(axis=1) < 1.4
    return [Labeled(X[i], bool(inner[i]), 1.0, False, 0) for i in range(count)]


def right(here: learner.State, given: list[Labeled]) -> float:
    """The share of labels that the model predicts."""
    fit = here.published
    assert fit is not None
    said = fit.model.loss.prediction(fit.model.outputs(fit.theta, fit.frame.design(np.stack([g.x for g in given]))))
    return float(np.mean([said[i] == float(bool(g.y)) for i, g in enumerate(given)]))


def test_a_network_learns_what_a_linear_model_cannot() -> None:
    given, test, shares = rings(250), rings(300, seed=1), {}
    for kind in ("linear", "mlp"):
        here = start(told(kind=kind), np.stack([label.x for label in given]))
        here = learned(here, told(kind=kind), given)
        for _ in range(3):  # quiet: there is time to go on
            here = learner.settle(here, told(kind=kind))
        shares[kind] = right(here, test)
    assert shares["mlp"] > 0.85 > 0.7 > shares["linear"]


def test_steps_that_are_far_too_large_are_counted_and_leave_nothing_that_is_not_finite() -> None:
    wild = told(Training(learning_rate=300.0))
    here = learned(start(wild), wild, rings(60))
    assert here.restarts + here.skipped > 0
    assert here.published is not None
    assert np.isfinite(here.published.theta).all()
    assert np.isfinite(here.published.log_tangent).all()
    assert not here.published.certificate.trusted


def test_a_tangent_that_waits_stays_at_zero_until_theta_has_settled() -> None:
    waiting = told(Training(tangent="settled"), regularity=Regularity(learn=False, fixed=0.05))
    here, first = start(waiting), True
    for label in rings(150):
        here = learner.step(here, waiting, label)
        fit = here.published
        if fit is not None and not fit.awake:
            assert not fit.log_tangent.any()
            first = False
    assert not first, "it never waited"
    here = learner.settle(here, waiting)
    fit = here.published
    assert fit is not None
    assert fit.awake
    assert fit.log_tangent.any()


def test_a_network_that_deviates_from_another_starts_there_and_under_a_large_precision_stays() -> None:
    plain = told(dtype="float64")
    base = learned(start(plain), plain, rings(120))
    assert base.published is not None
    origin = penalty.origin_of(base.published, base.columns, base.problem)
    close = replace(
        told(dtype="float64", regularity=Regularity(learn=False, fixed=100.0)), penalty=Penalty(origin=origin)
    )
    here = learned(start(close), close, rings(40, seed=7))
    assert here.published is not None
    at = here.published.model.free_at(())
    difference = here.published.theta - base.published.theta
    difference[at] = 0.0
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(base.published.theta)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_an_origin_of_another_kind_is_refused(kind: str) -> None:
    other = told(kind="linear" if kind == "mlp" else "mlp")
    base = learned(start(other), other, rings(30))
    assert base.published is not None
    origin = penalty.origin_of(base.published, base.columns, base.problem)
    here = replace(told(kind=kind), penalty=Penalty(origin=origin))
    with pytest.raises(ConfigurationError, match=r"^regularity\.origin holds a "):
        learned(start(here), here, rings(10))


def test_a_small_network_has_its_inverse_curvature_and_a_large_one_does_not() -> None:
    small = told()
    here = learned(start(small), small, rings(40))
    formed, fit = inverse.formed(here, small), here.published
    assert fit is not None
    assert formed is not None
    X = fit.frame.design(np.stack([label.x for label in rings(40)]))
    J = fit.model.pulled(fit.theta, np.ones((40, 1, 1)), X).astype(float)
    curvature = fit.model.loss.curvature(fit.model.outputs(fit.theta, X))[:, 0, 0]
    expected = (J * curvature) @ J.T
    free = np.zeros(len(fit.theta))
    free[fit.model.free_at(())] = 1.0
    expected += np.diag(40 * fit.regularity * (1.0 - free) + 0.01 * free)
    np.testing.assert_allclose(formed.covariance @ expected, np.eye(len(expected)), atol=2e-2)
    large = replace(
        fit,
        model=networks.architecture(replace(Configuration(), model=Model("mlp", hidden=(200,)))).model(
            fit.model.loss, 1, 4
        ),
    )
    assert not inverse.of_whole(large)


def test_with_other_numbers_it_goes_on_from_where_it_was() -> None:
    given, before = rings(60), told(dtype="float64")
    here = learned(start(before, np.stack([label.x for label in given])), before, given[:50])
    for dtype in ("float32", "float64"):
        here = learned(here, told(dtype=dtype), given[50:])
        assert here.fit is not None
        assert here.fit.theta.dtype == here.fit.log_tangent.dtype == np.dtype(dtype)
    assert here.skipped == 0
