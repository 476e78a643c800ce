"""Uncertainty: the margin between the two likeliest classes a and b, fading where the answer is already under way.

    E_y[1 − 1{y=a} + 1{y=b}] · s_P/s₀ = (1 − (p_a − p_b)) · s_P/s₀

s is the variance of the logit difference f_a − f_b, without (0) and with (P) the pending queries counted as labels; the
factor is 1 where no inverse Hessian is at hand. Under a loss on values no event is more uncertain than another, and only
that factor is left.
"""

from __future__ import annotations

from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import Strategy, View


@final
class Uncertainty(Strategy):
    name = "uncertainty"

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None:
            return np.full(len(X), np.nan)
        p = view.model.loss.probabilities(view.model.outputs(view.theta, X))
        if p.shape[1] == 0:
            margin, top = np.zeros(len(X)), np.zeros((len(X), 2), dtype=int)
        else:
            top = np.argsort(-p, axis=1, kind="stable")[:, :2]
            best = np.take_along_axis(p, top, axis=1)
            margin = best[:, 0] - best[:, 1]
        return (1.0 - margin) * _discount(view, X, top)


def _discount(view: View, X: Array, top: Array) -> Array:
    if view.covariance is None or view.base_covariance is None or view.covariance is view.base_covariance:
        return np.ones(len(X))
    now, before = (
        _difference_variance(view.model.covariance(A, X), top) for A in (view.covariance, view.base_covariance)
    )
    return np.asarray(now / np.maximum(before, 1e-300))


def _difference_variance(M: Array, top: Array) -> Array:
    """Variance of f_a − f_b where M (n, k, k) is the covariance of f; of f itself where there is one output."""
    if M.shape[1] == 1:
        return M[:, 0, 0]
    rows, a, b = np.arange(len(M)), top[:, 0], top[:, 1]
    return np.asarray(M[rows, a, a] + M[rows, b, b] - 2.0 * M[rows, a, b])
