"""Which strategy acts: the one the configuration names, or `auto` by the problem.

Classification: uncertainty, which nothing beat when labels came on time, with pending queries counted. Regression, where
uncertainty does not exist: leverage; SLD, which needs the tangent alone, where d is too large for an inverse.
"""

from __future__ import annotations

from streamlearn.queries.leverage import Leverage
from streamlearn.queries.random import Random
from streamlearn.queries.sld import SquaredLossDerivative
from streamlearn.queries.strategy import Strategy
from streamlearn.queries.uncertainty import Uncertainty

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy for strategy in (Uncertainty(), Leverage(), SquaredLossDerivative(), Random())
}


def choose(name: str, loss: str, exact: bool) -> Strategy:
    """The strategy for a configured name, the problem's loss ("" while open) and whether H⁻¹ is at hand."""
    if name == "leverage" and loss and not exact:
        name = "sld"  # the nearest that needs no inverse; `auto` says the same
    if name == "auto":
        values = loss in ("squared", "poisson")
        name = ("leverage" if exact else "sld") if values else "uncertainty"
    return STRATEGIES[name]
