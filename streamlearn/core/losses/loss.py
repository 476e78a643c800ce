"""What a loss is: a negative log-likelihood of a label y given the model's outputs f, and what the tangent needs of it.

A loss ℓ(f, y) is seen through four functions of f (n, k), each in closed form:

    value       ℓ                                   (n,)
    gradient    ∂ℓ/∂f                               (n, k)
    curvature   ∂²ℓ/∂f², the second derivative      (n, k, k)
    fisher      F = E_{y~p(y|f)}[∂ℓ/∂f ∂ℓ/∂fᵀ]     (n, k, k)

For the logistic, softmax and Poisson losses curvature = fisher. For the squared loss ½(f−y)² the curvature is 1 and the
Fisher information is σ², the noise variance (11)–(13), which enters the scores only.

Targets y are float64: the value itself, or the index of the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Loss(ABC):
    """ℓ(f, y) and its derivatives by f."""

    name: str
    of_classes: bool  # whether y is the index of a class, or a value
    dispersion: float = 1.0  # fisher = dispersion · curvature
    steepest: float  # the largest eigenvalue that the curvature has for any f; inf where there is none

    @abstractmethod
    def value(self, f: Array, y: Array) -> Array:
        """ℓ, shape (n,)."""

    def least(self, y: Array) -> Array:
        """The least ℓ that any f has, shape (n,)."""
        return np.zeros(len(y))

    @abstractmethod
    def gradient(self, f: Array, y: Array) -> Array:
        """∂ℓ/∂f, shape (n, k)."""

    @abstractmethod
    def curvature(self, f: Array) -> Array:
        """∂²ℓ/∂f², shape (n, k, k); none of these losses has one that depends on y."""

    def curvature_root(self, f: Array, w: Array | None = None) -> Array:
        """r (n, k, k) with r rᵀ = w ∂²ℓ/∂f², weights w (n,), 1 unless told."""
        values, vectors = np.linalg.eigh(self.curvature(f))
        roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        return np.asarray(roots if w is None else roots * np.sqrt(w)[:, None, None])

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
    def gradient_length(self, f: Array) -> Array:
        """E_y‖∂ℓ/∂f‖, shape (n,)."""

    @abstractmethod
    def probabilities(self, f: Array) -> Array:
        """p(y|f) of the classes, shape (n, number of classes); of no width for a loss on values."""

    @abstractmethod
    def prediction(self, f: Array) -> Array:
        """The expected value E[y|f], or the index of the likeliest class, shape (n,)."""
