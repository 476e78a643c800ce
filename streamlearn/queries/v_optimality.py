"""V-optimality: by how much would a label here make the predictions of the stream surer?

With M the mean curvature of the recent events, tr(M A) is the mean variance of what the model says of them, each output
weighed by what its loss makes of an error. A label at x takes A to A − G S Gᵀ (`pending.py`), and so tr(M A) falls by

    tr[(I + c V)⁻¹ c Q],   V = J A Jᵀ,   Q = J A M A Jᵀ,   c = ∂²ℓ/∂f² at x          one output: c q/(1 + c s)

whatever the label says. Leverage asks how unsure the model is at x; this, how much of that is shared by where the stream is.
It is the squared influence of a label on recent events, in the place of labeled ones (SSI, doubly unlabeled, 96).

Where no recent event is remembered, the labeled examples stand for the stream: M = A⁻¹ and Q = V.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import curvature, unsure
from streamlearn.queries.strategy import Strategy, View


@final
class VOptimality(Strategy):
    name = "v-optimality"
    needs_inverse: ClassVar[bool] = True
    looks_at_recent: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.covariance is None:
            return np.full(len(X), np.nan)
        return fall(view, view.covariance, curvature.of_stream(view), X)


def fall(view: View, covariance: Array, stream: Array | None, X: Array) -> Array:
    """By how much tr(M A) falls with a label at each of the design rows X (n, D): (n,); M = stream streamᵀ."""
    c = view.model.loss.curvature(view.model.outputs(view.theta, X))
    V = unsure.covariance(view, covariance, X)
    Q = V if stream is None else unsure.shared(view, covariance, stream, X)
    falls = np.linalg.solve(np.eye(c.shape[1]) + c @ V, c @ Q)
    return np.asarray(np.trace(falls, axis1=1, axis2=2))
