"""What a scorer goes by: so much of what the daemon looks at that an event has the same score, as if no query were pending.

A scorer has neither labels nor queries, and many of them share the events. So the daemon gives them, beside the model, what the
strategy that acts looks at: H⁻¹ in all its bits, labeled examples, recent events, each only where it does. Queries that are not
answered yet only lower scores, and what is asked about is the daemon's own choice among candidates, the events that score
highest: `CANDIDATES` times as many as its budget is for. Audits are drawn by a hash, and need no model.

Where the daemon reads candidates, it has no scores of the rest. But a fair sample of all is among them, drawn by a hash, as
many as the budget is for: the threshold is the quantile of the last ones' scores by this very model. With too few of them it
follows from the selector's window, as `queries/sifting.py` says. The sample stands for recent events, too, where strategies
look at those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.queries import choose, selector, sifting
from streamlearn.queries.budget import Budget
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import Strategy, View

CANDIDATES = 4.0
FAIR_LEAST = 16  # scores that tell a quantile


@final
@dataclass(frozen=True)
class Scoring:
    """strategy: the one that acts; whole, last: what it sees of the model and of its last layer, θ and θ̇ of the whole left
    out; threshold: the score from which an event is a candidate; features: their statistics, of all events so far.
    """

    strategy: str
    whole: View
    last: View | None
    threshold: float
    features: moments.State


def take(
    seen: Sight,
    strategy: Strategy,
    asked: selector.State,
    budget: Budget,
    features: moments.State,
    fair: Array | None = None,
) -> Scoring:
    """seen: with no query counted; fair: scores of a fair sample of the stream, where not all of it comes."""
    none, needs = np.empty(0), strategy.needs_inverse
    whole = replace(seen.whole, theta=none, log_tangent=none, similar=None)
    if not needs:  # it would be looked at for the sake of pending queries alone
        whole = replace(whole, covariance=None, base_covariance=None)
    from_ = threshold(asked, budget, none if fair is None else fair[np.isfinite(fair)])
    return Scoring(strategy.name, whole, seen.last if needs else None, from_, features)


def threshold(asked: selector.State, budget: Budget, fair: Array) -> float:
    """The quantile of scores that lets `CANDIDATES` times the budget pass; −inf while there are too few.

    Of the fair ones, where there are enough; of the selector's last ones.
    """
    ranked, share = asked.ranked, CANDIDATES * budget.share
    if share < 1.0 and len(fair) >= FAIR_LEAST:
        ranked = np.sort(fair)
    elif asked.sifted is not None:
        share *= sifting.factor_now(asked.sifted, len(ranked))
    if len(ranked) < selector.JUDGE_LEAST or share >= 1.0:
        return -np.inf
    return float(ranked[min(int((1.0 - share) * len(ranked)), len(ranked) - 1)])


def sight(scoring: Scoring, model: Model, theta: Array, log_tangent: Array) -> Sight:
    """What the strategy looks at; model: the whole one, with what is needed to compute."""
    whole = replace(scoring.whole, model=model, theta=theta, log_tangent=log_tangent)
    whole = replace(whole, covariance=whole.base_covariance)  # the same object: nothing pending is counted
    last, layer = scoring.last, model.last_layer if scoring.last else None
    if last is None or layer is None:
        return Sight(whole)
    last = replace(last, covariance=last.base_covariance)
    return Sight(whole, last, lambda X: layer.rows(theta, X))


def strategy(scoring: Scoring) -> Strategy:
    return choose.STRATEGIES[scoring.strategy]
