"""Networks: every derivative against torch.func, torch's own losses and differences, and one layer against the linear model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from streamlearn.core.losses import Array
from streamlearn.core.models.differentiation import MEAN_LOSSES, Rules
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.network import Network
from tests.core.models.nets import KINDS, jacobian, network, plain_loss, plain_outputs, rows, sample, somewhere
from tests.core.problems import HEADS, LOSSES, central, relative

heads = pytest.mark.parametrize("head", HEADS)
kinds = pytest.mark.parametrize("kind", KINDS)
some = pytest.mark.parametrize(
    ("kind", "head"), [*zip(KINDS, ("softmax", "logistic", "poisson", "squared"), strict=True)]
)
curvatures = pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])


def gauss_newton(kind: str, model: Network, theta: Array, X: Array, w: Array) -> Array:
    """Σ share Jᵀ c J, with J by torch.func and c by the losses' formula."""
    J, c = jacobian(kind, X, theta, model.outputs_count), model.loss.curvature(model.outputs(theta, X))
    return np.asarray(np.einsum("n,nad,nab,nbe->de", w / w.sum(), J, c, J))


@heads
@kinds
def test_outputs_are_those_of_the_module_with_these_parameters(kind: str, head: str) -> None:
    model, X = network(kind, head), rows(kind)
    theta = somewhere(model)
    f = model.outputs(theta, X)
    assert f.shape == (len(X), model.outputs_count)
    expected = plain_outputs(kind, X, model.outputs_count)(torch.tensor(theta))
    assert_allclose(f, expected.numpy(), rtol=1e-13, atol=1e-14)


def test_a_perceptron_is_its_matrices_with_tanh_between_them() -> None:
    model, X = network("mlp", "softmax"), rows("mlp")
    theta = somewhere(model)
    A, a, B, b, C, c = (
        p.reshape(s) for p, (_, s) in zip(np.split(theta, [16, 20, 32, 35, 44]), model.blocks, strict=True)
    )
    expected = np.tanh(np.tanh(X[:, 1:] @ A.T + a) @ B.T + b) @ C.T + c
    assert_allclose(model.outputs(theta, X), expected, rtol=1e-12, atol=1e-14)


def test_an_embedding_bag_is_the_mean_of_the_vectors_of_the_tokens_that_are_there() -> None:
    model, X = network("embedding-bag", "softmax"), rows("embedding-bag")
    theta = somewhere(model)
    vectors, W, b = theta[:21].reshape(7, 3), theta[21:30].reshape(3, 3), theta[30:]
    assert (X[:, 1:] == -1.0).all(axis=1).any()  # one has no token
    for x, f in zip(X[:, 1:], model.outputs(theta, X), strict=True):
        ids = x[x >= 0].astype(int)
        mean = vectors[ids].mean(axis=0) if len(ids) else np.zeros(3)
        assert_allclose(f, W @ mean + b, rtol=1e-12, atol=1e-14)


@heads
@kinds
def test_the_response_is_the_jacobian_vector_product_and_the_difference_of_outputs(kind: str, head: str) -> None:
    model, X = network(kind, head), rows(kind)
    theta, v, h = somewhere(model), somewhere(model, 2), 1e-5
    f, moved = model.response(theta, v, X)
    plain = plain_outputs(kind, X, model.outputs_count)
    expected_f, expected = torch.func.jvp(plain, (torch.tensor(theta),), (torch.tensor(v),))
    assert_allclose(f, expected_f.numpy(), rtol=1e-12, atol=1e-14)
    assert_allclose(moved, expected.numpy(), rtol=1e-12, atol=1e-14)
    numeric = (model.outputs(theta + h * v, X) - model.outputs(theta - h * v, X)) / (2.0 * h)
    assert_allclose(moved, numeric, rtol=1e-7, atol=1e-9)


@heads
@kinds
def test_the_gradient_is_that_of_torchs_own_loss_and_the_difference_of_the_mean_loss(kind: str, head: str) -> None:
    model, data = network(kind, head), sample(kind, head)
    theta = somewhere(model)
    value, gradient = model.gradient(theta, data.X, data.y, data.w)
    at = torch.tensor(theta, requires_grad=True)
    loss = plain_loss(kind, head, data, model.outputs_count)(at)
    (expected,) = torch.autograd.grad(loss, at)
    assert_allclose(value, loss.item(), rtol=1e-12)
    assert_allclose(gradient, expected.numpy(), rtol=1e-11, atol=1e-14)
    numeric = central(lambda t: model.gradient(t, data.X, data.y, data.w)[0], theta)
    assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


