"""Uncertainty: how undecided the model is between classes, fading where the answer is already under way.

    margin              1 − (p_a − p_b) = E_y[1 − 1{y=a} + 1{y=b}], a and b the two likeliest classes
    entropy             −Σ_c p_c log p_c = E_y[−log p_y]
    least confidence    1 − p_a = E_y[1 − 1{y=a}]

each times s_P/s₀: s is the variance of the logit difference f_a − f_b, without (0) and with (P) the pending queries counted as
labels; where no inverse Hessian is at hand, that of the prior (`similarity.py`). With two classes and nothing pending the
three are one order.
Defined for classes only: under a loss on values no event is more uncertain than another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.queries.decision import likeliest, variance
from streamlearn.queries.strategy import Strategy, View


def margin(p: Array) -> Array:
    """1 − (p_a − p_b), (n,), for probabilities p (n, classes), the largest first."""
    return 1.0 - (p[:, 0] - p[:, 1])


def entropy(p: Array) -> Array:
    """−Σ p log p, (n,)."""
    return np.asarray(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1))


def least_confidence(p: Array) -> Array:
    """1 − p_a, (n,)."""
    return np.asarray(1.0 - p[:, 0])


@final
@dataclass(frozen=True)
class Uncertainty(Strategy):
    """measure: of how undecided classes of these probabilities are."""

    name: str = "uncertainty"
    measure: Callable[[Array], Array] = margin
    discounts: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or not view.model.loss.of_classes:
            return np.full(len(X), np.nan)
        p, order = ranked(view, X)
        return np.asarray(self.measure(p) * discount(view, X, order))


def ranked(view: View, X: Array) -> tuple[Array, NDArray[np.intp]]:
    """Probabilities of the classes (n, classes), the largest first, and which classes those are."""
    p = view.model.loss.probabilities(view.model.outputs(view.theta, X))
    order = likeliest(p)
    return np.take_along_axis(p, order, axis=1), order


def discount(view: View, X: Array, order: NDArray[np.intp]) -> Array:
    """s_P/s₀ (n,): the share of the variance of f_a − f_b that pending queries leave; 1 where none can be counted."""
    if view.covariance is None and view.similar is not None and len(view.similar):
        return view.similar.share(X, order)
    if view.covariance is None or view.base_covariance is None or view.covariance is view.base_covariance:
        return np.ones(len(X))
    now, before = (
        variance(view.model.covariance(view.theta, A, X), order) for A in (view.covariance, view.base_covariance)
    )
    return np.asarray(now / np.maximum(before, 1e-300))
