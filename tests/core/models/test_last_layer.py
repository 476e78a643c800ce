"""The last layer of a module is found where there is one, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from streamlearn.core.models.networks import Factory
from tests.core.models.nets import KINDS, network, rows, somewhere
from tests.core.problems import LOSSES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["softmax", "squared"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_outputs_are_those_of_a_linear_model_of_what_goes_into_it(kind: str, head: str, dtype: str) -> None:
    model, X = network(kind, head, dtype=dtype), rows(kind)
    last = model.last_layer
    assert last is not None
    for seed in (1, 2):
        theta = somewhere(model, seed)
        W = theta[last.at].reshape(model.outputs_count, last.columns)
        h = last.rows(theta, X)
        assert (h[:, 0] == 1.0).all()
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        assert_allclose(h @ W.T, model.outputs(theta, X), rtol=tolerance, atol=tolerance)
    assert last.free == (0,)


def test_of_a_perceptron_what_goes_in_is_what_its_hidden_layers_give() -> None:
    model, X = network("mlp", "softmax"), rows("mlp")
    theta, last = somewhere(model), model.last_layer
    assert last is not None
    A, a, B, b = (theta[i:j].reshape(s) for i, j, s in ((0, 16, (4, 4)), (16, 20, 4), (20, 32, (3, 4)), (32, 35, 3)))
    hidden = np.tanh(np.tanh(X[:, 1:] @ A.T + a) @ B.T + b)
    assert_allclose(last.rows(theta, X)[:, 1:], hidden, rtol=1e-12)
    # Weights of an output behind its bias, in a θ that has all weights before all biases.
    assert last.at.tolist() == [44, 35, 36, 37, 45, 38, 39, 40, 46, 41, 42, 43]


class Functional(nn.Module):
    """Without a linear layer of torch's, and without a bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.randn(shape)) for shape in ((5, inputs), (outputs, 5)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(torch.tanh(nn.functional.linear(x, self.first)), weight=self.second)


def test_a_layer_without_a_bias_has_no_column_of_ones_and_nothing_that_is_free() -> None:
    model, X = network("one-layer", "softmax", factory=Functional), rows("one-layer")
    last, theta = model.last_layer, somewhere(model)
    assert last is not None
    assert (last.columns, last.free) == (5, ())
    assert_allclose(last.rows(theta, X) @ theta[last.at].reshape(3, 5).T, model.outputs(theta, X), rtol=1e-12)


def test_where_the_regularizer_does_not_see_it_all_its_columns_are_free() -> None:
    last = network("mlp", "softmax", parameters=("0.*",)).last_layer
    assert last is not None
    assert last.free == (0, 1, 2, 3)


class Behind(nn.Module):
    """A perceptron, and something behind or beside its last layer."""

    def __init__(self, inputs: int, outputs: int, what: str) -> None:
        super().__init__()
        self.first, self.last, self.what = nn.Linear(inputs, 6), nn.Linear(6, outputs), what
        self.beside = nn.Linear(inputs, outputs)
        self.scale = nn.Parameter(torch.ones(()))
        if what == "frozen bias":
            self.last.bias.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.what == "places":
            return torch.as_tensor(self.last(torch.tanh(self.first(x))[:, None, :].repeat(1, 2, 1)).mean(dim=1))
        out: torch.Tensor = self.last(torch.tanh(self.first(x)))
        if self.what == "bounded":
            return 0.99 * torch.tanh(out)
        if self.what == "scaled":  # by 1, at the parameters that it comes with
            return out * self.scale
        return out + self.beside(x) if self.what == "beside" else out


def behind(what: str) -> Factory:
    return lambda inputs, outputs: Behind(inputs, outputs, what)


@pytest.mark.parametrize("what", ["bounded", "scaled", "beside", "places", "frozen bias"])
def test_it_is_not_found_where_outputs_are_something_else(what: str) -> None:
    assert network("one-layer", "softmax", factory=behind(what)).last_layer is None
    assert network("one-layer", "softmax", factory=behind("nothing")).last_layer is not None


def test_a_linear_model_is_no_last_layer() -> None:
    from streamlearn.core.models.linear import Linear

    assert Linear(LOSSES["softmax"], 3, 5).last_layer is None
