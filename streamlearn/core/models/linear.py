"""The linear model f = X Wᵀ on a flat parameter vector, with every loss.

θ is W (k, D) laid out by output: θ[c·D + j] is the weight of column j for output c. X (n, D) is the design matrix: its
first column is 1, so the intercepts are θ[c·D]. Everything is one or two matrix products; the Hessian–vector product is
Xᵀ(curvature ∘ (X v)).

**Steepness.** SGDF's recursion for θ̇ is stable in the mean square up to a step of 2/λ_max(M; H), with
M = E[s²‖x‖²xxᵀ]/B + (1−1/B)H² and s the curvature. As E[s²‖x‖²xxᵀ] ≤ max(s‖x‖²) E[s xxᵀ] and H² ≤ λ_max(H) H,

    η_c ≥ 2 / (max s‖x‖²/B + (1−1/B) λ_max(E[s xxᵀ]) + λ)

A mean over rare large rows in place of their maximum would not do: along such a row H is as small as the row is rare.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models.model import Block, Columns, LastLayer, Model

FEW_ROWS = 64
POWER_STEPS, POWER_MARGIN = 12, 1.2
LEAST_CURVATURE = 0.25  # of the largest


@final
@dataclass(frozen=True)
class Linear(Model):
    """f = X Wᵀ, k outputs of D columns each; d = k·D parameters."""

    loss: Loss
    outputs_count: int
    columns: int

    @property
    def kind(self) -> str:
        return "linear"

    @property
    def size(self) -> int:
        return self.outputs_count * self.columns

    def matrix(self, theta: Array) -> Array:
        """θ as W (k, D): a view."""
        return theta.reshape(self.outputs_count, self.columns)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (("weight", (self.outputs_count, self.columns)),)

    def with_loss(self, loss: Loss) -> Linear:
        return replace(self, loss=loss)

    def start(self, y: Array, w: Array) -> Array:
        """Zero; with rates the logarithm of their mean, or e^f may overflow on the way."""
        theta = np.zeros(self.size)
        if self.loss.name == "poisson":
            theta[0] = math.log(max(float(w @ y) / float(w.sum()), 1e-3))
        return theta

    def carried(self, old: Model, vector: Array, is_theta: bool) -> Array:
        """New columns and classes start at 0; a logistic θ becomes a softmax one of the same log-odds of class 1 over 0."""
        W = vector.reshape(old.outputs_count, old.columns)
        if self.outputs_count > 1 and len(W) == 1:
            W = np.concatenate([np.zeros_like(W), W])
        new = np.zeros((self.outputs_count, self.columns))
        new[: len(W), : W.shape[1]] = W
        return new.ravel()

    def free_at(self, free: Columns) -> NDArray[np.intp]:
        at = np.arange(self.outputs_count)[:, None] * self.columns + np.array(sorted(free), dtype=np.intp)
        return np.asarray(at.ravel(), dtype=np.intp)

    def inner(self, vector: Array, free: Columns) -> Array:
        if not free:
            return vector
        W = self.matrix(vector)
        return W[:, 1:].ravel() if free == (0,) else np.delete(W, free, axis=1).ravel()

    def outer(self, inner: Array, free: Columns) -> Array:
        if not free:
            return inner
        k, D = self.outputs_count, self.columns
        out = np.zeros((k, D))
        if free == (0,):
            out[:, 1:] = inner.reshape(k, D - 1)
        else:
            out[:, np.delete(np.arange(D), free)] = inner.reshape(k, -1)
        return out.ravel()

    @property
    def last_layer(self) -> LastLayer | None:
        return None

    def outputs(self, theta: Array, X: Array) -> Array:
        return X @ self.matrix(theta).T

    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        """By one matrix product; by two with a vector where those are faster."""
        if self._few(X):
            return (X @ theta)[:, None], (X @ v)[:, None]
        both = X @ np.concatenate([self.matrix(theta), self.matrix(v)]).T
        return both[:, : self.outputs_count], both[:, self.outputs_count :]

    def responses(self, theta: Array, vectors: Array, X: Array) -> Array:
        k, D, count = self.outputs_count, self.columns, vectors.shape[1]
        blocks = vectors.reshape(k, D, count).transpose(1, 0, 2).reshape(D, k * count)
        return np.asarray((X @ blocks).reshape(len(X), k, count))

    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        f, share = self.outputs(theta, X), w / w.sum()
        return float(share @ self.loss.value(f, y)), ((share[:, None] * self.loss.gradient(f, y)).T @ X).ravel()

    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
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

    def linearised(self, theta: Array, X: Array, y: Array, w: Array) -> Callable[[Array], Array]:
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
        g = self.loss.gradient(self.outputs(theta, X), y)
        return np.asarray((g[:, :, None] * X[:, None, :]).reshape(len(X), self.size))

    def hessian(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
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

    def gradient_lengths(self, theta: Array, X: Array) -> Array:
        """E_y‖∂ℓ/∂f‖ · ‖x‖."""
        lengths = self.loss.gradient_length(self.outputs(theta, X))
        return np.asarray(lengths * np.sqrt(np.einsum("nd,nd->n", X, X)))

    def pulled(self, theta: Array, roots: Array, X: Array) -> Array:
        return np.asarray(np.einsum("mcr,mj->cjmr", roots, X).reshape(self.size, len(X) * roots.shape[2]))

    def covariance(self, theta: Array, inverse: Array, X: Array) -> Array:
        k, D = self.outputs_count, self.columns
        half = self.responses(theta, inverse, X).reshape(len(X), k * k, D)
        return np.asarray(np.einsum("nkd,nd->nk", half, X).reshape(len(X), k, k))

    def gradient_square(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        of_outputs = self.loss.gradient(self.outputs(theta, X), y)
        return np.asarray((((w / w.sum())[:, None] * of_outputs**2).T @ X**2).ravel())

    def steepness(
        self, theta: Array | None, X: Array, y: Array, w: Array, batch_size: int, divisor: Array | None
    ) -> float:
        """With the loss's largest curvature it holds at every θ. Given `theta`, with the curvature there, but no less than
        a quarter of the largest: up to four times as large a step, and should θ come back to where the loss is steepest,
        half of it is still at most twice the bound. A loss without a largest curvature (Poisson) needs `theta`.
        A divisor's part for each output makes coordinates of its own.
        """
        curvature = np.full(len(X), self.loss.steepest)
        if theta is not None:
            # Gershgorin: the largest absolute row sum bounds the largest eigenvalue.
            rows = np.abs(self.loss.curvature(self.outputs(theta, X))).sum(axis=2).max(axis=1)
            if math.isinf(self.loss.steepest):  # a Poisson rate comes to what the counts are
                rows = np.maximum(rows, y)
            steepest = min(self.loss.steepest, float(rows.max()))
            curvature = np.clip(rows, LEAST_CURVATURE * steepest, steepest)
        weight = w / w.sum()
        # The largest part that an example can have of its batch's mean, against batches of the average weight.
        part = np.minimum(weight * len(w) / batch_size, 1.0)
        found = 0.0
        for D in [None] if divisor is None else self.matrix(divisor):
            rows = X if D is None else X / np.sqrt(D)
            worst = float((part * curvature * (rows * rows).sum(axis=1)).max())
            found = max(found, worst + (1.0 - 1.0 / batch_size) * _largest_eigenvalue(rows, curvature * weight))
        return found


def _largest_eigenvalue(X: Array, weight: Array) -> float:
    """λ_max(Xᵀ diag(weight) X) from above: power iteration with a margin, and never more than the trace."""
    v = np.asarray(np.random.default_rng(0).standard_normal(X.shape[1]))
    norm = float(np.linalg.norm(v))
    for _ in range(POWER_STEPS):
        v = np.asarray(X.T @ (weight * (X @ (v / norm))))
        norm = float(np.linalg.norm(v))
        if norm == 0.0:
            break
    return min(POWER_MARGIN * norm, float(weight @ (X * X).sum(axis=1)))
