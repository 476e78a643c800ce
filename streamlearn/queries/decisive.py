"""Decisive: how undecided is the model here, and how much surer would the answer make it about the stream?

    √( m · b ),   m = 1 − (p_a − p_b),   b = tr[(I + c V)⁻¹ c Q]

the geometric mean of the margin m (`uncertainty.py`) and of what V-optimality counts (`v_optimality.py`), a and b the two
likeliest classes. Uncertainty alone asks about outliers on the boundary as readily as about crowds, and V-optimality about
events that are decided already. A pending query lowers the second factor for whatever resembles it.

`decisive-fading` leaves more and more to the margin as labels come: what is unsure about the stream is then little, whatever
is asked. With M the mean curvature of the recent events

    m · (b / tr[(M A)²])^γ,   γ = τ / (1 + τ),   τ = tr(M A) ≈ parameters per label

tr[(M A)²] is the mean of b over the stream to first order: so the score keeps its size while γ falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import curvature
from streamlearn.queries.strategy import Strategy, View
from streamlearn.queries.uncertainty import margin, ranked
from streamlearn.queries.v_optimality import fall

TINY = 1e-300


@final
@dataclass(frozen=True)
class Decisive(Strategy):
    """fading: whether the second factor does."""

    name: str = "decisive"
    fading: bool = False
    needs_inverse: ClassVar[bool] = True
    needs_recent: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        stream = curvature.of_stream(view) if view is not None else None
        if view is None or not view.model.loss.of_classes or view.covariance is None or stream is None:
            return np.full(len(X), np.nan)
        falls = np.maximum(fall(view, view.covariance, stream, X), 0.0)  # rounding may leave a little less than nothing
        undecided = margin(ranked(view, X)[0])
        if not self.fading:
            return np.asarray(np.sqrt(undecided * falls))
        unsure = stream @ view.covariance
        share = float(np.trace(unsure))
        mean = float((unsure * unsure.T).sum())
        return np.asarray(undecided * (falls / max(mean, TINY)) ** (share / (1.0 + share)))
