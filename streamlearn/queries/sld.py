"""SLD, the squared loss derivative: how much could a label here move the model's complexity?

    Ψ(x) = E_{y~p(y|x,θ)} [(∇ℓ(x,y)·θ̇)²] = f′ᵀ F(f) f′,   f′ = J_f(x) θ̇      (66)–(67)

One forward pass: no gradient by example, no sampling of labels. Unlabeled, without the loss's factor, it is ‖f′‖².

Under L2 that prefers what is safely decided already, for f′ is mostly f again (`rescaling.py`). The residual form takes that
part out: the same of f′ − c f, logits of several classes around their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import rescaling, squares
from streamlearn.queries.strategy import Strategy, View


@final
@dataclass(frozen=True)
class SquaredLossDerivative(Strategy):
    """labeled: whether the loss's factor counts."""

    name: str = "sld"
    labeled: bool = True
    by_tangent: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None:
            return np.full(len(X), np.nan)
        f, f_dot = view.model.response(view.theta, view.log_tangent, X)
        return view.model.loss.fisher_quadratic(f, f_dot) if self.labeled else squares.of_response(f_dot[:, :, None])


@final
class ResidualSquaredLossDerivative(Strategy):
    name = "sld-residual"
    by_tangent: ClassVar[bool] = True
    needs_references: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.references is None:
            return np.full(len(X), np.nan)
        c = rescaling.coefficient(*_around_mean(view, view.references.X), view.references.w)
        f, f_dot = _around_mean(view, X)
        return view.model.loss.fisher_quadratic(f, f_dot - c * f)


def _around_mean(view: View, X: Array) -> tuple[Array, Array]:
    """f and f′ (n, k); of several outputs without what they share, which the loss does not see."""
    both = view.model.response(view.theta, view.log_tangent, X)
    f, f_dot = (each - each.mean(axis=1, keepdims=True) if each.shape[1] > 1 else each for each in both)
    return f, f_dot
