"""Decisive: how undecided is the model here, and how much surer would the answer make it about the stream?

    √( (1 − (p_a − p_b)) · tr[(I + c V)⁻¹ c Q] )

the geometric mean of the margin (`uncertainty.py`) and of what V-optimality counts (`v_optimality.py`), a and b the two
likeliest classes. Uncertainty alone asks about outliers on the boundary as readily as about crowds, and V-optimality about
events that are decided already. A pending query lowers the second factor for whatever resembles it.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import curvature
from streamlearn.queries.strategy import Strategy, View
from streamlearn.queries.uncertainty import margin, ranked
from streamlearn.queries.v_optimality import fall


@final
class Decisive(Strategy):
    name = "decisive"
    needs_inverse: ClassVar[bool] = True
    looks_at_recent: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or not view.model.loss.of_classes or view.covariance is None:
            return np.full(len(X), np.nan)
        falls = fall(view, view.covariance, curvature.of_stream(view), X)
        falls = np.maximum(falls, 0.0)  # rounding may leave a little less than nothing
        return np.asarray(np.sqrt(margin(ranked(view, X)[0]) * falls))
