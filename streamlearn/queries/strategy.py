"""What a query strategy is: a score for every event, higher = a label would teach more.

A strategy sees a `View`: the model as it is expected to be once the queries that are still unanswered have been answered
(`pending.py`), where the inverse Hessian is at hand to say so. A score depends on the event and the view alone, not on what
else was in the batch. NaN means that the strategy cannot judge yet; then the budget is spent evenly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear


@final
@dataclass(frozen=True)
class View:
    """The model as seen by a strategy.

    theta, log_tangent: (d,); covariance: (W H)⁻¹ counting pending queries, and base_covariance without them, (d, d), or
    None where d is too large for it.
    """

    model: Linear
    theta: Array
    log_tangent: Array
    covariance: Array | None
    base_covariance: Array | None


class Strategy(ABC):
    """One way to say which label would teach most."""

    name: str
    by_tangent: bool = False  # whether the score rests on θ̇, and is worth as much as it

    @abstractmethod
    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        """Scores (n,) for design rows X (n, D). draws (n,): a uniform number per event, a hash of its id.

        view is None while there is no model.
        """
