"""The linear model f = X Wᵀ on a flat parameter vector, with every loss.

θ is W (k, D) laid out by output: θ[c·D + j] is the weight of column j for output c. X (n, D) is the design matrix: its
first column is 1, so the intercepts are θ[c·D]. All sums over examples are weighted means, E = (1/W) Σ wᵢ ℓᵢ, W = Σ wᵢ
(1)–(3). Everything is one or two matrix products; the Hessian–vector product is Xᵀ(curvature ∘ (X v)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array, Loss

FEW_ROWS = 64


@final
@dataclass(frozen=True)
class Linear:
    """f = X Wᵀ, k outputs of D columns each; d = k·D parameters."""

    loss: Loss
    outputs_count: int
    columns: int

    @property
    def size(self) -> int:
        return self.outputs_count * self.columns

    def matrix(self, theta: Array) -> Array:
        """θ as W (k, D): a view."""
        return theta.reshape(self.outputs_count, self.columns)

    def outputs(self, theta: Array, X: Array) -> Array:
        """f, shape (n, k)."""
        return X @ self.matrix(theta).T

    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        """f and f′ = J v, each (n, k), by one matrix product; by two with a vector where those are faster."""
        if self._few(X):
            return (X @ theta)[:, None], (X @ v)[:, None]
        both = X @ np.concatenate([self.matrix(theta), self.matrix(v)]).T
        return both[:, : self.outputs_count], both[:, self.outputs_count :]

    def responses(self, vectors: Array, X: Array) -> Array:
        """J V for many vectors V (d, c) at once, (n, k, c)."""
        k, D, count = self.outputs_count, self.columns, vectors.shape[1]
        blocks = vectors.reshape(k, D, count).transpose(1, 0, 2).reshape(D, k * count)
        return np.asarray((X @ blocks).reshape(len(X), k, count))

    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        """Mean loss and its gradient (d,)."""
        f, share = self.outputs(theta, X), w / w.sum()
        return float(share @ self.loss.value(f, y)), ((share[:, None] * self.loss.gradient(f, y)).T @ X).ravel()

    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
        """Mean loss, gradient (d,) and Hessian times v (d,), sharing the forward pass."""
        (f, f_dot), share = self.response(theta, v, X), (w / w.sum())[:, None]
        loss = float(share[:, 0] @ self.loss.value(f, y))
        if self._few(X):
            g, h = share * self.loss.gradient(f, y), share * self.loss.curvature_product(f, f_dot)
            return loss, g[:, 0] @ X, h[:, 0] @ X
        both = np.concatenate([share * self.loss.gradient(f, y), share * self.loss.curvature_product(f, f_dot)], axis=1)
        products = both.T @ X
        k = self.outputs_count
        return loss, products[:k].ravel(), products[k:].ravel()

    def _few(self, X: Array) -> bool:
        """Whether two products with a vector are faster than one with two: by twice where X is larger than the cache."""
        return self.outputs_count == 1 and len(X) <= FEW_ROWS

    def linearised(self, theta: Array, X: Array, w: Array) -> Callable[[Array], Array]:
        """v ↦ the Hessian of the mean loss times v (d,), for many v: the curvature is computed once."""
        f, share = self.outputs(theta, X), (w / w.sum())[:, None]
        if self.outputs_count == 1:
            curvature = share * self.loss.curvature(f)[:, :, 0]
            return lambda v: ((curvature * self.outputs(v, X)).T @ X).ravel()
        p = self.loss.probabilities(f)
        part = share * p

        def product(v: Array) -> Array:  # of a softmax: diag(p) − ppᵀ, as in `hessian`
            f_dot = self.outputs(v, X)
            centred = f_dot - (p * f_dot).sum(axis=1, keepdims=True)
            return np.asarray(((part * centred).T @ X).ravel())

        return product

    def example_gradients(self, theta: Array, X: Array, y: Array) -> Array:
        """∇ℓᵢ, shape (n, d)."""
        g = self.loss.gradient(self.outputs(theta, X), y)
        return np.asarray((g[:, :, None] * X[:, None, :]).reshape(len(X), self.size))

    def hessian(self, theta: Array, X: Array, w: Array) -> Array:
        """The Hessian of the mean loss, (d, d); for models small enough to form it."""
        k, D, share = self.outputs_count, self.columns, w / w.sum()
        f = self.outputs(theta, X)
        if k == 1:
            H = (X * (share * self.loss.curvature(f)[:, 0, 0])[:, None]).T @ X
        else:
            # Several outputs are a softmax's, with the curvature diag(p) − ppᵀ: all blocks of the second part are one
            # product of rows p ⊗ x, and only those on the diagonal have a first part.
            p = self.loss.probabilities(f)
            rows = (p[:, :, None] * X[:, None, :]).reshape(len(X), self.size)
            H = -((rows * share[:, None]).T @ rows)
            for c in range(k):
                block = slice(c * D, (c + 1) * D)
                H[block, block] += (X * (share * p[:, c])[:, None]).T @ X
        return np.asarray(0.5 * (H + H.T))  # symmetric but for rounding; so it is to the last bit

    def covariance(self, inverse: Array, X: Array) -> Array:
        """J A Jᵀ for every example, (n, k, k): the covariance of f where A (d, d) is that of θ."""
        k, D = self.outputs_count, self.columns
        half = self.responses(inverse, X).reshape(len(X), k * k, D)
        return np.asarray(np.einsum("nkd,nd->nk", half, X).reshape(len(X), k, k))
