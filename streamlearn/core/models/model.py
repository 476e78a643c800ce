"""What a model is: outputs f(θ, x) on a flat parameter vector, and the derivatives that everything else is made of.

θ (d,) is one vector whatever the model; a loss is its head. X (n, D) are design rows, the first column of which is 1. All
sums over examples are weighted means, E = (1/W) Σ wᵢ ℓᵢ, W = Σ wᵢ (1)–(3). Vectors come in and go out as numpy arrays, in
float64 but where a model computes in float32: then θ and what is as long as θ are float32 too.

The *curvature* H of E is the model's own: the second derivative of a linear model, for a network that or what
stands for it (`network.py`). Whatever solves H θ̇ + λC = 0 takes it from here, and so does the residual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models.part import Part

Columns = tuple[int, ...]
Block = tuple[str, tuple[int, ...]]  # the name of a part of θ, and its shape


def in_words(blocks: tuple[Block, ...]) -> list[str]:
    """Each block's name and shape, as `head.weight 10x64`."""
    return [f"{name} {'x'.join(map(str, shape))}" for name, shape in blocks]


@final
@dataclass(frozen=True)
class LastLayer:
    """A model's last layer as a linear model of what goes into it, h(x): f = h Wᵀ + b.

    columns: of its design rows, (1, h), or h where it has no bias; at (k·columns,): where its parameters are in θ, output by
    output; free: its columns that R does not see; rows(θ, X): its design rows (n, columns) in float64 from the model's;
    response(θ, v, X): f and f′ (n, k), these rows and what becomes of them along v, by one forward pass.
    """

    columns: int
    at: NDArray[np.intp]
    free: Columns
    rows: Callable[[Array, Array], Array]
    response: Callable[[Array, Array, Array], tuple[Array, Array, Array, Array]]


class Model(ABC):
    """loss: the head; outputs_count: k; columns: D, of design rows."""

    loss: Loss
    outputs_count: int
    columns: int

    @property
    @abstractmethod
    def kind(self) -> str:
        """As the configuration names it."""

    @property
    @abstractmethod
    def size(self) -> int:
        """d."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """What θ consists of, in order."""

    @abstractmethod
    def with_loss(self, loss: Loss) -> Model:
        """The same model under another head (or another noise variance)."""

    @abstractmethod
    def start(self, y: Array, w: Array) -> Array:
        """θ (d,) before any example was learned; targets y (n,) and weights w (n,) of those that will be."""

    @abstractmethod
    def carried(self, old: Model, vector: Array, is_theta: bool) -> Array:
        """θ or θ̇ of a smaller model of the same kind as parameters (d,) of this one: the same function of what it knew.

        Outputs may have become more, one (of two classes) become one for each, or columns been added.
        """

    # What R sees

    @abstractmethod
    def free_at(self, free: Columns) -> NDArray[np.intp]:
        """Places in θ that R does not see; free: design columns among them, where a model has parameters by column."""

    @abstractmethod
    def inner(self, vector: Array, free: Columns) -> Array:
        """What R sees of a vector (d,): (m,), in order."""

    @abstractmethod
    def outer(self, inner: Array, free: Columns) -> Array:
        """The other way round, (m,) → (d,), with zeros at `free_at`."""

    @property
    @abstractmethod
    def last_layer(self) -> LastLayer | None:
        """What its outputs come of, where that is a linear layer and not the whole model."""

    @property
    def part(self) -> Part | None:
        """The parameters that users deviate in, where they were chosen; None: the last layer, of a linear model all."""
        return None

    # Outputs

    @abstractmethod
    def outputs(self, theta: Array, X: Array) -> Array:
        """f, shape (n, k)."""

    @abstractmethod
    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        """f and f′ = J v, each (n, k), by one forward pass."""

    @abstractmethod
    def responses(self, theta: Array, vectors: Array, X: Array) -> Array:
        """J V for many vectors V (d, c) at once, (n, k, c)."""

    # Derivatives of the mean loss

    @abstractmethod
    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        """Mean loss and its gradient (d,)."""

    @abstractmethod
    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
        """Mean loss, gradient (d,) and H v (d,), sharing the forward pass."""

    @abstractmethod
    def linearised(self, theta: Array, X: Array, y: Array, w: Array) -> Callable[[Array], Array]:
        """v ↦ H v (d,), for many v at one θ."""

    @abstractmethod
    def hessian(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        """H (d, d); for models small enough to form it."""

    # By example

    @abstractmethod
    def example_gradients(self, theta: Array, X: Array, y: Array) -> Array:
        """∇ℓᵢ, shape (n, d)."""

    @abstractmethod
    def gradient_lengths(self, theta: Array, X: Array) -> Array:
        """E_{y~p(y|x,θ)}‖∇ℓ(x, y)‖, shape (n,)."""

    @abstractmethod
    def pulled(self, theta: Array, roots: Array, X: Array) -> Array:
        """Jᵢᵀ rᵢ for r columns (n, k, r) of each example, side by side: (d, n·r)."""

    @abstractmethod
    def covariance(self, theta: Array, inverse: Array, X: Array) -> Array:
        """J A Jᵀ of every example, (n, k, k): the covariance of f where A (d, d) is that of θ."""

    # What SGDF steps by

    @abstractmethod
    def gradient_square(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        """The mean square of examples' gradients, coordinate by coordinate, (d,)."""

    @abstractmethod
    def steepness(
        self, theta: Array | None, X: Array, y: Array, w: Array, batch_size: int, divisor: Array | None
    ) -> float:
        """h such that SGDF's tangent is stable up to steps of 2/h, but for λ, on batches like samples of these examples.

        At any θ where theta is None. divisor: D (d,) of preconditioned steps.
        """
