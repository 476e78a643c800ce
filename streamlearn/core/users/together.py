"""What is kept where θ₀ and everybody's parameters are one problem: θ₀, and how near to it each user is.

Given these a user is no part of the problem any more. What there is of θ_u in it is a deviation (97) by the squared distance,
with a precision of the user's own, and so is its tangent:

    δ_u minimises   Σ_{i∈u} wᵢ ℓᵢ(θ₀ + δ) + ½ p_u ‖δ‖²,   θ_u = θ₀ + δ_u

    gamma-normal    p_u = τ_u/κ_u    λ is of θ₀; the rates of the precisions' priors are learned on the way (`gamma_normal.py`)
    hierarchy       p_u = e^{μ_u}    λ is of the users' regularities; the precision of θ₀'s prior is learned on the way
                                     (`hierarchy.py`)

So θ_u is found from θ₀ and the user's labels (`deviation_l2.py`), and refined when one more has come, while θ₀ and the
precisions stay as they were solved for. Who was no part of it has the precision that is likeliest a priori.

Each is solved from the beginning, and what is learned on the way in a fixed number of rounds: so it is a function of the
examples and λ, and of nothing that was known before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Objective
from streamlearn.core.users import gamma_normal, hierarchy
from streamlearn.core.users.groups import Groups

ROUNDS = 5  # after which rates and the precision move by a hundredth
PRIOR = gamma_normal.Gamma(1.5, 0.5, 0.5)  # of standardised features and targets


@final
@dataclass(frozen=True)
class Together:
    """theta θ₀, log_tangent θ̇₀ (d,); of the users named, the first of whom is nobody: precisions p_u, rates dlog p_u/dlog λ
    and weights (U,), what a test example of theirs counts; nobody: θ and θ̇ of whose labels are nobody's (2, d); precision: of
    all others; complexity: R of it all.
    """

    names: tuple[str, ...]
    theta: Array
    log_tangent: Array
    precisions: Array
    rates: Array
    weights: Array
    nobody: Array
    precision: float
    complexity: float = 0.0

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def precision_of(self, user: str) -> tuple[float, float]:
        """p_u, and dlog p_u/dlog λ."""
        place = self._places.get(user)
        return (self.precision, 0.0) if place is None else (float(self.precisions[place]), float(self.rates[place]))

    def without(self, user: str) -> Together:
        """All others as they are; this user has what anybody has."""
        kept = [place for place, name in enumerate(self.names) if name != user]
        names = tuple(self.names[place] for place in kept)
        parts = (self.precisions[kept], self.rates[kept], self.weights[kept])
        return replace(self, names=names, precisions=parts[0], rates=parts[1], weights=parts[2])

    def weight(self, user: str) -> float:
        place = self._places.get(user)
        return 1.0 if place is None else float(self.weights[place])


def by_gamma_normal(objective: Objective, groups: Groups, names: tuple[str, ...], regularity: float) -> Together | None:
    """Of an objective that `gamma_normal.solves`."""
    prior, counts = PRIOR, groups.sums(groups.data.w)
    here = gamma_normal.init(objective.model.size, groups.count, prior)
    for _ in range(ROUNDS):
        here, info = gamma_normal.step(here, objective, groups, regularity, prior)
        if not info.ok:
            return None
        prior = gamma_normal.learned(prior, here, counts)
    return Together(
        names,
        here.theta,
        here.log_tangent,
        here.tau / here.kappa,
        here.tau_tangent - here.kappa_tangent,
        gamma_normal.weights(here),
        np.stack([here.thetas[0], here.tangents[0]]),
        prior.label_rate / prior.rate,
        objective.complexity(here.theta),
    )


def by_hierarchy(objective: Objective, groups: Groups, names: tuple[str, ...], regularity: float) -> Together | None:
    """Of a linear objective: R is not its own, but its free parameters have the prior that they have there.

    Labels have no precisions here: all users' test examples count alike.
    """
    assert isinstance(objective.model, Linear), "everybody has a linear model"
    here, precision = hierarchy.init(objective.model.size, groups.count), hierarchy.PRECISION
    for _ in range(ROUNDS):
        anchor = objective.prior(1.0) + precision * objective.penalised
        here, info = hierarchy.step(here, objective.model, groups, regularity, anchor)
        if not info.ok:
            return None
        precision = hierarchy.learned(precision, here, info, objective.penalised)
    having = groups.sums(groups.data.w) > 0.0  # the μ of one without labels is no more than what its prior makes of it
    return Together(
        names,
        here.theta,
        here.log_tangent,
        np.exp(here.mu),
        here.mu_tangent,
        np.ones(groups.count),
        np.stack([here.thetas[0], here.tangents[0]]),
        1.0,
        float(here.mu[having] @ here.mu[having]),
    )


Solver = Callable[[Objective, Groups, tuple[str, ...], float], Together | None]  # None: nothing finite was found
SOLVERS: dict[str, Solver] = {"gamma-normal": by_gamma_normal, "hierarchy": by_hierarchy}
