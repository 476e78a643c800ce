"""Influence functions against refits with one example weighing more or less, a solver of their own, and enumeration over y."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse.linalg import LinearOperator, cg
from scipy.stats import poisson

from streamlearn.core import influence, newton, orthant
from streamlearn.core.losses import Array, Poisson
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L1, Regularizer
from tests.core.problems import breast_cancer, part, relative, small, solved

HEADS = ("squared", "logistic", "softmax", "poisson")
LAMBDA, EPSILON = 0.03, 2e-5
heads = pytest.mark.parametrize("head", HEADS)


@cache
def problem(head: str, anchor: float = 0.01) -> tuple[Objective, Data]:
    objective, data = small("squared" if head == "poisson" else head, anchor)
    if head == "poisson":
        rate = np.exp(0.5 + data.X @ [0.0, 0.6, -0.4, 0.2, 0.0])
        counts = np.random.default_rng(4).poisson(rate).astype(float)
        objective, data = Objective(Linear(Poisson(), 1, 5), anchor), Data(data.X, counts, data.w)
    return objective, data


@cache
def fitted(head: str, anchor: float = 0.01) -> tuple[Objective, Data, newton.State]:
    objective, data = problem(head, anchor)
    return objective, data, solved(objective, data, LAMBDA)


def others(head: str) -> Data:
    """Points that the model was not trained on."""
    _, data = problem(head)
    X = data.X[:7] + np.random.default_rng(2).normal(size=(7, 5)) * [0.0, 1.0, 1.0, 1.0, 1.0]
    return Data(X, data.y[7:14], data.w[:7])


def upweighted(
    objective: Objective, data: Data, state: newton.State, points: Data, i: int, epsilon: float, regularity: float
) -> Array:
    """The optimum of L + ε ℓ(zᵢ): the point joins with weight εW, and λ is smaller as the total weight is larger."""
    W = float(data.w.sum())
    joined = Data(np.vstack([data.X, points.X[i]]), np.append(data.y, points.y[i]), np.append(data.w, epsilon * W))
    solver = newton if objective.regularizer.smooth else orthant
    there, info = solver.step(state, objective, joined, regularity / (1.0 + epsilon))
    assert info.ok
    return there.theta


def slopes(
    objective: Objective, data: Data, state: newton.State, points: Data, regularity: float = LAMBDA
) -> tuple[Array, Array]:
    """dθ/dε (n, d) by central differences of optima; the two optima of each, (n, 2, d)."""
    optima = np.array(
        [
            [upweighted(objective, data, state, points, i, sign * EPSILON, regularity) for sign in (-1.0, 1.0)]
            for i in range(len(points.y))
        ]
    )
    return (optima[:, 1] - optima[:, 0]) / (2.0 * EPSILON), optima


@heads
def test_on_parameters_is_the_slope_of_refits_with_the_example_weighing_more(head: str) -> None:
    objective, data, state = fitted(head)
    for points in (others(head), part(data, np.arange(5))):
        expected, _ = slopes(objective, data, state, points)
        assert relative(influence.on_parameters(objective, data, state, points), expected) < 1e-5


@heads
def test_on_losses_is_the_slope_of_the_losses_under_those_refits(head: str) -> None:
    objective, data, state = fitted(head)
    points, at = others(head), part(data, np.arange(10, 30))
    _, optima = slopes(objective, data, state, points)
    losses = np.array(
        [[objective.model.loss.value(objective.model.outputs(t, at.X), at.y) for t in pair] for pair in optima]
    )
    expected = (losses[:, 1] - losses[:, 0]) / (2.0 * EPSILON)
    assert relative(influence.on_losses(objective, data, state, points, at), expected) < 1e-5


@heads
def test_on_complexity_is_the_slope_of_r_under_those_refits(head: str) -> None:
    objective, data, state = fitted(head)
    _, optima = slopes(objective, data, state, others(head))
    R = np.array([[objective.complexity(theta) for theta in pair] for pair in optima])
    expected = (R[:, 1] - R[:, 0]) / (2.0 * EPSILON)
    assert relative(influence.on_complexity(objective, data, state, others(head)), expected) < 1e-5


@heads
def test_on_complexity_is_the_slope_of_the_loss_by_the_regularity(head: str) -> None:
    objective, data, state = fitted(head)
    points, h = others(head), 1e-4
    losses = [
        objective.model.loss.value(
            objective.model.outputs(solved(objective, data, LAMBDA * (1.0 + s)).theta, points.X), points.y
        )
        for s in (-h, h)
    ]
    expected = (losses[1] - losses[0]) / (2.0 * h * LAMBDA)
    assert relative(influence.on_complexity(objective, data, state, points), expected) < 1e-5


@pytest.mark.parametrize("regularizer", [L1(), L1(np.full(4, 0.3))])
def test_parameters_that_stand_on_a_kink_are_not_moved(regularizer: Regularizer) -> None:
    objective, data = problem("logistic")
    objective = Objective(objective.model, objective.anchor, regularizer)
    state, info = orthant.step(newton.init(5), objective, data, 0.15)
    assert info.ok
    assert 1 < objective.moving(state.theta).sum() < 5
    expected, _ = slopes(objective, data, state, others("logistic"), 0.15)
    assert relative(influence.on_parameters(objective, data, state, others("logistic")), expected) < 1e-5


def test_on_breast_cancer_conjugate_gradients_find_the_same() -> None:
    objective, data = breast_cancer()
    state = solved(objective, data, LAMBDA)
    points, d = part(data, np.arange(0, 569, 80)), objective.model.size
    H = LinearOperator((d, d), matvec=lambda v: objective.hvp(state.theta, v, data, LAMBDA), dtype=float)
    expected = []
    for g in objective.model.example_gradients(state.theta, points.X, points.y):
        solution, failed = cg(H, -g, rtol=1e-12, maxiter=1000)
        assert failed == 0
        expected.append(solution)
    assert relative(influence.on_parameters(objective, data, state, points), np.array(expected)) < 1e-9


@heads
def test_influence_on_losses_is_symmetric_and_on_ones_own_never_positive(head: str) -> None:
    objective, data, state = fitted(head)
    points = others(head)
    both = influence.on_losses(objective, data, state, points, points)
    assert_allclose(both, both.T, rtol=1e-9, atol=1e-12)
    assert_allclose(influence.on_own_loss(objective, data, state, points), np.diag(both), rtol=1e-11)
    assert (np.diag(both) <= 0.0).all()


@heads
def test_the_total_is_the_slope_of_refits_with_all_of_the_examples_weighing_more(head: str) -> None:
    objective, data, state = fitted(head)
    points, W = others(head), float(data.w.sum())
    optima = []
    for epsilon in (-EPSILON, EPSILON):
        w = np.append(data.w, epsilon * W * points.w)
        joined = Data(np.vstack([data.X, points.X]), np.append(data.y, points.y), w)
        optima.append(newton.step(state, objective, joined, LAMBDA * W / float(w.sum()))[0].theta)
    expected = (optima[1] - optima[0]) / (2.0 * EPSILON)
    assert relative(influence.total(objective, data, state, points), expected) < 1e-4


@heads
def test_over_the_training_set_the_total_is_the_regularity_tangent(head: str) -> None:
    objective, data, state = fitted(head, anchor=0.0)
    expected = -float(data.w.sum()) * state.log_tangent  # −λW θ′ = −W θ̇
    assert_allclose(influence.total(objective, data, state, data), expected, rtol=1e-8, atol=1e-9)


@heads
def test_the_squared_total_over_the_training_set_is_proportional_to_the_squared_loss_derivative(head: str) -> None:
    objective, data, state = fitted(head, anchor=0.0)
    points = others(head)
    total = influence.squared(objective, data, state, points, data).total
    ratio = total / (objective.model.example_gradients(state.theta, points.X, points.y) @ state.log_tangent) ** 2
    assert_allclose(ratio, ratio[0], rtol=1e-8)


@heads
def test_squares_are_those_of_the_slopes_of_refits_one_by_one_and_added_up(head: str) -> None:
    objective, data, state = fitted(head)
    at = part(data, np.arange(10, 16))
    moved, _ = slopes(objective, data, state, others(head))
    for i, by_refit in enumerate(moved @ objective.model.example_gradients(state.theta, at.X, at.y).T):
        actual = influence.squared(objective, data, state, part(others(head), np.array([i])), at)
        assert_allclose(actual.single[0], by_refit**2, rtol=1e-4, atol=1e-9)
        assert_allclose(actual.summed[0], sum(w * a * a for w, a in zip(at.w, by_refit, strict=True)), rtol=1e-4)
        assert_allclose(actual.total[0], sum(w * a for w, a in zip(at.w, by_refit, strict=True)) ** 2, rtol=1e-4)


@heads
def test_squares_count_a_reference_of_twice_the_weight_as_two(head: str) -> None:
    objective, data, state = fitted(head)
    once = part(data, np.arange(6))
    twice = part(data, np.array([0, 0, 1, 2, 3, 4, 5]))
    w = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    weighted = influence.squared(objective, data, state, others(head), Data(once.X, once.y, w))
    repeated = influence.squared(objective, data, state, others(head), Data(twice.X, twice.y, np.ones(7)))
    assert_allclose(weighted.summed, repeated.summed, rtol=1e-12)
    assert_allclose(weighted.total, repeated.total, rtol=1e-12)
    assert_allclose(weighted.single, np.delete(repeated.single, 1, axis=1), rtol=1e-12)


def outcomes(head: str, f: Array) -> list[tuple[float, float]]:
    """(y, probability) of everything that the label of outputs f (k,) may be; nodes of an integral for the squared loss."""
    if head == "squared":
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        return list(zip(f[0] + np.sqrt(0.7) * nodes, weights / weights.sum(), strict=True))
    if head == "poisson":
        return [(float(y), float(poisson.pmf(y, np.exp(f[0])))) for y in range(200)]
    scores = np.array([0.0, f[0]]) if head == "logistic" else f
    return [(float(c), float(np.exp(scores[c]) / np.exp(scores).sum())) for c in range(len(scores))]


@heads
def test_no_label_is_expected_to_change_the_test_loss(head: str) -> None:
    objective, data, state = fitted(head)
    points, test = others(head), part(data, np.arange(10, 30))
    means, spreads = [], []
    for x, f in zip(points.X, objective.model.outputs(state.theta, points.X), strict=True):
        y, p = np.array(outcomes(head, f)).T
        labeled = Data(np.tile(x, (len(y), 1)), y, np.ones(len(y)))
        change = influence.on_losses(objective, data, state, labeled, test) @ test.w
        means.append(p @ change)
        spreads.append(np.sqrt(p @ change**2))
    zero = 1e-12 * max(spreads)
    assert min(spreads) > 1e-3
    assert_allclose(means, 0.0, atol=zero)
    assert_allclose(influence.expected_change(objective, data, state, points.X, test), 0.0, atol=zero)
