"""Losses on classes: logistic for two, softmax for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses.loss import Array, Loss


def _sigmoid(f: Array) -> Array:
    # Half of the tanh: finite for every f, and one function evaluation.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * f))


@final
@dataclass(frozen=True)
class Logistic(Loss):
    """log(1 + e^f) − y f for y in {0, 1}; one output, the log-odds of class 1."""

    name = "logistic"
    of_classes = True
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

    def gradient_length(self, f: Array) -> Array:
        p = _sigmoid(f[:, 0])
        return np.asarray(2.0 * p * (1.0 - p))

    def probabilities(self, f: Array) -> Array:
        p = _sigmoid(f[:, 0])
        return np.stack([1.0 - p, p], axis=1)

    def prediction(self, f: Array) -> Array:
        return np.asarray((f[:, 0] > 0.0).astype(float))


def _softmax(f: Array) -> Array:
    e = np.exp(f - f.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


@final
@dataclass(frozen=True)
class Softmax(Loss):
    """log Σ_c e^{f_c} − f_y; one output a class, symmetric in the classes."""

    name = "softmax"
    of_classes = True
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

    def gradient_length(self, f: Array) -> Array:
        # ‖p − e_y‖² = ‖p‖² + 1 − 2 p_y.
        p = _softmax(f)
        squares = (p * p).sum(axis=1, keepdims=True) + 1.0 - 2.0 * p
        return np.asarray((p * np.sqrt(np.maximum(squares, 0.0))).sum(axis=1))

    def probabilities(self, f: Array) -> Array:
        return _softmax(f)

    def prediction(self, f: Array) -> Array:
        return np.asarray(f.argmax(axis=1).astype(float))