@heads
@kinds
def test_the_hessian_product_is_forward_over_reverse_and_the_difference_of_gradients(kind: str, head: str) -> None:
    model, data = network(kind, head, curvature="hessian"), sample(kind, head)
    theta, v, h = somewhere(model), somewhere(model, 2), 1e-5
    value, gradient, hvp = model.gradient_hvp(theta, v, data.X, data.y, data.w)
    slope = torch.func.grad(plain_loss(kind, head, data, model.outputs_count))
    expected_gradient, expected = torch.func.jvp(slope, (torch.tensor(theta),), (torch.tensor(v),))
    assert_allclose(gradient, expected_gradient.numpy(), rtol=1e-11, atol=1e-14)
    assert_allclose(hvp, expected.numpy(), rtol=1e-10, atol=1e-13)
    up, down = (model.gradient(theta + s * v, data.X, data.y, data.w)[1] for s in (h, -h))
    assert_allclose(hvp, (up - down) / (2.0 * h), rtol=1e-6, atol=1e-8)
    assert_allclose(value, model.gradient(theta, data.X, data.y, data.w)[0], rtol=1e-12)


@heads
@kinds
def test_the_gauss_newton_product_is_the_jacobian_around_the_curvature_of_the_loss(kind: str, head: str) -> None:
    model, data = network(kind, head), sample(kind, head)
    theta, v = somewhere(model), somewhere(model, 2)
    value, gradient, product = model.gradient_hvp(theta, v, data.X, data.y, data.w)
    G = gauss_newton(kind, model, theta, data.X, data.w)
    assert_allclose(product, G @ v, rtol=1e-10, atol=1e-13)
    alone, alone_gradient = model.gradient(theta, data.X, data.y, data.w)
    assert value == alone
    assert_allclose(gradient, alone_gradient, rtol=1e-13, atol=1e-16)


@heads
@curvatures
def test_the_two_curvatures_differ_by_what_the_outputs_bend(head: str, curvature: str) -> None:
    # A control: on a network of several layers neither passes for the other.
    model, data = network("mlp", head, curvature=curvature), sample("mlp", head)
    theta = somewhere(model)
    other = replace(model, curvature="hessian" if curvature == "gauss-newton" else "gauss-newton")
    here, there = (each.hessian(theta, data.X, data.y, data.w) for each in (model, other))
    assert relative(here, there) > 0.05


@heads
@kinds
@curvatures
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_all_products_are_those_with_the_curvature_matrix(kind: str, head: str, curvature: str, damping: float) -> None:
    model, data = network(kind, head, curvature=curvature, damping=damping), sample(kind, head)
    theta, given = somewhere(model), (data.X, data.y, data.w)
    H, product = model.hessian(theta, *given), model.linearised(theta, *given)
    if curvature == "gauss-newton":
        of_loss = gauss_newton(kind, model, theta, data.X, data.w)
    else:
        bent = torch.func.hessian(plain_loss(kind, head, data, model.outputs_count))(torch.tensor(theta))
        of_loss = bent.numpy()
    assert_allclose(H, of_loss + damping * np.eye(model.size), rtol=1e-9, atol=1e-12)
    assert (H == H.T).all()
    for seed in (2, 3):  # one graph for many vectors
        v = somewhere(model, seed)
        assert_allclose(product(v), H @ v, rtol=1e-9, atol=1e-12)
        assert_allclose(model.gradient_hvp(theta, v, *given)[2], H @ v, rtol=1e-9, atol=1e-12)


@heads
@kinds
def test_the_weighted_mean_of_example_gradients_is_the_gradient(kind: str, head: str) -> None:
    model, data = network(kind, head), sample(kind, head)
    theta = somewhere(model)
    each = model.example_gradients(theta, data.X, data.y)
    _, gradient = model.gradient(theta, data.X, data.y, data.w)
    assert_allclose(data.w @ each / data.w.sum(), gradient, rtol=1e-11, atol=1e-14)
    alone = [model.gradient(theta, data.X[i : i + 1], data.y[i : i + 1], np.ones(1))[1] for i in range(len(data.y))]
    assert_allclose(each, np.array(alone), rtol=1e-11, atol=1e-14)
    square = data.w @ np.array(alone) ** 2 / data.w.sum()
    assert_allclose(model.gradient_square(theta, *(data.X, data.y, data.w)), square, rtol=1e-11, atol=1e-16)


