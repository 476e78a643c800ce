"""Everybody's parameters, solved for at once: what kinds come to in which θ₀ and all θ_u are one problem.

    gamma-normal    λ is of θ₀; the rates of the precisions' priors are learned on the way (`gamma_normal.py`)
    hierarchy       λ is of the users' regularities; the precision of θ₀'s prior is learned on the way (`hierarchy.py`)

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
from streamlearn.core.users.deviation import Deviation
from streamlearn.core.users.groups import Groups

ROUNDS = 5  # after which rates and the precision move by a hundredth
PRIOR = gamma_normal.Gamma(1.5, 0.5, 0.5)  # of standardised features and targets


@final
@dataclass(frozen=True)
class Together:
    """theta θ₀, log_tangent θ̇₀ (d,); of each of the users named: thetas θ_u, tangents θ̇_u (U, d), and weights (U,), what a test
    example of theirs counts; complexity: R of it all."""

    names: tuple[str, ...]
    theta: Array
    log_tangent: Array
    thetas: Array
    tangents: Array
    weights: Array
    complexity: float = 0.0

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def deviation(self, user: str, theta: Array, log_tangent: Array) -> Deviation:
        """What is to be added to theta and log_tangent; of who is not named, θ₀ and θ̇₀ come of it."""
        place = self._places.get(user)
        own, own_dot = (self.theta, self.log_tangent) if place is None else (self.thetas[place], self.tangents[place])
        return Deviation(own - theta, own_dot - log_tangent)

    def without(self, user: str) -> Together:
        """All others as they are; this user has what all share."""
        kept = [place for place, name in enumerate(self.names) if name != user]
        names = tuple(self.names[place] for place in kept)
        return replace(
            self, names=names, thetas=self.thetas[kept], tangents=self.tangents[kept], weights=self.weights[kept]
        )

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
    weights, complexity = gamma_normal.weights(here), objective.complexity(here.theta)
    return Together(names, here.theta, here.log_tangent, here.thetas, here.tangents, weights, complexity)


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
    complexity, weights = float(here.mu[having] @ here.mu[having]), np.ones(groups.count)
    return Together(names, here.theta, here.log_tangent, here.thetas, here.tangents, weights, complexity)


Solver = Callable[[Objective, Groups, tuple[str, ...], float], Together | None]  # None: nothing finite was found
SOLVERS: dict[str, Solver] = {"gamma-normal": by_gamma_normal, "hierarchy": by_hierarchy}
