"""A loss whose outputs begin elsewhere: ℓ(f₀ + f, y), f₀ (n, k) given once for n examples.

With it, what deviates from a shared model is an ordinary problem in the deviation: all solvers take it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array, Loss


@final
@dataclass(frozen=True, eq=False)
class Shifted(Loss):
    """inner, seen from `origin` f₀ (n, k); every function is of those n examples and no others."""

    inner: Loss
    origin: Array

    @property
    def name(self) -> str:  # type: ignore[override]  # an attribute elsewhere: nobody sets it
        return self.inner.name

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        return self.inner.of_classes

    @property
    def dispersion(self) -> float:  # type: ignore[override]
        return self.inner.dispersion

    @property
    def steepest(self) -> float:  # type: ignore[override]
        return self.inner.steepest

    def value(self, f: Array, y: Array) -> Array:
        return self.inner.value(self.origin + f, y)

    def gradient(self, f: Array, y: Array) -> Array:
        return self.inner.gradient(self.origin + f, y)

    def curvature(self, f: Array) -> Array:
        return self.inner.curvature(self.origin + f)

    def curvature_product(self, f: Array, v: Array) -> Array:
        return self.inner.curvature_product(self.origin + f, v)

    def fisher(self, f: Array) -> Array:
        return self.inner.fisher(self.origin + f)

    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        return self.inner.fisher_quadratic(self.origin + f, v)

    def gradient_length(self, f: Array) -> Array:
        return self.inner.gradient_length(self.origin + f)

    def probabilities(self, f: Array) -> Array:
        return self.inner.probabilities(self.origin + f)

    def prediction(self, f: Array) -> Array:
        return np.asarray(self.inner.prediction(self.origin + f))