@heads
@kinds
def test_the_expected_length_of_the_gradient_is_its_mean_over_what_the_label_can_be(kind: str, head: str) -> None:
    model, X = network(kind, head), rows(kind)
    theta = somewhere(model)
    f = model.outputs(theta, X)
    if head == "softmax":
        values = np.arange(3.0)
        chance = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
    elif head == "logistic":
        values, p = np.arange(2.0), 1.0 / (1.0 + np.exp(-f[:, 0]))
        chance = np.stack([1.0 - p, p], axis=1)
    elif head == "poisson":
        values = np.arange(80.0)
        chance = stats.poisson.pmf(values, np.exp(f))
    else:
        values = np.linspace(-15.0, 15.0, 20001)
        chance = stats.norm.pdf(values, f, np.sqrt(0.7)) * (values[1] - values[0])
    J = jacobian(kind, X, theta, model.outputs_count)
    lengths = np.array(
        [np.linalg.norm(np.einsum("nk,nkd->nd", model.loss.gradient(f, np.full(len(X), y)), J), axis=1) for y in values]
    )
    assert_allclose(model.gradient_lengths(theta, X), (chance * lengths.T).sum(axis=1), rtol=1e-6)


@heads
@kinds
def test_what_is_made_of_the_jacobian_is_what_the_whole_jacobian_gives(kind: str, head: str) -> None:
    model, X = network(kind, head), rows(kind, 5)
    theta, rng, k = somewhere(model), np.random.default_rng(7), model.outputs_count
    J = jacobian(kind, X, theta, k)
    vectors, roots = rng.normal(size=(model.size, 3)), rng.normal(size=(len(X), k, 2))
    assert_allclose(model.responses(theta, vectors, X), J @ vectors, rtol=1e-11, atol=1e-13)
    pulled = np.concatenate([J[i].T @ roots[i] for i in range(len(X))], axis=1)
    assert_allclose(model.pulled(theta, roots, X), pulled, rtol=1e-11, atol=1e-13)
    A = rng.normal(size=(model.size, model.size))
    A = A @ A.T
    assert_allclose(model.covariance(theta, A, X), np.stack([j @ A @ j.T for j in J]), rtol=1e-10, atol=1e-12)


@heads
@curvatures
def test_one_layer_is_the_linear_model(head: str, curvature: str) -> None:
    model, data = network("one-layer", head, curvature=curvature), sample("one-layer", head)
    k, inputs = model.outputs_count, 4
    linear = Linear(LOSSES[head], k, 1 + inputs)
    # Where the linear model's parameters are in the network's: weights by output, then the intercepts.
    at = np.concatenate([[k * inputs + c, *range(c * inputs, (c + 1) * inputs)] for c in range(k)])
    theta, v, given = somewhere(model), somewhere(model, 2), (data.X, data.y, data.w)
    rng = np.random.default_rng(3)
    roots, A = rng.normal(size=(len(data.y), k, 2)), np.diag(rng.uniform(1.0, 2.0, model.size))

    def same(of_network: object, of_linear: object) -> None:
        assert_allclose(np.asarray(of_network), np.asarray(of_linear), rtol=1e-11, atol=1e-14)

    same(model.outputs(theta, data.X), linear.outputs(theta[at], data.X))
    same(model.response(theta, v, data.X), linear.response(theta[at], v[at], data.X))
    same(model.gradient(theta, *given)[1][at], linear.gradient(theta[at], *given)[1])
    same(model.gradient_hvp(theta, v, *given)[2][at], linear.gradient_hvp(theta[at], v[at], *given)[2])
    same(model.linearised(theta, *given)(v)[at], linear.linearised(theta[at], *given)(v[at]))
    same(model.hessian(theta, *given)[np.ix_(at, at)], linear.hessian(theta[at], *given))
    same(model.example_gradients(theta, *given[:2])[:, at], linear.example_gradients(theta[at], *given[:2]))
    same(model.gradient_square(theta, *given)[at], linear.gradient_square(theta[at], *given))
    same(model.gradient_lengths(theta, data.X), linear.gradient_lengths(theta[at], data.X))
    same(model.pulled(theta, roots, data.X)[at], linear.pulled(theta[at], roots, data.X))
    same(model.covariance(theta, A, data.X), linear.covariance(theta[at], A[np.ix_(at, at)], data.X))
    assert (np.isin(at, model.free_at(())) == np.isin(np.arange(len(at)), linear.free_at((0,)))).all()


