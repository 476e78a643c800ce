"""Expected gradient length: how large a step would a label here ask for?

    E_{y~p(y|x,θ)} ‖∇ℓ(x, y)‖          of a linear model E_y‖∂ℓ/∂f‖ · ‖x‖

The plainest of the scores that look at the gradient, and the control for the others: it knows no Hessian, so a step in a
direction that is known well counts as much as one in a direction of which nothing is known.
"""

from __future__ import annotations

from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import Strategy, View


@final
class GradientLength(Strategy):
    name = "gradient-length"

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None:
            return np.full(len(X), np.nan)
        return view.model.gradient_lengths(view.theta, X)
