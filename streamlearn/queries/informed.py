"""Informed uncertainty: how undecided is the model here, and how much of the stream would the answer tell it about?

    (1 − (p_a − p_b)) · q^γ,   q = vᵀ A M A v,   v = Jᵀ(e_a − e_b)

a and b are the two likeliest classes, f_a − f_b what decides between them, M the mean curvature of the recent events
(`curvature.py`) and A = (W H)⁻¹ with pending queries counted: q is the squared influence of this decision on the stream's
predictions. Uncertainty alone asks about outliers on the boundary as well as about crowds; the second factor leans towards
what is shared, and towards what no pending query covers. With γ = ¼ it decides between events that are about as undecided.

`informed-boundary` weighs the recent events by how undecided they are themselves, and the whole by s_P/s₀, the share of the
variance of f_a − f_b that the pending queries leave.

Where no recent event is remembered nothing is known of the stream, and the score is that of uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import curvature
from streamlearn.queries.decision import directions
from streamlearn.queries.strategy import Strategy, View
from streamlearn.queries.uncertainty import discount, margin, ranked

EXPONENT = 0.25


@final
@dataclass(frozen=True)
class Informed(Strategy):
    """boundary: whether recent events count by how undecided they are."""

    name: str = "informed"
    boundary: bool = False
    needs_inverse: ClassVar[bool] = True
    looks_at_recent: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or not view.model.loss.of_classes or view.covariance is None:
            return np.full(len(X), np.nan)
        stream = curvature.of_stream(view, _undecided if self.boundary else None)
        p, order = ranked(view, X)
        if stream is None:
            return np.asarray(margin(p) * discount(view, X, order))
        v = directions(order, view.model.outputs_count)[:, :, None]
        moved = stream.T @ (view.covariance @ view.model.pulled(view.theta, v, X))
        score = margin(p) * (moved**2).sum(axis=0) ** EXPONENT
        return np.asarray(score * discount(view, X, order) if self.boundary else score)


def _undecided(view: View, X: Array) -> Array:
    return margin(ranked(view, X)[0])
