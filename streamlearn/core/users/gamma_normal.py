"""Gamma–normal: every user has parameters near the shared ones, a precision of them, and a precision of labels (109)–(113).

    τ_u ~ Gamma(a, b)   κ_u ~ Gamma(a, c)   θ₀ ~ N(0, 1/α)   θ_u ~ N(θ₀, 1/τ_u)   y ~ N(x·θ_u, 1/κ_u)

With rᵢ = xᵢ·θ_u − yᵢ of a user's n_u labels (weights count), m parameters a user, W labels in all and λ = α/W, W L is

    Σᵢ [½ κ_u rᵢ² − ½ log κ_u] + ½ α‖θ₀‖²
      + Σ_u [½ τ_u‖θ_u−θ₀‖² − ½ m log τ_u − (a−1)(log τ_u + log κ_u) + b τ_u + c κ_u]

R = ½‖θ₀‖², of the columns that the objective penalises. In log τ and log κ the Hessian is the arrow whose parts are written
beside `Problem.hessian`. The tangent is H (θ̇₀, θ̇_u, dlog τ_u, dlog κ_u) = −λC with C = θ₀ in the shared block alone. (98) does
not apply.

**Marginal.** The likeliest θ_u and κ_u at once are no good where a user has about as many labels as parameters: what fits
them all, noise included, has no residuals and so a large κ_u. With G_u = Σ x xᵀ

    + Σ_u ½ log det(κ_u G_u + τ_u I)

θ_u is integrated out of the likelihood of τ_u and κ_u (the integral of a normal density, and so exact): a residual counts with
what fitting took from it. Then, with γ_u = tr[κ_u G_u (κ_u G_u + τ_u I)⁻¹], how many parameters the labels determine,

    τ_u = (½γ_u + a − 1) / (½‖θ_u−θ₀‖² + b),      κ_u = (½(n_u − γ_u) + a − 1) / (½ Σ rᵢ² + c)

and without (`marginal` False) m and n_u in the place of γ_u and n_u − γ_u. Given these precisions the parameters are one
linear system: that is where Newton's method on all of them starts.

A user who labels noisily has a small κ_u: their labels weigh κ_u in θ₀, and should in a test loss (`weights`). One
without labels has θ_u = θ₀ and θ̇_u = θ̇₀, and changes nothing for the others. Of the labels only each user's Gram matrix is
needed (`least_squares.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np

from streamlearn.core.losses import Array, Squared
from streamlearn.core.objective import Objective
from streamlearn.core.regularizers import L2
from streamlearn.core.users import coupled
from streamlearn.core.users.arrow import Arrow, Point
from streamlearn.core.users.coupled import Coupled
from streamlearn.core.users.groups import Groups


class Gamma(NamedTuple):
    """shape a > 1; rate b of parameters' precisions, label_rate c of labels'. The likeliest are (a − 1)/b and (a − 1)/c."""

    shape: float = 2.0
    rate: float = 1.0
    label_rate: float = 1.0


@final
@dataclass(frozen=True)
class State:
    """theta θ₀ (d,), thetas θ_u (U, d), tau and kappa (U,); d/dlog λ of the first two, and of the logarithms of the others."""

    theta: Array
    thetas: Array
    tau: Array
    kappa: Array
    log_tangent: Array
    tangents: Array
    tau_tangent: Array
    kappa_tangent: Array


@final
@dataclass(frozen=True)
class Info:
    """steps taken; value: L; ok: False where nothing was found: the state was left alone."""

    steps: int
    value: float
    ok: bool


def solves(objective: Objective) -> bool:
    """Whether this is an objective that has a Gamma–normal model."""
    plain = isinstance(objective.regularizer, L2) and objective.regularizer.origin is None
    return plain and isinstance(objective.model.loss, Squared)


def init(size: int, users: int, prior: Gamma) -> State:
    """θ of `size` parameters; the precisions that the prior holds likeliest."""
    zero, zeros, still = np.zeros(size), np.zeros((users, size)), np.zeros(users)
    tau, kappa = ((prior.shape - 1.0) / rate for rate in (prior.rate, prior.label_rate))
    return State(zero, zeros, still + tau, still + kappa, zero, zeros, still, still)


def step(
    state: State, objective: Objective, groups: Groups, regularity: float, prior: Gamma, marginal: bool = True
) -> tuple[State, Info]:
    """Go to the minimum of L on these labels that is downhill of the state; of an objective that `solves` accepts."""
    failed = Info(0, float("nan"), False)
    if not groups.usable:
        return state, failed
    problem, d = Problem(objective, *summary(groups), regularity, prior, marginal), len(state.theta)
    start = Point(state.theta, np.column_stack([state.thetas, np.log(state.tau), np.log(state.kappa)]))
    first = coupled.minimum(problem, start, held=(d, d + 1))
    found = coupled.minimum(problem, first.at) if first else None
    if first is None or found is None:
        return state, failed
    source = -regularity * objective.complexity_gradient(found.at.shared)
    tangent = coupled.tangent(found, Point(source, np.zeros_like(found.at.users)))
    parts, rates = _parts(found.at.users), _parts(tangent.users)
    new = State(
        found.at.shared, parts.theta, np.exp(parts.log_tau), np.exp(parts.log_kappa),
        tangent.shared, rates.theta, rates.log_tau, rates.log_kappa,
    )  # fmt: skip
    return new, Info(first.steps + found.steps, found.value, True)


def learned(prior: Gamma, state: State, counts: Array) -> Gamma:
    """The prior with the rates whose likeliest precisions are the users' own, the geometric mean over their labels.

    counts: how many each has, by weight. It is no part of L: as the directions of personalities it is refreshed now and then,
    and λ moves without it.
    """
    if not counts.sum() > 0.0:
        return prior
    share = counts / counts.sum()
    tau, kappa = (float(np.exp(share @ np.log(each))) for each in (state.tau, state.kappa))
    return prior._replace(rate=(prior.shape - 1.0) / tau, label_rate=(prior.shape - 1.0) / kappa)


def weights(state: State) -> Array:
    """What a user's test example counts, (U,): κ_u, as in the training loss, over its mean."""
    return np.asarray(state.kappa / state.kappa.mean())


