"""Small networks of every kind with data for every head, and the same as plain functions of a flat tensor, for torch.func."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from streamlearn.core.losses import Array
from streamlearn.core.models import modules
from streamlearn.core.models.network import Network
from streamlearn.core.models.networks import Factory, NetworkArchitecture, Told
from streamlearn.core.objective import Data
from tests.core.problems import LOSSES

torch.set_num_threads(1)  # as the daemon does: with more, products as small as these wait for one another
KINDS = ("mlp", "cnn", "embedding-bag", "one-layer")
INPUTS = {"mlp": 4, "cnn": 16, "embedding-bag": 5, "one-layer": 4}
VOCABULARY = 7
FACTORIES: dict[str, Factory] = {
    "mlp": lambda inputs, outputs: modules.mlp(inputs, outputs, (4, 3)),
    "cnn": lambda inputs, outputs: modules.cnn(inputs, outputs, (1, 4, 4), (2, 3)),
    "embedding-bag": lambda inputs, outputs: modules.EmbeddingBag(outputs, VOCABULARY, 3),
    "one-layer": nn.Linear,
}
TORCH_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "squared": lambda f, y: 0.5 * functional.mse_loss(f[:, 0], y, reduction="none"),
    "logistic": lambda f, y: functional.binary_cross_entropy_with_logits(f[:, 0], y, reduction="none"),
    "softmax": lambda f, y: functional.cross_entropy(f, y.long(), reduction="none"),
    "poisson": lambda f, y: functional.poisson_nll_loss(f[:, 0], y, log_input=True, full=False, reduction="none"),
}


def network(
    kind: str,
    head: str = "squared",
    outputs: int = 0,
    dtype: str = "float64",
    factory: Factory | None = None,
    **told: object,
) -> Network:
    """A network of this kind (or the factory's): of three outputs for softmax and one else, if not said otherwise."""
    tokens = kind == "embedding-bag"
    architecture = NetworkArchitecture(
        kind,
        factory or FACTORIES[kind],
        Told(dtype=dtype, tokens=tokens, **told),  # type: ignore[arg-type]
    )
    return architecture.model(LOSSES[head], outputs or (3 if head == "softmax" else 1), 1 + INPUTS[kind])


def rows(kind: str, count: int = 12, seed: int = 0) -> Array:
    """Design rows; token ids in the places of some of which there is none."""
    rng = np.random.default_rng(seed)
    if kind == "embedding-bag":
        inputs = rng.integers(0, VOCABULARY, (count, INPUTS[kind])).astype(float)
        inputs[np.arange(INPUTS[kind]) >= rng.integers(0, INPUTS[kind] + 1, count)[:, None]] = modules.PAD
    else:
        inputs = rng.normal(size=(count, INPUTS[kind]))
    return np.column_stack([np.ones(count), inputs])


def sample(kind: str, head: str, count: int = 12, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed + 100)
    y = {
        "squared": rng.normal(size=count),
        "logistic": rng.integers(0, 2, count),
        "softmax": rng.integers(0, 3, count),
        "poisson": rng.poisson(2.0, count),
    }[head].astype(float)
    return Data(rows(kind, count, seed), y, rng.uniform(0.5, 2.0, count))


def somewhere(model: Network, seed: int = 1, size: float = 0.5) -> Array:
    """Some θ, or a direction, as precise as the model."""
    return (size * np.random.default_rng(seed).normal(size=model.size)).astype(model.first.dtype)


def plain_outputs(
    kind: str, X: Array, outputs: int, factory: Factory | None = None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """θ ↦ f (n, k), by a module of its own."""
    module = (factory or FACTORIES[kind])(X.shape[1] - 1, outputs).double()
    inputs = torch.tensor(X[:, 1:], dtype=torch.int64 if kind == "embedding-bag" else torch.float64)
    names, parts = zip(*module.named_parameters(), strict=True)
    sizes, shapes = [part.numel() for part in parts], [part.shape for part in parts]

    def f(theta: torch.Tensor) -> torch.Tensor:
        pieces = [piece.view(shape) for piece, shape in zip(theta.split(sizes), shapes, strict=True)]
        out: torch.Tensor = torch.func.functional_call(module, dict(zip(names, pieces, strict=True)), (inputs,))
        return out

    return f


def plain_loss(kind: str, head: str, data: Data, outputs: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """θ ↦ E, by torch's own losses."""
    f, y, w = plain_outputs(kind, data.X, outputs), torch.tensor(data.y), torch.tensor(data.w)
    return lambda theta: (w * TORCH_LOSSES[head](f(theta), y)).sum() / w.sum()


def jacobian(kind: str, X: Array, theta: Array, outputs: int) -> Array:
    """J (n, k, d)."""
    J = torch.func.jacrev(plain_outputs(kind, X, outputs))(torch.tensor(theta))
    return np.asarray(J.numpy())
