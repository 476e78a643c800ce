"""A model of which a store tells the shape, where nothing is at hand to compute it with: for who only reads the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import NoReturn, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models.model import Block, Columns, LastLayer, Model


@final
@dataclass(frozen=True)
class Described(Model):
    """Whatever would compute is our own fault."""

    name: str
    loss: Loss
    outputs_count: int
    columns: int
    parts: tuple[Block, ...]

    @property
    def kind(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        return sum(prod(shape) for _, shape in self.parts)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.parts

    def with_loss(self, loss: Loss) -> Described:
        return replace(self, loss=loss)

    def _refuse(self) -> NoReturn:
        raise AssertionError(f"a model of kind {self.kind} was described, and is to compute")

    def start(self, y: Array, w: Array) -> Array:
        self._refuse()

    def carried(self, old: Model, vector: Array, is_theta: bool) -> Array:
        self._refuse()

    def free_at(self, free: Columns) -> NDArray[np.intp]:
        self._refuse()

    def inner(self, vector: Array, free: Columns) -> Array:
        self._refuse()

    def outer(self, inner: Array, free: Columns) -> Array:
        self._refuse()

    @property
    def last_layer(self) -> LastLayer | None:
        self._refuse()

    def outputs(self, theta: Array, X: Array) -> Array:
        self._refuse()

    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        self._refuse()

    def responses(self, theta: Array, vectors: Array, X: Array) -> Array:
        self._refuse()

    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        self._refuse()

    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
        self._refuse()

    def linearised(self, theta: Array, X: Array, y: Array, w: Array) -> Callable[[Array], Array]:
        self._refuse()

    def hessian(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        self._refuse()

    def example_gradients(self, theta: Array, X: Array, y: Array) -> Array:
        self._refuse()

    def gradient_lengths(self, theta: Array, X: Array) -> Array:
        self._refuse()

    def pulled(self, theta: Array, roots: Array, X: Array) -> Array:
        self._refuse()

    def covariance(self, theta: Array, inverse: Array, X: Array) -> Array:
        self._refuse()

    def gradient_square(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        self._refuse()

    def steepness(
        self, theta: Array | None, X: Array, y: Array, w: Array, batch_size: int, divisor: Array | None
    ) -> float:
        self._refuse()
