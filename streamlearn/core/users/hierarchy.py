"""Hierarchy: every user has parameters of their own, and a regularity of their own, all under one λ (99)–(108).

A user's outputs are X(θ + δ_u), θ shared and δ_u their own. With a pseudo-regularity μ_u for each user, W labels in all and
m parameters a user,

    L = E(θ, δ) + λ Σ_u μ_u² + (1/W) Σ_u [ ½ e^{μ_u} ‖δ_u‖² − ½ m μ_u ] + (1/2W) Σ_j anchor_j θ_j²          (99)

That is the program (106)–(108): μ_u ~ N(0, 1/(2λW)), δ_u ~ N(0, e^{−μ_u}), the labels given δ_u. The precision is written
e^{μ_u} so that it stays positive; of its prior's normalizer −½ m μ_u is what depends on it. Only Σ μ_u² is R (102): λ says how
much alike users are in how far they deviate, at λ → ∞ all with the precision 1.

The Hessian is an arrow, ℋ_u = ∂²E/∂θ_u²:

    shared  Σ_u ℋ_u + anchor/W       border  ⎡ℋ_u⎤      user  ⎡ ℋ_u + e^μ/W      e^μ δ/W       ⎤
                                             ⎣ 0 ⎦            ⎣     ·        2λ + ½ e^μ‖δ‖²/W  ⎦

The tangent is H (θ̇, δ̇, μ̇) = −λC, C = 2μ_u in the place of μ_u alone: it reaches θ and δ through the couplings of H⁻¹,
as (103)–(105) say. (98) does not apply: here θ is not trained in a run of its own.

**The collapsed mode.** δ_u = 0 with a large μ_u is a minimum too where λ is small, whatever the labels say: L falls with
μ_u without end but for λμ_u². So θ and δ are first solved with μ as it came (0 from `init`), then all together, and μ stays
within ±BOUND.

**The anchor.** λ does not reach θ, so nothing tunes its prior from outside. Its precision p ~ Gamma(a, b) is what the labels
make likeliest, θ and the users' parameters integrated out to second order: with γ how many of its parameters they determine,

    p = (½γ + a − 1) / (½‖θ‖² + b),      γ = Σ_j (1 − p Var θ_j),      Var θ the shared block of (W H)⁻¹

found in rounds, each with the p before (`learned`). As the rates of Gamma–normal it is no part of L: λ moves without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.users import coupled
from streamlearn.core.users.arrow import Arrow, Point
from streamlearn.core.users.coupled import Coupled
from streamlearn.core.users.groups import Groups

BOUND = 7.0  # of |μ|: precisions from 1e-3 to 1e3
SHAPE, RATE = 2.0, 1.0  # a and b, of standardised features and targets
REACH = 3.0  # of μ, above: a precision of 20
PRECISION = (SHAPE - 1.0) / RATE  # the likeliest before there are labels


@final
@dataclass(frozen=True)
class State:
    """theta (d,), own δ (U, d), mu (U,); and d/dlog λ of each: log_tangent, own_tangent, mu_tangent."""

    theta: Array
    own: Array
    mu: Array
    log_tangent: Array
    own_tangent: Array
    mu_tangent: Array

    @property
    def thetas(self) -> Array:
        """θ + δ_u, (U, d)."""
        return self.theta + self.own

    @property
    def tangents(self) -> Array:
        """Of θ + δ_u, (U, d)."""
        return self.log_tangent + self.own_tangent


@final
@dataclass(frozen=True)
class Info:
    """steps taken; value: L; resting: how many μ stand on their bound; ok: False where nothing was found: no state changed;
    variances (d,): of θ, the diagonal of its block of (W H)⁻¹.
    """

    steps: int
    value: float
    resting: int
    ok: bool
    variances: Array


def init(size: int, users: int) -> State:
    """θ of `size` parameters."""
    theta, own, mu = np.zeros(size), np.zeros((users, size)), np.zeros(users)
    return State(theta, own, mu, theta, own, mu)


def step(state: State, model: Linear, groups: Groups, regularity: float, anchor: float | Array) -> tuple[State, Info]:
    """Go to the minimum of L on these labels that is downhill of the state; anchor: the precision of θ's own prior, of each
    parameter or of all."""
    failed = Info(0, float("nan"), 0, False, np.empty(0))
    if not groups.usable:
        return state, failed
    problem = Problem(model, groups, regularity, anchor)
    start = Point(state.theta, np.column_stack([state.own, state.mu]))
    first = coupled.minimum(problem, start, held=(model.size,))
    found = coupled.minimum(problem, first.at) if first else None
    if first is None or found is None:
        return state, failed
    tangent = coupled.tangent(found, Point(np.zeros(model.size), -problem.source(found.at)))
    (theta, own), (log_tangent, own_tangent) = found.at, tangent
    new = State(theta, own[:, :-1], own[:, -1], log_tangent, own_tangent[:, :-1], own_tangent[:, -1])
    variances = np.diag(np.linalg.inv(found.factor.schur)) / groups.weight
    return new, Info(first.steps + found.steps, found.value, int(found.resting.sum()), True, variances)


def least(size: int) -> float:
    """The α = λW from which on no μ is above `REACH`, m = `size`: where L is least, 4αμ = m − e^μ ‖δ‖²."""
    return size / (4.0 * REACH)


def learned(precision: float, state: State, info: Info, where: Array) -> float:
    """The next precision of the prior of θ where `where` (d,) is 1, of the minimum that was found with this one."""
    determined = float(where @ (1.0 - precision * info.variances))
    return (0.5 * determined + SHAPE - 1.0) / (0.5 * float(where @ state.theta**2) + RATE)


@final
@dataclass(frozen=True, eq=False)
class Problem(Coupled):
    """L; a user's parameters are (δ_u, μ_u)."""

    model: Linear
    groups: Groups
    regularity: float
    anchor: float | Array

    @property
    def lowest(self) -> Array:  # type: ignore[override]  # an attribute elsewhere: nobody sets it
        return np.append(np.full(self.model.size, -np.inf), -BOUND)

    @property
    def highest(self) -> Array:  # type: ignore[override]
        return -self.lowest

    def value_gradient(self, at: Point) -> tuple[float, Point]:
        W, own, mu = self.groups.weight, at.users[:, :-1], at.users[:, -1]
        loss, by_user = self.groups.value_gradient(self.model, at.shared + own)
        precision, squares = np.exp(mu), (own**2).sum(axis=1)
        prior = 0.5 * float((precision * squares - self.model.size * mu).sum() + self.anchor * at.shared @ at.shared)
        by_mu = 2.0 * self.regularity * mu + 0.5 * (precision * squares - self.model.size) / W
        by_own = by_user + precision[:, None] * own / W
        shared = by_user.sum(axis=0) + self.anchor * at.shared / W
        return loss + self.regularity * float(mu @ mu) + prior / W, Point(shared, np.column_stack([by_own, by_mu]))

    def hessian(self, at: Point, convex: bool) -> Arrow:
        W, d, own, precision = self.groups.weight, self.model.size, at.users[:, :-1], np.exp(at.users[:, -1])
        of_loss = self.groups.hessian(self.model, at.shared + own)
        border, users = np.zeros((len(own), d + 1, d)), np.zeros((len(own), d + 1, d + 1))
        border[:, :d] = of_loss
        users[:, :d, :d] = of_loss + (precision / W)[:, None, None] * np.eye(d)
        users[:, :d, d] = users[:, d, :d] = precision[:, None] * own / W
        curvature = (1.0 if convex else 0.5) * precision * (own**2).sum(axis=1) / W
        users[:, d, d] = 2.0 * self.regularity + curvature
        return Arrow(of_loss.sum(axis=0) + self.anchor / W * np.eye(d), border, users)

    def source(self, at: Point) -> Array:
        """λC, of the users' parameters (U, d + 1); of the shared ones it is 0."""
        out = np.zeros_like(at.users)
        out[:, -1] = 2.0 * self.regularity * at.users[:, -1]
        return out
