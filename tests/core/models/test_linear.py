"""The linear model: every product it shares against the plain one, and against differences."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core.losses import Logistic, Softmax
from streamlearn.core.models.linear import Linear
from tests.core.problems import HEADS, central, parameters, small

heads = pytest.mark.parametrize("head", HEADS)


@heads
def test_the_gradient_is_the_difference_of_the_mean_loss(head: str) -> None:
    objective, data = small(head)
    model, theta = objective.model, parameters(objective)
    value, gradient = model.gradient(theta, data.X, data.y, data.w)
    numeric = central(lambda t: model.gradient(t, data.X, data.y, data.w)[0], theta)
    assert_allclose(gradient, numeric, rtol=1e-7, atol=1e-9)
    assert_allclose(value, np.average(model.loss.value(model.outputs(theta, data.X), data.y), weights=data.w))


@heads
def test_the_hessian_is_the_difference_of_the_gradient_and_symmetric(head: str) -> None:
    objective, data = small(head)
    model, theta = objective.model, parameters(objective)
    H = model.hessian(theta, data.X, data.y, data.w)
    numeric = central(lambda t: model.gradient(t, data.X, data.y, data.w)[1], theta)
    assert_allclose(H, numeric, rtol=1e-6, atol=1e-9)
    assert (H == H.T).all()


@heads
def test_the_hessian_vector_product_is_the_hessian_times_the_vector(head: str) -> None:
    objective, data = small(head)
    model, theta, v = objective.model, parameters(objective), parameters(objective, 2)
    value, gradient, hvp = model.gradient_hvp(theta, v, data.X, data.y, data.w)
    assert_allclose(hvp, model.hessian(theta, data.X, data.y, data.w) @ v, rtol=1e-12, atol=1e-15)
    alone_value, alone_gradient = model.gradient(theta, data.X, data.y, data.w)
    assert_allclose(value, alone_value, rtol=1e-13)
    assert_allclose(gradient, alone_gradient, rtol=1e-12, atol=1e-15)


@heads
def test_the_response_is_the_outputs_and_their_difference_along_the_vector(head: str) -> None:
    objective, data = small(head)
    model, theta, v = objective.model, parameters(objective), parameters(objective, 2)
    f, f_dot = model.response(theta, v, data.X)
    assert_allclose(f, model.outputs(theta, data.X), rtol=1e-13, atol=1e-14)
    numeric = (model.outputs(theta + v, data.X) - model.outputs(theta - v, data.X)) / 2.0
    assert_allclose(f_dot, numeric, rtol=1e-12, atol=1e-13)


@heads
def test_responses_to_many_vectors_are_those_to_each(head: str) -> None:
    objective, data = small(head)
    model, theta = objective.model, parameters(objective)
    vectors = np.random.default_rng(8).normal(size=(model.size, 3))
    actual = model.responses(theta, vectors, data.X)
    assert actual.shape == (len(data.y), model.outputs_count, 3)
    for c in range(3):
        assert_allclose(actual[:, :, c], model.response(theta, vectors[:, c], data.X)[1], rtol=1e-12, atol=1e-14)


@heads
def test_the_weighted_mean_of_example_gradients_is_the_gradient(head: str) -> None:
    objective, data = small(head)
    model, theta = objective.model, parameters(objective)
    each = model.example_gradients(theta, data.X, data.y)
    assert each.shape == (len(data.y), model.size)
    _, gradient = model.gradient(theta, data.X, data.y, data.w)
    assert_allclose(data.w @ each / data.w.sum(), gradient, rtol=1e-12, atol=1e-15)


@heads
def test_an_example_gradient_times_a_vector_is_the_output_gradient_times_the_response(head: str) -> None:
    objective, data = small(head)
    model, theta, v = objective.model, parameters(objective), parameters(objective, 2)
    f, f_dot = model.response(theta, v, data.X)
    short = (model.loss.gradient(f, data.y) * f_dot).sum(axis=1)
    assert_allclose(short, model.example_gradients(theta, data.X, data.y) @ v, rtol=1e-11, atol=1e-13)


@heads
def test_the_covariance_of_outputs_is_the_jacobian_around_that_of_theta(head: str) -> None:
    objective, data = small(head)
    model = objective.model
    root = np.random.default_rng(7).normal(size=(model.size, model.size))
    A = root @ root.T
    actual = model.covariance(parameters(objective), A, data.X)
    for i, x in enumerate(data.X):
        J = np.kron(np.eye(model.outputs_count), x)
        assert_allclose(actual[i], J @ A @ J.T, rtol=1e-11)


@heads
def test_twice_the_weight_is_the_same_as_the_example_twice(head: str) -> None:
    objective, data = small(head)
    model, theta, v = objective.model, parameters(objective), parameters(objective, 2)
    twice = np.repeat(np.arange(len(data.y)), np.where(np.arange(len(data.y)) % 3 == 0, 2, 1))
    weights = np.where(np.arange(len(data.y)) % 3 == 0, 2.0, 1.0)
    a = model.gradient_hvp(theta, v, data.X, data.y, weights)
    b = model.gradient_hvp(theta, v, data.X[twice], data.y[twice], np.ones(len(twice)))
    for left, right in zip(a, b, strict=True):
        assert_allclose(left, right, rtol=1e-11, atol=1e-14)


def test_theta_is_laid_out_by_output_with_the_intercept_first() -> None:
    model = Linear(Softmax(), 2, 3)
    f = model.outputs(np.array([1.0, 2.0, 3.0, 10.0, 20.0, 30.0]), np.array([[1.0, 0.5, 0.25]]))
    assert f.tolist() == [[2.75, 27.5]]


def test_two_class_softmax_with_one_class_at_zero_is_the_logistic_model() -> None:
    objective, data = small("logistic")
    theta, v = parameters(objective), parameters(objective, 2)
    zero = np.zeros(5)
    one = Linear(Logistic(), 1, 5).gradient_hvp(theta, v, data.X, data.y, data.w)
    two = Linear(Softmax(), 2, 5).gradient_hvp(
        np.concatenate([zero, theta]), np.concatenate([zero, v]), data.X, data.y, data.w
    )
    assert_allclose(two[0], one[0], rtol=1e-12)
    assert_allclose(two[1], np.concatenate([-one[1], one[1]]), rtol=1e-11, atol=1e-14)
    assert_allclose(two[2], np.concatenate([-one[2], one[2]]), rtol=1e-11, atol=1e-14)
