"""Part of a model's parameters, chosen by name: what users deviate in where that is not the last layer.

Sums over examples are sums here, not means: Σ wᵢ ℓ(f(xᵢ; θ), yᵢ), of examples X (n, D), y and w (n,).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array

Product = Callable[[Array], Array]


class Slope(NamedTuple):
    """At some θ: the sum's value; by the part gradient (m,), hessian and curvature, v ↦ H v and v ↦ G v (Gauss–Newton's)."""

    value: float
    gradient: Array
    hessian: Product
    curvature: Product


class Part(ABC):
    """at (m,): its places in θ, in order; rounding: of its outputs, relative."""

    at: NDArray[np.intp]
    rounding: float

    @abstractmethod
    def slope(self, theta: Array, X: Array, y: Array, w: Array) -> Slope:
        """The sum and its derivatives by the part."""

    @abstractmethod
    def slope_moved(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> Array:
        """What the gradient by the part moves by as all of θ moves along v (d,): (m,)."""

    @abstractmethod
    def added(self, theta: Array, v: Array, X: Array, own: Array, whose: NDArray[np.intp]) -> tuple[Array, Array]:
        """What is added to f and f′ = J v of each row, (n, k), where `own` of it is added to the part of θ and of v.

        own (u, 2, m); whose (n,): which of them is a row's. Where that is 0, nothing is, to the last bit.
        """
