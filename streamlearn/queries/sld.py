"""SLD, the squared loss derivative: how much could a label here move the model's complexity?

    Ψ(x) = E_{y~p(y|x,θ)} [(∇ℓ(x,y)·θ̇)²] = f′ᵀ F(f) f′,   f′ = J_f(x) θ̇      (66)–(67)

One forward pass: no gradient by example, no sampling of labels.
"""

from __future__ import annotations

from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import Strategy, View


@final
class SquaredLossDerivative(Strategy):
    name = "sld"
    by_tangent = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None:
            return np.full(len(X), np.nan)
        f, f_dot = view.model.response(view.theta, view.log_tangent, X)
        return view.model.loss.fisher_quadratic(f, f_dot)
