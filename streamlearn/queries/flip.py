"""Flip: how little would log λ have to change for the prediction to flip?

    |f′_ab − c f_ab| / |f_ab|,   f_ab = f_a − f_b of the two likeliest classes a and b, f′_ab its derivative by log λ

To first order f_ab is zero where log λ has changed by |f_ab|/|f′_ab|; the score is the inverse of that. But under L2 most of f′
is f again: λ rescales all of the model, and scale moves no decision. That part is taken out first, c being the coefficient
of the least squares of f′_ab on f_ab over the references. What is left is where λ turns the model.

With two classes f_ab is the one output. Defined for classes only.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import rescaling
from streamlearn.queries.strategy import Strategy, View

LEAST = 1e-12  # of |f_ab|: below, the classes are tied


@final
class Flip(Strategy):
    name = "flip"
    by_tangent: ClassVar[bool] = True
    needs_references: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.references is None or not view.model.loss.of_classes:
            return np.full(len(X), np.nan)
        c = rescaling.coefficient(*_gaps(view, view.references.X), view.references.w)
        f, moved = _gaps(view, X)
        return np.asarray(np.abs(moved - c * f) / np.maximum(np.abs(f), LEAST))


def _gaps(view: View, X: Array) -> tuple[Array, Array]:
    """f_ab and f′_ab, each (n,)."""
    f, f_dot = view.model.response(view.theta, view.log_tangent, X)
    if f.shape[1] == 1:
        return f[:, 0], f_dot[:, 0]
    top = np.argsort(-f, axis=1, kind="stable")[:, :2]
    both = (np.take_along_axis(each, top, axis=1) for each in (f, f_dot))
    gap, moved = (each[:, 0] - each[:, 1] for each in both)
    return gap, moved
