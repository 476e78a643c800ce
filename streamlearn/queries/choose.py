"""Which strategy acts: the one the configuration names, or `auto` by the problem.

Classification: uncertainty, with pending queries counted. Informed uncertainty was ahead of it on the data sets that it was
chosen by, and not on those that were to confirm it. Regression, where uncertainty does not exist: V-optimality. Leverage asks
about whatever is far out, and in a stream that moves that is the newest event, always (docs/asking.md). Where it is known how
users differ and what is not known of each, classes are asked for by `decisive`: uncertainty does not know what to ask one who
is new (docs/users.md).

A strategy says what it cannot do without. An inverse Hessian there is of every model that is not too large for one, and of a
network beyond that for its last layer (`learner/inverse.py`). Where there is none (a wide linear model, a network whose last
layer is wide or not linear), or the labels turn out to be values and it needs classes, SLD acts, which needs the tangent
alone. For the squared influences that is the nearest there is: the total one over the training set is SLD at an optimum.
Uncertainty acts everywhere. Where there is no inverse Hessian of the whole, a linear model's discount is the prior's
(`similarity.py`); a network's is that of its last layer, where it is asked for (`sight.py`).
"""

from __future__ import annotations

from streamlearn.core.losses import OF_VALUES
from streamlearn.queries import squared_influence
from streamlearn.queries.committee import Committee
from streamlearn.queries.decisive import Decisive
from streamlearn.queries.flip import Flip
from streamlearn.queries.gradient_length import GradientLength
from streamlearn.queries.informed import Informed
from streamlearn.queries.leverage import Leverage
from streamlearn.queries.periodic import Periodic
from streamlearn.queries.random import Random
from streamlearn.queries.sld import ResidualSquaredLossDerivative, SquaredLossDerivative
from streamlearn.queries.strategy import Strategy
from streamlearn.queries.uncertainty import Uncertainty, entropy, least_confidence
from streamlearn.queries.v_optimality import VOptimality

_SLD = SquaredLossDerivative()
_ALL: tuple[Strategy, ...] = (
    Uncertainty(),
    Uncertainty("margin"),
    Uncertainty("entropy", entropy),
    Uncertainty("least-confidence", least_confidence),
    Decisive(),
    Informed(),
    Informed("informed-boundary", boundary=True),
    Flip(),
    Committee(),
    GradientLength(),
    Leverage(),
    VOptimality(),
    _SLD,
    SquaredLossDerivative("sld-unlabeled", labeled=False),
    ResidualSquaredLossDerivative(),
    *squared_influence.forms(),
    Random(),
    Periodic(),
)
STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in _ALL}


def choose(name: str, loss: str, exact: bool, of_personalities: bool = False) -> Strategy:
    """The strategy for a configured name, the problem's loss ("" while open), whether H⁻¹ is at hand, and whether it is known
    how users differ.
    """
    values = loss in OF_VALUES
    if name == "auto":
        name = "v-optimality" if values else "decisive" if of_personalities and loss and exact else "uncertainty"
    strategy = STRATEGIES[name]
    if (strategy.needs_inverse and loss and not exact) or (strategy.needs_classes and values):
        return _SLD
    return strategy
