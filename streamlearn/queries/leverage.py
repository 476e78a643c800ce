"""Leverage: how far could a label here move the parameters, measured by the Hessian?

    E_{y~p(y|x,θ)} [∇ℓᵀ A ∇ℓ] = tr(F J A Jᵀ),   A = (W H)⁻¹ with pending queries counted

For the squared loss that is σ² xᵀAx, the predictive variance: the score to beat in regression.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import unsure
from streamlearn.queries.strategy import Strategy, View


@final
class Leverage(Strategy):
    name = "leverage"
    needs_inverse: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.covariance is None:
            return np.full(len(X), np.nan)
        fisher = view.model.loss.fisher(view.model.outputs(view.theta, X))
        return np.asarray((fisher * unsure.covariance(view, view.covariance, X)).sum(axis=(1, 2)))
