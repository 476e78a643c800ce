"""Networks by parts: what R sees, what moves with λ, what is kept when outputs or columns are added; and how steep they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from streamlearn.core import conjugate
from streamlearn.core.losses import Array
from streamlearn.core.models import modules
from streamlearn.core.models.network import POWER_MARGIN, Network
from streamlearn.core.models.networks import Factory, NetworkArchitecture, Told
from streamlearn.core.objective import Data, Objective
from tests.core.models.nets import KINDS, network, plain_loss, rows, sample, somewhere
from tests.core.problems import HEADS, LOSSES, central, part, relative

heads = pytest.mark.parametrize("head", HEADS)
kinds = pytest.mark.parametrize("kind", KINDS)
curvatures = pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])


def test_the_regularizer_sees_weights_and_no_bias() -> None:
    model = network("mlp", "softmax")
    names = [name for name, _ in model.blocks]
    assert ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"] == names
    assert [*range(16, 20), *range(32, 35), *range(44, 47)] == model.free_at((0,)).tolist()
    assert 47 == model.size


@kinds
@pytest.mark.parametrize("patterns", [(), ("*weight",)])
def test_what_the_regularizer_sees_goes_in_and_out_again(kind: str, patterns: tuple[str, ...]) -> None:
    model = network(kind, "softmax", parameters=patterns)
    theta, free = somewhere(model), model.free_at((0,))
    inner = model.inner(theta, (0,))
    assert (inner == np.delete(theta, free)).all()
    outer = model.outer(inner, (0,))
    assert (outer[free] == 0.0).all()
    assert (np.delete(outer, free) == inner).all()
    assert (model.inner(model.outer(inner, (0,)), (0,)) == inner).all()


@heads
@curvatures
def test_with_some_parameters_named_the_others_have_no_part_in_the_curvature(head: str, curvature: str) -> None:
    model, data = network("mlp", head, curvature=curvature, damping=0.2, parameters=("2.*",)), sample("mlp", head)
    whole = network("mlp", head, curvature=curvature, damping=0.2)
    inside = np.arange(20, 35)  # 2.weight (3, 4) and 2.bias
    theta, v, given = somewhere(model), somewhere(model, 2), (data.X, data.y, data.w)
    assert [*range(20), *range(32, model.size)] == model.free_at((0,)).tolist()
    held = np.zeros(model.size)
    held[inside] = v[inside]
    expected = np.zeros(model.size)
    expected[inside] = (whole.hessian(theta, *given) @ held)[inside]
    _, gradient, product = model.gradient_hvp(theta, v, *given)
    assert_allclose(product, expected, rtol=1e-10, atol=1e-13)
    assert_allclose(model.linearised(theta, *given)(v), expected, rtol=1e-10, atol=1e-13)
    assert_allclose(model.hessian(theta, *given) @ v, expected, rtol=1e-10, atol=1e-13)
    # θ itself moves as a whole.
    assert_allclose(gradient, whole.gradient(theta, *given)[1], rtol=1e-12, atol=1e-15)
    assert (gradient != 0.0).all()


@heads
def test_the_tangent_of_some_parameters_solves_their_equation_with_the_others_held(head: str) -> None:
    model, data = network("mlp", head, parameters=("2.*",), damping=0.01), sample("mlp", head)
    objective, lam = Objective(model, 0.01), 0.1
    theta, inside = somewhere(model), np.arange(20, 35)
    source = -lam * objective.complexity_gradient(theta)
    tangent, info = conjugate.solve(objective.linearised(theta, data, lam), source, None, 1e-10)
    assert not info.negative
    of_loss = network("mlp", head).hessian(theta, data.X, data.y, data.w)[np.ix_(inside, inside)]
    # R sees the 12 weights; the biases have their own prior.
    diagonal = 0.01 + np.where(np.arange(15) < 12, lam, 0.01 / data.w.sum())
    C = np.where(np.arange(15) < 12, theta[inside], 0.0)
    expected = np.zeros(model.size)
    expected[inside] = np.linalg.solve(of_loss + np.diag(diagonal), -lam * C)
    assert relative(tangent, expected) < 1e-7
    assert (tangent[:20] == 0.0).all()
    assert (tangent[35:] == 0.0).all()
    assert objective.residual(theta, tangent, data, lam) < 1e-9


@heads
@kinds
@curvatures
def test_an_objective_on_a_network_is_its_loss_and_half_the_square_of_its_weights(
    kind: str, head: str, curvature: str
) -> None:
    model, data, lam, anchor = network(kind, head, curvature=curvature), sample(kind, head), 0.3, 0.5
    objective, theta, v = Objective(model, anchor), somewhere(model), somewhere(model, 2)
    plain = plain_loss(kind, head, data, model.outputs_count)
    is_weight = torch.tensor(np.concatenate([np.full(int(np.prod(s)), float(len(s) > 1)) for _, s in model.blocks]))

    def value(t: torch.Tensor) -> torch.Tensor:
        prior = anchor / float(data.w.sum()) * (1.0 - is_weight)
        return plain(t) + 0.5 * ((lam * is_weight + prior) * t**2).sum()

    at = torch.tensor(theta)
    found, gradient = objective.value_gradient(theta, data, lam)
    assert found == pytest.approx(value(at).item())
    assert_allclose(gradient, torch.func.grad(value)(at).numpy(), rtol=1e-10, atol=1e-13)
    assert_allclose(objective.complexity_gradient(theta), (is_weight * at).numpy(), rtol=0.0, atol=0.0)
    H = objective.hessian(theta, data, lam)
    assert_allclose(objective.hvp(theta, v, data, lam), H @ v, rtol=1e-9, atol=1e-12)
    if curvature == "hessian":
        assert_allclose(H, torch.func.hessian(value)(at).numpy(), rtol=1e-9, atol=1e-12)


def architecture(kind: str, factory: Factory) -> NetworkArchitecture:
    return NetworkArchitecture(kind, factory, Told(dtype="float64", tokens=kind == "embedding-bag"))


def grown(old: Network, outputs: int) -> tuple[Network, Array, Array]:
    """The network of more outputs; what of the old one's θ and θ̇ it has."""
    new = network(old.kind, "softmax", outputs)
    theta, tangent = somewhere(old), somewhere(old, 2)
    return new, new.carried(old, theta, True), new.carried(old, tangent, False)


