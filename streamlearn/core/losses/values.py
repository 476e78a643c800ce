"""Losses on values: squared, with its noise variance, and Poisson."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses.loss import Array, Loss

LARGEST = 700.0  # of the logarithm of a rate: e^f is finite
NORMAL = 1e8  # a rate from which a Poisson variable is a normal one, and the exact sum loses its digits


@final
@dataclass(frozen=True)
class Squared(Loss):
    """½(f−y)² with noise variance σ² (its maximum-likelihood estimate is the mean squared residual)."""

    noise: float = 1.0
    name = "squared"
    of_classes = False
    steepest = 1.0

    @property
    def dispersion(self) -> float:  # type: ignore[override]  # an attribute elsewhere: nobody sets it
        return self.noise

    def value(self, f: Array, y: Array) -> Array:
        return np.asarray(0.5 * (f[:, 0] - y) ** 2)

    def gradient(self, f: Array, y: Array) -> Array:
        return f - y[:, None]

    def curvature(self, f: Array) -> Array:
        return np.ones((len(f), 1, 1))

    def curvature_product(self, f: Array, v: Array) -> Array:
        return v

    def fisher(self, f: Array) -> Array:
        return np.full((len(f), 1, 1), self.noise)

    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        return self.noise * v[:, 0] ** 2

    def gradient_length(self, f: Array) -> Array:
        return np.full(len(f), math.sqrt(2.0 * self.noise / math.pi))

    def probabilities(self, f: Array) -> Array:
        return np.empty((len(f), 0))

    def prediction(self, f: Array) -> Array:
        return f[:, 0]


@final
@dataclass(frozen=True)
class Poisson(Loss):
    """e^f − y f for a count y ≥ 0 with the rate e^f; log y!, which does not depend on f, is left out."""

    name = "poisson"
    of_classes = False
    steepest = math.inf

    def value(self, f: Array, y: Array) -> Array:
        return np.asarray(_rate(f[:, 0]) - y * f[:, 0])

    def least(self, y: Array) -> Array:
        return np.asarray(y - y * np.log(np.where(y > 0.0, y, 1.0)))

    def gradient(self, f: Array, y: Array) -> Array:
        return _rate(f) - y[:, None]

    def curvature(self, f: Array) -> Array:
        return np.asarray(_rate(f)[:, :, None])

    def curvature_product(self, f: Array, v: Array) -> Array:
        return np.asarray(_rate(f) * v)

    def fisher(self, f: Array) -> Array:
        return self.curvature(f)

    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        return np.asarray(_rate(f[:, 0]) * v[:, 0] ** 2)

    def gradient_length(self, f: Array) -> Array:
        from scipy.special import gammaln  # a heavy import, needed only here

        # The mean absolute deviation, 2 e^{−μ} μ^{⌊μ⌋+1}/⌊μ⌋! (de Moivre); by logarithms, for large μ.
        rate = _rate(f[:, 0])
        whole = np.floor(np.minimum(rate, NORMAL))
        few = 2.0 * np.exp((whole + 1.0) * f[:, 0] - rate - gammaln(whole + 1.0))
        return np.where(rate < NORMAL, few, np.sqrt(2.0 * rate / math.pi))

    def probabilities(self, f: Array) -> Array:
        return np.empty((len(f), 0))

    def prediction(self, f: Array) -> Array:
        return np.asarray(_rate(f[:, 0]))


def _rate(f: Array) -> Array:
    return np.asarray(np.exp(np.minimum(f, LARGEST)))


def noise(f: Array, y: Array, w: Array) -> float:
    """σ² of the squared loss by maximum likelihood: the mean squared residual (11)–(13); 1 where there is none."""
    variance = float(w @ (f[:, 0] - y) ** 2) / float(w.sum())
    return variance if variance > 0.0 else 1.0
