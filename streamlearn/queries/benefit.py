"""What labels still buy: how far the stream's mean loss is above the best of this model, and what one more label takes off.

With few labels θ is off by δ, to second order of covariance φA: A = (W H)⁻¹ of the labels learned so far, φ the dispersion (the
noise variance of the squared loss, else 1). Of the mean loss of the recent events, of mean curvature M, that costs

    excess = ½ φ tr(M A)              label = ½ φ mean_z tr[(I + c V)⁻¹ c Q]

and `label` is what that falls by with the label of one of them, taken by chance (`v_optimality.py`); a well chosen one buys
more. Both are expectations under the model: where it is wrong about the stream, labels buy something else as well.
"""

from __future__ import annotations

from typing import NamedTuple

from streamlearn.queries import curvature
from streamlearn.queries.strategy import View
from streamlearn.queries.v_optimality import fall


class Benefit(NamedTuple):
    """In units of the loss that was fitted."""

    excess: float
    label: float


def of(view: View) -> Benefit | None:
    """None where there is no inverse Hessian, or no recent event."""
    A = view.base_covariance  # pending queries have taught nothing yet
    stream = None if A is None else curvature.of_stream(view)
    if A is None or view.recent is None or stream is None:
        return None
    half = 0.5 * view.model.loss.dispersion
    excess = float((stream * (A @ stream)).sum())
    return Benefit(half * excess, half * float(fall(view, A, stream, view.recent).mean()))