@kinds
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 4)])
def test_new_classes_leave_the_outputs_of_the_others_and_their_responses_as_they_were(
    kind: str, before: int, after: int
) -> None:
    old, X = network(kind, "softmax", before), rows(kind)
    new, theta, tangent = grown(old, after)
    expected_f, expected = old.response(somewhere(old), somewhere(old, 2), X)
    f, moved = new.response(theta, tangent, X)
    assert_allclose(f[:, :before], expected_f, rtol=1e-13, atol=1e-14)
    assert_allclose(moved[:, :before], expected, rtol=1e-13, atol=1e-14)
    assert (f[:, before:] == 0.0).all()
    assert (moved[:, before:] == 0.0).all()


@kinds
@pytest.mark.parametrize("after", [2, 3])
def test_one_output_of_two_classes_becomes_one_for_each_with_the_same_log_odds(kind: str, after: int) -> None:
    old, X = network(kind, "logistic", 1), rows(kind)
    new, theta, tangent = grown(old, after)
    expected_f, expected = old.response(somewhere(old), somewhere(old, 2), X)
    f, moved = new.response(theta, tangent, X)
    assert_allclose(f[:, 1] - f[:, 0], expected_f[:, 0], rtol=1e-13, atol=1e-14)
    assert_allclose(moved[:, 1] - moved[:, 0], expected[:, 0], rtol=1e-13, atol=1e-14)
    p_old, p_new = (m.loss.probabilities(each) for m, each in ((old, expected_f), (new, f)))
    assert_allclose(p_new[:, 1] / p_new[:, :2].sum(axis=1), p_old[:, 1], rtol=1e-12)


@pytest.mark.parametrize("kind", ["mlp", "one-layer"])
def test_new_columns_leave_the_function_as_it_was_whatever_stands_in_them(kind: str) -> None:
    made = architecture(kind, nn.Linear if kind == "one-layer" else lambda i, k: modules.mlp(i, k, (4, 3)))
    old, new = (made.model(LOSSES["softmax"], 3, columns) for columns in (5, 8))
    theta, tangent, rng = somewhere(old), somewhere(old, 2), np.random.default_rng(3)
    X = rows(kind)
    wide = np.column_stack([X, rng.normal(size=(len(X), 3))])
    expected = old.response(theta, tangent, X)
    actual = new.response(new.carried(old, theta, True), new.carried(old, tangent, False), wide)
    assert_allclose(actual, expected, rtol=1e-13, atol=1e-14)


