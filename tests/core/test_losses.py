"""Every closed form of a loss against differences, enumeration or integration."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

from streamlearn.core.losses import Array, Logistic, Loss, Poisson, Softmax, Squared, named, noise
from tests.core.problems import HEADS, LOSSES, central

FAR = np.array([[-800.0], [-40.0], [0.0], [40.0], [800.0]])


def outputs(head: str, rows: int = 7) -> tuple[Loss, Array, Array]:
    """A loss, outputs f (n, k) and labels y (n,)."""
    rng = np.random.default_rng(3)
    f = 2.0 * rng.normal(size=(rows, 3 if head == "softmax" else 1))
    y = {
        "squared": rng.normal(size=rows),
        "logistic": rng.integers(0, 2, rows),
        "softmax": rng.integers(0, 3, rows),
        "poisson": rng.poisson(np.exp(f[:, 0])),
    }
    return LOSSES[head], f, y[head].astype(float)


def outcomes(head: str, f: Array) -> list[tuple[Array, Array]]:
    """(probability or weight, label) of every label, or of every node of the integral over it, each (n,)."""
    if head == "squared":
        nodes, weights = np.polynomial.hermite_e.hermegauss(200)
        shares = weights / weights.sum()
        return [(np.full(len(f), p), f[:, 0] + np.sqrt(0.7) * node) for p, node in zip(shares, nodes, strict=True)]
    if head == "poisson":
        return [(poisson.pmf(y, np.exp(f[:, 0])), np.full(len(f), float(y))) for y in range(1500)]
    p = LOSSES[head].probabilities(f)
    return [(p[:, label], np.full(len(f), float(label))) for label in range(p.shape[1])]


@pytest.mark.parametrize("head", HEADS)
def test_the_gradient_is_the_difference_of_the_value(head: str) -> None:
    loss, f, y = outputs(head)
    for i in range(len(f)):
        numeric = central(lambda g, i=i: loss.value(g[None], y[i : i + 1])[0], f[i])
        assert_allclose(loss.gradient(f, y)[i], numeric, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("head", HEADS)
def test_the_curvature_is_the_difference_of_the_gradient(head: str) -> None:
    loss, f, y = outputs(head)
    for i in range(len(f)):
        numeric = central(lambda g, i=i: loss.gradient(g[None], y[i : i + 1])[0], f[i])
        assert_allclose(loss.curvature(f)[i], numeric, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("head", HEADS)
def test_the_curvature_product_is_the_curvature_times_the_vector(head: str) -> None:
    loss, f, _ = outputs(head)
    v = np.random.default_rng(4).normal(size=f.shape)
    assert_allclose(loss.curvature_product(f, v), np.einsum("nab,nb->na", loss.curvature(f), v), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("head", HEADS)
def test_the_fisher_quadratic_is_the_vector_times_fisher_times_the_vector(head: str) -> None:
    loss, f, _ = outputs(head)
    v = np.random.default_rng(4).normal(size=f.shape)
    assert_allclose(loss.fisher_quadratic(f, v), np.einsum("na,nab,nb->n", v, loss.fisher(f), v), rtol=1e-12)


@pytest.mark.parametrize("head", HEADS)
def test_fisher_is_the_expected_square_of_the_gradient_over_all_labels(head: str) -> None:
    loss, f, _ = outputs(head)
    expected = np.zeros((len(f), f.shape[1], f.shape[1]))
    mean = np.zeros_like(f)
    for p, label in outcomes(head, f):
        g = loss.gradient(f, label)
        expected += p[:, None, None] * g[:, :, None] * g[:, None, :]
        mean += p[:, None] * g
    assert_allclose(loss.fisher(f), expected, rtol=1e-10, atol=1e-15)
    assert_allclose(mean, 0.0, atol=1e-11)  # without the square the expectation says nothing (48)-(54)


@pytest.mark.parametrize("head", HEADS)
def test_the_length_of_the_gradient_is_its_expectation_over_all_labels(head: str) -> None:
    loss, f, _ = outputs(head)
    expected = sum(p * np.linalg.norm(loss.gradient(f, label), axis=1) for p, label in outcomes(head, f))
    # The integral over a kink by nodes converges slowly; the sums over labels are exact.
    assert_allclose(loss.gradient_length(f), expected, rtol=5e-3 if head == "squared" else 1e-10)


@pytest.mark.parametrize("head", HEADS)
def test_the_prediction_is_the_expected_value_or_the_likeliest_class(head: str) -> None:
    loss, f, _ = outputs(head)
    weights, labels = (np.stack(part) for part in zip(*outcomes(head, f), strict=True))
    if loss.of_classes:
        assert (labels[weights.argmax(axis=0), np.arange(len(f))] == loss.prediction(f)).all()
    else:
        assert_allclose(loss.prediction(f), (weights * labels).sum(axis=0), rtol=1e-10)


@pytest.mark.parametrize("head", HEADS)
def test_no_output_has_less_than_the_least_loss_and_some_comes_to_it(head: str) -> None:
    loss, f, y = outputs(head)
    y[0] = 0.0
    least = loss.least(y)
    assert (loss.value(f, y) >= least).all()
    if head in ("logistic", "softmax"):
        best = 60.0 * (y[:, None] == np.arange(3)) if head == "softmax" else 60.0 * (2.0 * y[:, None] - 1.0)
    else:
        best = y[:, None] if head == "squared" else np.log(np.maximum(y, 1e-9))[:, None]
    assert_allclose(loss.value(best, y), least, atol=1e-7)


def test_the_noise_is_its_maximum_likelihood_estimate() -> None:
    rng = np.random.default_rng(2)
    f, y, w = rng.normal(size=(50, 1)), rng.normal(size=50), rng.uniform(0.5, 2.0, 50)

    def objective(log_variance: float) -> float:
        variance = np.exp(log_variance)
        return float(w @ ((f[:, 0] - y) ** 2 / (2.0 * variance) + 0.5 * np.log(variance)))  # (12)

    best = minimize_scalar(objective, bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-9}).x
    assert_allclose(noise(f, y, w), np.exp(best), rtol=1e-6)
    assert noise(f, f[:, 0], w) == 1.0  # a perfect fit says nothing of the noise


@pytest.mark.parametrize("name", HEADS)
def test_a_loss_is_found_by_its_name(name: str) -> None:
    assert name == named(name, 0.5).name
    assert Squared(0.5) == named("squared", 0.5)


def test_fisher_of_the_squared_loss_is_the_integral_over_normal_labels() -> None:
    loss, f = Squared(0.7), np.array([[1.3]])

    def integrand(y: float) -> float:
        density = np.exp(-((y - 1.3) ** 2) / 1.4) / np.sqrt(2.0 * np.pi * 0.7)
        return float(density * loss.gradient(f, np.array([y]))[0, 0] ** 2)

    assert_allclose(loss.fisher(f)[0, 0, 0], quad(integrand, -12.0, 14.0)[0], rtol=1e-8)


@pytest.mark.parametrize("head", ["logistic", "softmax"])
def test_probabilities_are_the_exponential_of_minus_the_value_and_sum_to_one(head: str) -> None:
    loss, f, _ = outputs(head)
    p = loss.probabilities(f)
    for label in range(p.shape[1]):
        assert_allclose(p[:, label], np.exp(-loss.value(f, np.full(len(f), float(label)))), rtol=1e-13)
    assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("loss", [Squared(), Poisson()], ids=lambda loss: loss.name)
def test_a_loss_on_values_has_no_classes(loss: Loss) -> None:
    assert not loss.of_classes
    assert loss.probabilities(np.zeros((4, 1))).shape == (4, 0)


def test_softmax_over_two_classes_is_logistic_in_the_difference_of_outputs() -> None:
    rng = np.random.default_rng(5)
    f, y = rng.normal(size=(9, 2)), rng.integers(0, 2, 9).astype(float)
    odds = f[:, 1:] - f[:, :1]
    assert_allclose(Softmax().value(f, y), Logistic().value(odds, y), rtol=1e-12)
    assert_allclose(Softmax().gradient(f, y)[:, 1:], Logistic().gradient(odds, y), rtol=1e-12, atol=1e-15)
    assert_allclose(Softmax().curvature(f)[:, 1:, 1:], Logistic().curvature(odds), rtol=1e-12)
    assert_allclose(Softmax().probabilities(f), Logistic().probabilities(odds), rtol=1e-12)


@pytest.mark.parametrize("loss", [Logistic(), Softmax()], ids=lambda loss: loss.name)
def test_everything_stays_finite_far_from_zero(loss: Loss) -> None:
    f = FAR if loss.name == "logistic" else np.column_stack([FAR, -FAR])
    for label in (0.0, 1.0):
        y = np.full(len(f), label)
        for what in (loss.value(f, y), loss.gradient(f, y), loss.curvature(f), loss.fisher_quadratic(f, f)):
            assert np.isfinite(what).all()
        assert (loss.value(f, y) >= 0.0).all()


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
def test_no_curvature_is_steeper_than_the_steepest_and_some_reach_it(head: str) -> None:
    loss = LOSSES[head]
    k = 3 if head == "softmax" else 1
    f = np.random.default_rng(6).normal(size=(400, k)) * 3.0
    largest = np.linalg.eigvalsh(loss.curvature(f))[:, -1]
    assert largest.max() <= loss.steepest * (1.0 + 1e-12)
    middle = np.array([[0.0, 0.0, -800.0][:k]])
    assert_allclose(np.linalg.eigvalsh(loss.curvature(middle))[0, -1], loss.steepest)


@pytest.mark.parametrize("head", HEADS)
def test_a_loss_leaves_its_arguments_alone(head: str) -> None:
    loss, f, y = outputs(head)
    before, labels = f.copy(), y.copy()
    loss.value(f, y), loss.gradient(f, y), loss.curvature(f), loss.curvature_product(f, f), loss.fisher_quadratic(f, f)
    assert (f == before).all()
    assert (y == labels).all()


def test_the_length_of_a_counts_gradient_is_that_of_a_normal_variable_where_the_rate_is_large() -> None:
    rates = np.array([3e7, 1e9, 1e17, 1e300])
    f = np.log(rates)[:, None]
    assert_allclose(Poisson().gradient_length(f), np.sqrt(2.0 * rates / np.pi), rtol=1e-6)
    everything = (Poisson().value, Poisson().gradient)
    assert all(np.isfinite(of(np.array([[1e6]]), np.array([3.0]))).all() for of in everything)
