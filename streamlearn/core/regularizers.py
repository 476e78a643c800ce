"""Regularizers: measures of complexity R of the parameters that are penalised, and their derivatives.

    L2          ½‖θ − θ₀‖²                        θ₀ = 0 unless the model deviates from a shared one (97)
    L1          ‖θ − θ₀‖₁                         the same, with a deviation that is zero in most places
    Custom      any function with its gradient
    Increasing  g(R) for an increasing g          (23)–(25)

Which parameters are penalised (76) is the objective's choice: a regularizer is handed those, θ (m,), and no others.

Only the order that R puts on θ matters: L at the regularity λ with R has its optimum where L at λ/g′(R) has it with g(R)
(25). So another g is another curve of the same optima, and another measure of where on it one stands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from streamlearn.core.losses import Array

Function = Callable[[Array], tuple[float, Array]]
DIFFERENCE = 6e-6  # ∛ of the rounding unit: the step at which a central difference is most exact


class Regularizer(ABC):
    """R(θ) and its derivatives by θ (m,)."""

    smooth: bool  # False: R has kinks where θ = θ₀, and `gradient` is zero in a coordinate that stands on one

    @abstractmethod
    def value(self, theta: Array) -> float:
        """R."""

    @abstractmethod
    def gradient(self, theta: Array) -> Array:
        """C = ∇R, shape (m,)."""

    @abstractmethod
    def hvp(self, theta: Array, v: Array) -> Array:
        """∇²R v, shape (m,)."""

    @abstractmethod
    def hessian(self, theta: Array) -> Array:
        """∇²R, shape (m, m)."""


class Kinked(Regularizer, ABC):
    """An R with kinks, on which parameters come to rest."""

    smooth = False

    @abstractmethod
    def shrink(self, theta: Array, size: float) -> Array:
        """The θ that minimises ½‖θ − given‖² + size·R: a proximal step, (m,)."""


@final
@dataclass(frozen=True, eq=False)
class L2(Regularizer):
    """½‖θ − θ₀‖²; origin θ₀ (m,), None: 0."""

    origin: Array | None = None
    smooth = True

    def value(self, theta: Array) -> float:
        from_origin = self.gradient(theta)
        return 0.5 * float(from_origin @ from_origin)

    def gradient(self, theta: Array) -> Array:
        return theta if self.origin is None else theta - self.origin

    def hvp(self, theta: Array, v: Array) -> Array:
        return v

    def hessian(self, theta: Array) -> Array:
        return np.eye(len(theta))


@final
@dataclass(frozen=True, eq=False)
class L1(Kinked):
    """‖θ − θ₀‖₁; origin θ₀ (m,), None: 0."""

    origin: Array | None = None

    def value(self, theta: Array) -> float:
        return float(np.abs(self._from_origin(theta)).sum())

    def gradient(self, theta: Array) -> Array:
        return np.sign(self._from_origin(theta))

    def hvp(self, theta: Array, v: Array) -> Array:
        return np.zeros_like(v)

    def hessian(self, theta: Array) -> Array:
        return np.zeros((len(theta), len(theta)))

    def shrink(self, theta: Array, size: float) -> Array:
        away = self._from_origin(theta)
        kept = np.sign(away) * np.maximum(np.abs(away) - size, 0.0)
        return kept if self.origin is None else np.where(kept == 0.0, self.origin, self.origin + kept)

    def _from_origin(self, theta: Array) -> Array:
        return theta if self.origin is None else theta - self.origin


@final
@dataclass(frozen=True, eq=False)
class Custom(Regularizer):
    """A user's own: function(θ) gives R and its gradient. Second derivatives are central differences of the gradient."""

    function: Function
    smooth = True

    def value(self, theta: Array) -> float:
        return self._checked(theta)[0]

    def gradient(self, theta: Array) -> Array:
        return self._checked(theta)[1]

    def hvp(self, theta: Array, v: Array) -> Array:
        size = float(np.linalg.norm(v))
        if size == 0.0:
            return np.zeros_like(v)
        h = DIFFERENCE * (1.0 + float(np.linalg.norm(theta))) / size
        return np.asarray((self.gradient(theta + h * v) - self.gradient(theta - h * v)) / (2.0 * h))

    def hessian(self, theta: Array) -> Array:
        columns = np.array([self.hvp(theta, e) for e in np.eye(len(theta))]).reshape(len(theta), len(theta))
        return np.asarray(0.5 * (columns + columns.T))

    def _checked(self, theta: Array) -> tuple[float, Array]:
        if len(theta) == 0:  # every column is free: nobody's code has to be ready for that
            return 0.0, theta
        try:
            value, gradient = self.function(theta.copy())
            return float(value), np.broadcast_to(np.asarray(gradient, dtype=float), theta.shape)
        except (
            Exception
        ):  # a user's code, whatever it raises: the update is skipped and counted, as one that is not finite
            return np.nan, np.full_like(theta, np.nan)


class Increase(NamedTuple):
    """An increasing g: its value, g′ and g″, as functions of R."""

    value: Callable[[float], float]
    slope: Callable[[float], float]
    bend: Callable[[float], float]


INCREASES = {
    "log": Increase(lambda r: float(np.log1p(r)), lambda r: 1.0 / (1.0 + r), lambda r: -1.0 / (1.0 + r) ** 2),
    "square": Increase(lambda r: 0.5 * r * r, lambda r: r, lambda r: 1.0),
}


@final
@dataclass(frozen=True, eq=False)
class Increasing(Regularizer):
    """g(R) of a smooth R (23)."""

    inner: Regularizer
    g: Increase
    smooth = True

    def value(self, theta: Array) -> float:
        return self.g.value(self.inner.value(theta))

    def gradient(self, theta: Array) -> Array:
        return self.g.slope(self.inner.value(theta)) * self.inner.gradient(theta)

    def hvp(self, theta: Array, v: Array) -> Array:
        R, C = self.inner.value(theta), self.inner.gradient(theta)
        return self.g.slope(R) * self.inner.hvp(theta, v) + self.g.bend(R) * float(C @ v) * C

    def hessian(self, theta: Array) -> Array:
        R, C = self.inner.value(theta), self.inner.gradient(theta)
        return self.g.slope(R) * self.inner.hessian(theta) + self.g.bend(R) * np.outer(C, C)