def summary(groups: Groups) -> tuple[Array, Array]:
    """Σ w zzᵀ of rows z = (x, y) and Σ w of every user, (U, D + 1, D + 1) and (U,)."""
    width = groups.data.X.shape[1] + 1
    grams = np.zeros((groups.count, width, width))
    for u in np.unique(groups.user):
        own = groups.of(u)
        rows = np.column_stack([own.X, own.y]) * np.sqrt(own.w)[:, None]
        grams[u] = rows.T @ rows
    return grams, groups.sums(groups.data.w)


class _Parts(NamedTuple):
    theta: Array
    log_tau: Array
    log_kappa: Array


def _parts(users: Array) -> _Parts:
    return _Parts(users[:, :-2], users[:, -2], users[:, -1])


@final
@dataclass(frozen=True, eq=False)
class Problem(Coupled):
    """L; a user's parameters are (θ_u, log τ_u, log κ_u). grams and counts as `summary` gives them."""

    objective: Objective
    grams: Array
    counts: Array
    regularity: float
    prior: Gamma
    marginal: bool = True
    lowest = np.array(-np.inf)
    highest = np.array(np.inf)

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    def value_gradient(self, at: Point) -> tuple[float, Point]:
        own, W, (a, b, c) = _parts(at.users), self.weight, self.prior
        tau, kappa, away = np.exp(own.log_tau), np.exp(own.log_kappa), own.theta - at.shared
        squares, (errors, slopes) = (away**2).sum(axis=1), self._errors(own.theta)
        of_tau, of_kappa = 0.5 * at.shared.size + a - 1.0, 0.5 * self.counts + a - 1.0
        each = (
            0.5 * (kappa * errors + tau * squares)
            + b * tau
            + c * kappa
            - of_tau * own.log_tau
            - of_kappa * own.log_kappa
        )
        shared = self._precision() * at.shared
        by_theta = kappa[:, None] * slopes + tau[:, None] * away
        by_tau, by_kappa = tau * (0.5 * squares + b) - of_tau, kappa * (0.5 * errors + c) - of_kappa
        if self.marginal:
            scales = self._scales(tau, kappa)
            free = tau[:, None] / scales  # how much of each direction the labels leave to the prior
            each += 0.5 * np.log(scales).sum(axis=1)
            by_tau, by_kappa = by_tau + 0.5 * free.sum(axis=1), by_kappa + 0.5 * (1.0 - free).sum(axis=1)
        gradient = Point(
            shared - (tau[:, None] * away).sum(axis=0) / W, np.column_stack([by_theta, by_tau, by_kappa]) / W
        )
        return float(each.sum()) / W + 0.5 * float(at.shared @ shared), gradient

    def hessian(self, at: Point, convex: bool) -> Arrow:
        """With D = θ_u − θ₀ and g = Σ r x, W times it is

            shared  Στ_u + α     border  ⎡ −τ  ⎤     user  ⎡ κG + τ   τD          κg          ⎤
                                         ⎢ −τDᵀ⎥           ⎢   ·     τ(½‖D‖² + b)  0          ⎥
                                         ⎣  0  ⎦           ⎣   ·      ·           κ(½Σr² + c) ⎦

        where the marginal adds Σ_j ½ f_j (1 − f_j) to both precisions' curvatures and takes it from what is between them,
        f_j = τ/(κ g_j + τ) for each eigenvalue g_j of G.
        """
        own, W, d = _parts(at.users), self.weight, at.shared.size
        tau, kappa, away = np.exp(own.log_tau), np.exp(own.log_kappa), own.theta - at.shared
        (errors, slopes), one = self._errors(own.theta), np.eye(d)
        times = 1.0 if convex else 0.5
        border, users = np.zeros((len(tau), d + 2, d)), np.zeros((len(tau), d + 2, d + 2))
        border[:, :d], border[:, d] = -tau[:, None, None] * one, -tau[:, None] * away
        users[:, :d, :d] = kappa[:, None, None] * self.grams[:, :d, :d] + tau[:, None, None] * one
        users[:, :d, d] = users[:, d, :d] = tau[:, None] * away
        users[:, :d, d + 1] = users[:, d + 1, :d] = kappa[:, None] * slopes
        users[:, d, d] = tau * (times * (away**2).sum(axis=1) + self.prior.rate)
        users[:, d + 1, d + 1] = kappa * (times * errors + self.prior.label_rate)
        if self.marginal:
            free = tau[:, None] / self._scales(tau, kappa)
            bend = 0.5 * (free * (1.0 - free)).sum(axis=1)
            users[:, d:, d:] += bend[:, None, None] * np.array([[1.0, -1.0], [-1.0, 1.0]])
        return Arrow(np.diag(self._precision() + tau.sum() / W), border / W, users / W)

    @cached_property
    def _eigenvalues(self) -> Array:
        """Of every user's G, (U, d)."""
        return np.asarray(np.maximum(np.linalg.eigvalsh(self.grams[:, :-1, :-1]), 0.0))

    def _scales(self, tau: Array, kappa: Array) -> Array:
        """The eigenvalues of κG + τI, (U, d)."""
        return kappa[:, None] * self._eigenvalues + tau[:, None]

    def _errors(self, thetas: Array) -> tuple[Array, Array]:
        """Σ r² (U,) and Σ r x (U, d) of every user."""
        ends = np.column_stack([thetas, np.full(len(thetas), -1.0)])
        products = np.einsum("uij,uj->ui", self.grams, ends)
        return np.maximum((ends * products).sum(axis=1), 0.0), products[:, :-1]

    def _precision(self) -> Array:
        """Of θ₀'s prior, over W: λ where it is penalised, the anchor elsewhere, (d,)."""
        return np.asarray(self.regularity * self.objective.penalised + self.objective.prior(self.weight))