def numbers(model: Network, head: str, kind: str, seed: int = 1) -> list[Array]:
    """One of everything."""
    data, k = sample(kind, head), model.outputs_count
    theta, v, given = somewhere(model, seed), somewhere(model, seed + 1), (data.X, data.y, data.w)
    loss, gradient, product = model.gradient_hvp(theta, v, *given)
    return [
        model.outputs(theta, data.X),
        *model.response(theta, v, data.X),
        np.array([loss]),
        gradient,
        product,
        model.linearised(theta, *given)(v),
        model.hessian(theta, *given),
        model.example_gradients(theta, data.X, data.y),
        model.gradient_lengths(theta, data.X),
        model.responses(theta, np.stack([v, theta], axis=1), data.X),
        model.pulled(theta, np.ones((len(data.y), k, 1)), data.X),
        model.gradient_square(theta, *given),
        np.array([model.steepness(theta, *given, 4, None)]),
    ]


@some
@curvatures
@pytest.mark.parametrize("rules", [Rules(forward=False), Rules(vmap=False)], ids=["no forward", "no vmap"])
def test_without_a_rule_of_differentiation_the_numbers_are_the_same(
    kind: str, head: str, curvature: str, rules: Rules
) -> None:
    model = network(kind, head, curvature=curvature)
    assert model.body.rules == Rules(True, True)
    other = replace(model, body=replace(model.body, rules=rules))
    for expected, actual in zip(numbers(model, head, kind), numbers(other, head, kind), strict=True):
        assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)


@some
@curvatures
def test_single_precision_gives_what_double_gives_to_four_digits(kind: str, head: str, curvature: str) -> None:
    model, short = network(kind, head, curvature=curvature), network(kind, head, dtype="float32", curvature=curvature)
    assert short.first.dtype == np.float32
    assert_allclose(short.first, model.first, rtol=1e-6)
    for expected, actual in zip(numbers(model, head, kind), numbers(short, head, kind), strict=True):
        assert np.abs(actual - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())
        assert np.abs(actual - expected).max() > 0.0 or kind == "one-layer"  # it was computed in single precision


@heads
def test_what_is_as_long_as_theta_is_as_precise_as_the_model(head: str) -> None:
    model, data = network("mlp", head, dtype="float32"), sample("mlp", head)
    theta, given = model.start(data.y, data.w), (data.X, data.y, data.w)
    loss, gradient, product = model.gradient_hvp(theta, theta, *given)
    assert isinstance(loss, float)
    vectors = [theta, gradient, product, model.linearised(theta, *given)(theta), model.gradient_square(theta, *given)]
    assert {np.dtype(np.float32)} == {vector.dtype for vector in vectors}
    assert model.outputs(theta, data.X).dtype == np.float64


@heads
def test_the_mean_losses_of_torch_are_those_of_the_core_far_out_too(head: str) -> None:
    rng = np.random.default_rng(0)
    f = np.concatenate([rng.normal(size=(50, 3)), 25.0 * rng.normal(size=(50, 3))])[:, : 3 if head == "softmax" else 1]
    y = sample("mlp", head, len(f)).y
    at = torch.tensor(f, requires_grad=True)
    values = MEAN_LOSSES[head](at, torch.tensor(y))
    assert_allclose(values.detach().numpy(), LOSSES[head].value(f, y), rtol=1e-8, atol=1e-8)
    (slopes,) = torch.autograd.grad(values.sum(), at)
    assert_allclose(slopes.numpy(), LOSSES[head].gradient(f, y), rtol=1e-8, atol=1e-8)


def test_the_same_seed_gives_the_same_start_and_torchs_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (network("mlp", seed=seed).first for seed in (1, 1, 2))
    assert (torch.rand(3) == expected).all()
    assert (first == again).all()
    assert (first != other).any()


def test_one_architecture_makes_each_network_once_and_changes_its_head_alone() -> None:
    model = network("mlp", "squared")
    other = model.with_loss(LOSSES["poisson"])
    assert other.body is model.body
    assert (other.kind, other.loss.name) == ("mlp", "poisson")
