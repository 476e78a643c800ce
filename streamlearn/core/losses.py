"""Losses: negative log-likelihoods of a label y given the model's outputs f, and what the tangent needs of them.

A loss ℓ(f, y) is seen through four functions of f (n, k), each in closed form:

    value       ℓ                                   (n,)
    gradient    ∂ℓ/∂f                               (n, k)
    curvature   ∂²ℓ/∂f², the second derivative      (n, k, k)
    fisher      F = E_{y~p(y|f)}[∂ℓ/∂f ∂ℓ/∂fᵀ]     (n, k, k)

For the logistic and softmax losses curvature = fisher. For the squared loss ½(f−y)² the curvature is 1 and the Fisher
information is σ², the noise variance (11)–(13), which enters the scores only.

Targets y are float64: the value itself, or the index of the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Loss(ABC):
    """ℓ(f, y) and its derivatives by f."""

    name: str
    steepest: float  # the largest eigenvalue that the curvature has for any f

    @abstractmethod
    def value(self, f: Array, y: Array) -> Array:
        """ℓ, shape (n,)."""

    @abstractmethod
    def gradient(self, f: Array, y: Array) -> Array:
        """∂ℓ/∂f, shape (n, k)."""

    @abstractmethod
    def curvature(self, f: Array) -> Array:
        """∂²ℓ/∂f², shape (n, k, k); none of these losses has one that depends on y."""

    @abstractmethod
    def curvature_product(self, f: Array, v: Array) -> Array:
        """∂²ℓ/∂f² v, shape (n, k), without forming the matrix."""

    @abstractmethod
    def fisher(self, f: Array) -> Array:
        """E_y[∂ℓ/∂f ∂ℓ/∂fᵀ], shape (n, k, k)."""

    @abstractmethod
    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        """vᵀ F v, shape (n,): the expected square of ∂ℓ/∂f · v."""

    @abstractmethod
    def probabilities(self, f: Array) -> Array:
        """p(y|f) of the classes, shape (n, number of classes); of no width for a loss on values."""


@final
@dataclass(frozen=True)
class Squared(Loss):
    """½(f−y)² with noise variance σ² (its maximum-likelihood estimate is the mean squared residual)."""

    noise: float = 1.0
    name = "squared"
    steepest = 1.0

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

    def probabilities(self, f: Array) -> Array:
        return np.empty((len(f), 0))


def _sigmoid(f: Array) -> Array:
    # Half of the tanh: finite for every f, and one function evaluation.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * f))


@final
@dataclass(frozen=True)
class Logistic(Loss):
    """log(1 + e^f) − y f for y in {0, 1}; one output, the log-odds of class 1."""

    name = "logistic"
    steepest = 0.25

    def value(self, f: Array, y: Array) -> Array:
        return np.asarray(np.logaddexp(0.0, f[:, 0]) - y * f[:, 0])

    def gradient(self, f: Array, y: Array) -> Array:
        return _sigmoid(f) - y[:, None]

    def curvature(self, f: Array) -> Array:
        p = _sigmoid(f)
        return np.asarray((p * (1.0 - p))[:, :, None])

    def curvature_product(self, f: Array, v: Array) -> Array:
        p = _sigmoid(f)
        return np.asarray(p * (1.0 - p) * v)

    def fisher(self, f: Array) -> Array:
        return self.curvature(f)

    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        p = _sigmoid(f[:, 0])
        return np.asarray(p * (1.0 - p) * v[:, 0] ** 2)

    def probabilities(self, f: Array) -> Array:
        p = _sigmoid(f[:, 0])
        return np.stack([1.0 - p, p], axis=1)


def _softmax(f: Array) -> Array:
    e = np.exp(f - f.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


@final
@dataclass(frozen=True)
class Softmax(Loss):
    """log Σ_c e^{f_c} − f_y; one output a class, symmetric in the classes."""

    name = "softmax"
    steepest = 0.5

    def value(self, f: Array, y: Array) -> Array:
        top = f.max(axis=1)
        return np.asarray(top + np.log(np.exp(f - top[:, None]).sum(axis=1)) - f[np.arange(len(f)), y.astype(int)])

    def gradient(self, f: Array, y: Array) -> Array:
        g = _softmax(f)
        g[np.arange(len(f)), y.astype(int)] -= 1.0
        return g

    def curvature(self, f: Array) -> Array:
        p = _softmax(f)
        return np.asarray(p[:, :, None] * (np.eye(f.shape[1]) - p[:, None, :]))

    def curvature_product(self, f: Array, v: Array) -> Array:
        p = _softmax(f)
        return np.asarray(p * (v - (p * v).sum(axis=1, keepdims=True)))

    def fisher(self, f: Array) -> Array:
        return self.curvature(f)

    def fisher_quadratic(self, f: Array, v: Array) -> Array:
        # The variance of v under the predicted class, centred first: no cancellation where p is nearly certain.
        p = _softmax(f)
        return np.asarray((p * (v - (p * v).sum(axis=1, keepdims=True)) ** 2).sum(axis=1))

    def probabilities(self, f: Array) -> Array:
        return _softmax(f)