def test_an_embedding_bag_of_more_places_keeps_all_it_has() -> None:
    made = architecture("embedding-bag", lambda i, k: modules.EmbeddingBag(k, 7, 3))
    old, new = (made.model(LOSSES["softmax"], 3, columns) for columns in (6, 8))
    theta, X = somewhere(old), rows("embedding-bag")
    padded = np.column_stack([X, np.full((len(X), 2), float(modules.PAD))])
    assert_allclose(new.outputs(new.carried(old, theta, True), padded), old.outputs(theta, X), rtol=1e-13, atol=1e-15)


class Scaled(nn.Module):
    """A linear layer and a number."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(inputs, outputs), nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.scale * self.linear(x)
        return out


def test_a_parameter_that_is_one_number_is_kept_too() -> None:
    old, new = (network("one-layer", "softmax", k, factory=Scaled) for k in (2, 3))
    theta, X = somewhere(old), rows("one-layer")
    f = new.outputs(new.carried(old, theta, True), X)
    assert_allclose(f[:, :2], old.outputs(theta, X), rtol=1e-13, atol=1e-14)
    assert (f[:, 2] == 0.0).all()


def test_what_had_another_number_of_axes_or_is_smaller_now_starts_anew() -> None:
    old, new = network("cnn", "squared"), network("mlp", "squared")
    theta = new.carried(old, somewhere(old), True)
    assert (theta == new.first).all()
    assert (new.carried(old, somewhere(old), False) == 0.0).all()


def steepest(model: Network, theta: Array, batches: list[Data], divisor: Array | None) -> float:
    """The largest eigenvalue among the batches' curvatures, by dense algebra."""
    D = np.ones(model.size) if divisor is None else divisor
    found = 0.0
    for each in batches:
        H = model.hessian(theta, each.X, each.y, each.w)
        found = max(found, float(np.linalg.eigvalsh(H / np.sqrt(np.outer(D, D)))[-1]))
    return found


@heads
@kinds
@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_steepness_bounds_the_curvature_of_every_batch(kind: str, head: str, size: int, scaled: bool) -> None:
    model, data = network(kind, head), sample(kind, head, 4 * size)
    theta = somewhere(model)
    divisor = np.random.default_rng(4).uniform(0.3, 3.0, model.size) if scaled else None
    batches = [part(data, np.arange(i * size, (i + 1) * size)) for i in range(4)]
    exact = steepest(model, theta, batches, divisor)
    found = model.steepness(theta, data.X, data.y, data.w, size, divisor)
    assert exact <= found


def test_a_batch_that_shares_nothing_with_those_before_is_as_steep_as_it_is() -> None:
    def bare(inputs: int, outputs: int) -> nn.Module:
        return nn.Linear(inputs, outputs, bias=False)

    model = network("one-layer", "squared", factory=bare)
    X = np.column_stack([np.ones(4), np.diag([1.0, 2.0, 3.0, 4.0])])  # each row in a column of its own
    found = model.steepness(None, X, np.zeros(4), np.ones(4), 1, None)
    assert 16.0 <= found <= POWER_MARGIN * 16.0


def test_the_steepness_of_the_hessian_is_that_of_the_gauss_newton_curvature_with_its_damping() -> None:
    data = sample("mlp", "softmax", 16)
    models = [network("mlp", "softmax", curvature=c, damping=0.5) for c in ("gauss-newton", "hessian")]
    theta = somewhere(models[0])
    first, second = (model.steepness(theta, data.X, data.y, data.w, 4, None) for model in models)
    assert first == second
    bare = network("mlp", "softmax").steepness(theta, data.X, data.y, data.w, 4, None)
    assert first == pytest.approx(bare + POWER_MARGIN * 0.5, rel=0.05)


def test_the_gradient_of_tied_parameters_is_the_difference() -> None:
    # A layer that is used twice, and by two names.
    def tied(inputs: int, outputs: int) -> nn.Module:
        layer = nn.Linear(inputs, inputs)
        return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(inputs, outputs))

    model, data = network("one-layer", "softmax", factory=tied), sample("one-layer", "softmax")
    theta = somewhere(model)
    assert ["0.weight", "0.bias", "3.weight", "3.bias"] == [name for name, _ in model.blocks]
    numeric = central(lambda t: model.gradient(t, data.X, data.y, data.w)[0], theta)
    assert_allclose(model.gradient(theta, data.X, data.y, data.w)[1], numeric, rtol=1e-6, atol=1e-9)
    W, b, V, c = theta[:16].reshape(4, 4), theta[16:20], theta[20:32].reshape(3, 4), theta[32:]
    expected = (np.tanh(data.X[:, 1:] @ W.T + b) @ W.T + b) @ V.T + c
    assert_allclose(model.outputs(theta, data.X), expected, rtol=1e-12, atol=1e-14)
