"""What a query strategy is: a score for every event, higher = a label would teach more.

A strategy sees a `View`: the model as it is expected to be once the queries that are still unanswered have been answered
(`pending.py`), where the inverse Hessian is at hand to say so. A score depends on the event and the view alone, not on what
else was in the batch. NaN means that the strategy cannot judge yet; then the budget is spent evenly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data
from streamlearn.queries.similarity import Similarity

REFERENCES_MOST = 100  # of the newest labeled examples: where the stream is now, at a cost that does not grow
RECENT_MOST = 100  # of the newest events, for the same


@final
@dataclass(frozen=True)
class View:
    """The model as seen by a strategy.

    theta, log_tangent: (d,); covariance: (W H)⁻¹ counting pending queries, and base_covariance without them, (d, d), or
    None where d is too large for it: then similar, if there is one, knows of pending queries. references: the newest labeled
    examples among those that theta was fitted on, at most REFERENCES_MOST of them in the order in which they came; recent:
    design rows (n, D) of the newest events, labeled or not, at most RECENT_MOST; each None unless the strategy needs them.
    """

    model: Model
    theta: Array
    log_tangent: Array
    covariance: Array | None
    base_covariance: Array | None
    references: Data | None = None
    recent: Array | None = None
    similar: Similarity | None = None


class Strategy(ABC):
    """One way to say which label would teach most, and what it cannot do without."""

    name: str
    by_tangent: ClassVar[bool] = False  # the score rests on θ̇, and is worth as much as it
    needs_inverse: ClassVar[bool] = False  # the covariance
    discounts: ClassVar[bool] = False  # by the covariance, what pending queries will tell; it can do without
    needs_references: ClassVar[bool] = False
    looks_at_recent: ClassVar[bool] = False  # where there are any; it can do without
    needs_classes: ClassVar[bool] = False  # a loss on classes

    @abstractmethod
    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        """Scores (n,) for design rows X (n, D). draws (n,): a uniform number per event, a hash of its id.

        view is None while there is no model; NaN also where something is missing that the strategy needs.
        """
