"""Certificates: each failure is brought about on purpose and seen, and a sound tangent passes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core import certificate, sgdf
from streamlearn.core.certificate import Certificate
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import INCREASES, L2, Increasing
from tests.core.problems import HEADS, breast_cancer, diabetes, parameters, part, small, solved

SOUND = Certificate(0.01, 0.01, 0.5, 1.1, 0.3, 2.0)


@pytest.mark.parametrize("head", HEADS)
def test_an_exact_tangent_is_trusted(head: str) -> None:
    objective, data = small(head)
    state = solved(objective, data, 0.01)
    found = certificate.solved(objective, state.theta, state.log_tangent, data, 0.01)
    assert found.trusted
    assert found.residual < 1e-9
    H = objective.hessian(state.theta, data, 0.01)
    assert_allclose(found.curvature, state.log_tangent @ H @ state.log_tangent / np.square(state.log_tangent).sum())


@pytest.mark.parametrize(
    ("name", "value"), [("residual", 0.6), ("lag", 0.6), ("step", 1.1), ("growth", 20.0), ("curvature", -0.1)]
)
def test_each_measure_beyond_its_limit_is_a_failure_of_that_name(name: str, value: float) -> None:
    assert SOUND.trusted
    for bad in (value, math.nan):
        assert (name,) == replace(SOUND, **{name: bad}).failures


def run(objective: Objective, data: Data, regularity: float, rate: float, steps: int) -> tuple[sgdf.State, Certificate]:
    """SGDF from zero, judged at the end against a certificate at half time."""
    rng, state, norm = np.random.default_rng(0), sgdf.init(np.zeros(objective.model.size)), 0.0
    total = float(data.w.sum())
    critical = sgdf.critical_rate(objective, data, regularity, 8)
    for i in range(steps):
        if i == steps // 2:
            norm = float(np.linalg.norm(state.mean_log_tangent))
        batch = part(data, rng.integers(0, len(data.y), 8))
        state, _ = sgdf.step(state, objective, batch, total, regularity, rate * critical, 400)
    return state, certificate.stepped(
        objective, state.mean_theta, state.mean_log_tangent, data, regularity, state.travel, rate, norm
    )


def test_sgdf_is_trusted_after_enough_passes_and_not_before() -> None:
    objective, data = breast_cancer()
    assert "lag" in run(objective, data, 0.05, 0.5, 40)[1].failures
    late = run(objective, data, 0.05, 0.5, 6000)[1]
    assert late.trusted, late


def test_steps_beyond_the_critical_size_fail_by_step_and_by_growth() -> None:
    objective, data = diabetes()
    found = run(objective, data, 0.05, 4.0, 300)[1]
    assert {"step", "growth"} <= set(found.failures)


def test_the_lag_is_what_a_quadratic_is_short_of() -> None:
    # One parameter of curvature h, full batches of small steps: θ̇ from zero, in closed form.
    rate, h, b = 1e-3, 0.2, 1.0
    theta = tangent = 0.0
    for k in range(1, 20_001):
        theta, tangent = theta - rate * (h * theta - b), tangent - rate * (h * tangent + h * theta)
        if k % 4000 == 0:
            short = abs(tangent - -b / h) / (b / h)
            assert_allclose(certificate.lag(h * rate * k), short, rtol=0.02, atol=1e-4)


def test_negative_curvature_along_the_tangent_is_seen() -> None:
    objective, data = small("logistic")
    concave = replace(objective, regularizer=Increasing(L2(), INCREASES["log"]))
    theta = 50.0 * parameters(objective)
    found = certificate.solved(concave, theta, theta * objective.penalised, data, 1e3)
    assert "curvature" in found.failures
