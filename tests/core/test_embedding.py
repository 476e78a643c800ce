"""The random embedding on a problem twice its size, against the direct optimum and tangent."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.core import embedding
from streamlearn.core.embedding import State
from streamlearn.core.objective import Data
from tests.core.problems import breast_cancer, parameters, relative, small, solved
from tests.core.test_conjugate import digits


def test_on_digits_with_650_parameters_300_at_a_time_lead_to_the_optimum_and_its_tangent() -> None:
    objective, data = digits(200)
    direct, generator = solved(objective, data, 1e-2), np.random.default_rng(0)
    state, values, errors = embedding.init(np.zeros(650)), [], []
    for _ in range(30):
        state, info = embedding.step(state, objective, data, 1e-2, generator)
        assert info.ok
        assert (650, embedding.KEPT) == state.basis.shape
        values.append(info.value)
        errors.append(relative(state.log_tangent, direct.log_tangent))
    best, _ = objective.value_gradient(direct.theta, data, 1e-2)
    assert np.all(np.diff(values) < 1e-12)
    assert values[-1] - best < 1e-3 * best
    # As close as that and no closer: what a round takes away is the share that it holds of the directions.
    assert relative(state.theta, direct.theta) < 0.1
    assert errors[-1] < 0.1
    assert errors[-1] < 0.5 * errors[15] < 0.5 * errors[5]


def test_what_curved_most_is_kept_which_random_directions_alone_would_forget() -> None:
    objective, data = digits(200)
    H = objective.hessian(np.zeros(650), data, 1e-2)
    state, generator = embedding.init(np.zeros(650)), np.random.default_rng(0)
    for _ in range(6):  # at one θ, so that there is one Hessian to know
        state, _ = embedding.step(State(np.zeros(650), np.zeros(650), state.basis), objective, data, 1e-2, generator)
    held = np.trace(state.basis.T @ H @ state.basis)
    best = np.linalg.eigvalsh(H)[-150:].sum()
    other, _ = np.linalg.qr(generator.standard_normal((650, 150)))
    assert held > 0.9 * best
    assert np.trace(other.T @ H @ other) < 0.5 * best


def test_where_it_holds_all_directions_a_round_is_a_newton_step_with_its_tangent() -> None:
    objective, data = breast_cancer()
    state, generator = embedding.init(np.zeros(31)), np.random.default_rng(0)
    for _ in range(12):
        state, info = embedding.step(state, objective, data, 1e-2, generator)
    direct = solved(objective, data, 1e-2)
    assert relative(state.theta, direct.theta) < 1e-9
    assert relative(state.log_tangent, direct.log_tangent) < 1e-7
    assert info.residual < 1e-7


def test_the_same_generator_gives_the_same_bits_and_a_step_leaves_its_input_unchanged() -> None:
    objective, data = small("softmax")
    start = State(parameters(objective), parameters(objective, 2), np.empty((15, 0)))
    copies = [start.theta.copy(), start.log_tangent.copy()]
    ends = [embedding.step(start, objective, data, 0.1, np.random.default_rng(4), 8, 4)[0] for _ in range(2)]
    np.testing.assert_array_equal(ends[0].theta, ends[1].theta)
    np.testing.assert_array_equal(ends[0].basis, ends[1].basis)
    np.testing.assert_array_equal(copies[0], start.theta)
    np.testing.assert_array_equal(copies[1], start.log_tangent)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_not_finite_are_reported(bad: float) -> None:
    objective, data = small("logistic")
    before = embedding.init(np.zeros(5))
    X = data.X.copy()
    X[3, 2] = bad
    after, info = embedding.step(before, objective, Data(X, data.y, data.w), 0.1, np.random.default_rng(0))
    assert not info.ok
    assert after is before
