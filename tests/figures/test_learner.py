"""The active learner of polynomials, a round of it by hand."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from streamlearn.figures import learner
from streamlearn.figures.learner import CANDIDATES, PRECISIONS, QUERIES
from streamlearn.queries.choose import STRATEGIES


def left_out_error(X: np.ndarray, y: np.ndarray, alpha: float) -> float:
    """By refits without each point, on the summed objective."""
    total = 0.0
    for i in range(len(y)):
        rows = np.arange(len(y)) != i
        theta = np.linalg.solve(X[rows].T @ X[rows] + alpha * np.eye(6), X[rows].T @ y[rows])
        total += 0.5 * float(X[i] @ theta - y[i]) ** 2
    return total / len(y)


def test_a_round_is_the_best_alpha_by_leave_one_out_and_the_question_of_the_largest_predictive_variance() -> None:
    given = learner.problem(3)
    X, y = given.start.X, given.start.y
    errors = [left_out_error(X, y, alpha) for alpha in PRECISIONS]
    alpha, state = learner.learn(given.start)
    assert PRECISIONS[int(np.argmin(errors))] == alpha
    theta = np.linalg.solve(X.T @ X + alpha * np.eye(6), X.T @ y)
    assert_allclose(state.theta, theta, rtol=1e-6)
    first, second = learner.curve(STRATEGIES["leverage"], 3)[:2]
    assert_allclose(first.loss, ((given.places @ theta - given.truth) ** 2).mean(), rtol=1e-6)
    inverse = np.linalg.inv(X.T @ X + alpha * np.eye(6))
    asked = int(np.argmax(np.einsum("nd,de,ne->n", given.candidates.X, inverse, given.candidates.X)))
    X, y = np.vstack([X, given.candidates.X[asked]]), np.append(y, given.candidates.y[asked])
    alpha = PRECISIONS[int(np.argmin([left_out_error(X, y, each) for each in PRECISIONS]))]
    theta = np.linalg.solve(X.T @ X + alpha * np.eye(6), X.T @ y)
    assert_allclose(second.loss, ((given.places @ theta - given.truth) ** 2).mean(), rtol=1e-5)


def test_each_round_brings_one_label_and_chance_depends_on_seed_and_salt_alone() -> None:
    random = STRATEGIES["random"]
    once, again, other = learner.curve(random, 1), learner.curve(random, 1), learner.curve(random, 1, salt=5)
    assert once == again
    assert once[0] == other[0]
    assert once[1:] != other[1:]
    assert [6 + i for i in range(QUERIES + 1)] == [point.labels for point in once]
    assert QUERIES < CANDIDATES


def refitted(X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """θ by least squares on the data with six rows more, which say that it is zero."""
    rows = np.concatenate([X, np.sqrt(alpha) * np.eye(6)])
    return np.asarray(np.linalg.lstsq(rows, np.append(y, np.zeros(6)), rcond=None)[0])


def test_sld_asks_where_refits_at_another_regularity_differ_most() -> None:
    given = learner.problem(3)
    X, y, losses = given.start.X, given.start.y, list[float]()
    for _ in range(3):
        alpha = PRECISIONS[int(np.argmin([left_out_error(X, y, each) for each in PRECISIONS]))]
        losses.append(float(((given.places @ refitted(X, y, alpha) - given.truth) ** 2).mean()))
        difference = refitted(X, y, alpha * 1.0001) - refitted(X, y, alpha / 1.0001)
        asked = int(np.argmax((given.candidates.X @ difference) ** 2))
        X, y = np.vstack([X, given.candidates.X[asked]]), np.append(y, given.candidates.y[asked])
    assert_allclose([point.loss for point in learner.curve(STRATEGIES["sld"], 3)[:3]], losses, rtol=1e-5)


def test_the_truth_is_a_polynomial_and_the_labels_have_the_noise() -> None:
    given = learner.problem(3)
    coefficients = np.linalg.lstsq(given.places, given.truth, rcond=None)[0]
    assert_allclose(given.places @ coefficients, given.truth, atol=1e-12)
    assert_allclose((given.candidates.y - given.candidates.X @ coefficients).std(), learner.NOISE, rtol=0.15)
