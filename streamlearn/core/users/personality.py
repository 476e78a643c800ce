"""Personality: a user deviates from the shared model along a few directions that all users share (section 3.4.1).

    θ_u = θ₀ + P s_u,      s_u = argmin E_u(θ₀ + P s) + ½ λ‖s‖²,      P (d, k), s_u (k,)

with E_u = (1/W) Σ_{i∈u} wᵢℓᵢ, W of all users' labels. With J = ∂f/∂s = (∂f/∂θ) P and c the loss's curvature

    ∇ = (1/W) Σ w Jᵀ ∂ℓ/∂f + λs,      H_s = (1/W) Σ w Jᵀ c J + λI

so a user costs k parameters to store and k × k systems to solve; no d × d matrix is formed. θ₀ is trained on everybody in a
run of its own, so the tangent is inherited, (98) restricted to P, which is held:

    ṡ = −H_s⁻¹ (λs + (1/W) Σ w Jᵀ c ḟ₀),   ḟ₀ = (∂f/∂θ) θ̇₀;      θ̇_u = θ̇₀ + P ṡ

A user without labels has s = ṡ = 0: θ₀ and θ̇₀ exactly.

**The directions** are learned from users' deviations δ_u = θ_u − θ₀ (97): the eigenvectors of the weighted covariance
Σ n_u δ_u δ_uᵀ/Σ n_u with the largest eigenvalues v₁ ≥ v₂ …, as those are trusted more who have more labels. A direction in
which users differ more is to cost less, as in probabilistic principal components, where it has the prior variance v_j − σ²
with σ² the mean of the eigenvalues that are left out, of noise and of what is one user's alone. So

    P_j = c e_j √(v_j − σ²),      c such that Σ_j ‖P_j‖² = d

which makes λ mean what it means for deviations: under either prior ‖θ_u − θ₀‖² is d/λW in the mean. Signs are fixed (the
largest entry is positive): the same deviations give the same P.
When P is refreshed, what a user's deviation was is projected on the new one (`carried`), from where Newton's method goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data

STEPS_MOST, HALVINGS_MOST = 60, 40
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding


@final
@dataclass(frozen=True)
class Shared:
    """What all users have in common: theta θ₀ (d,), log_tangent θ̇₀ (d,), directions P (d, k), weight W."""

    theta: Array
    log_tangent: Array
    directions: Array
    weight: float


@final
@dataclass(frozen=True)
class State:
    """A user's s (k,), its tangent ds/dlog λ (k,), and the covariance (W H_s)⁻¹ (k, k)."""

    s: Array
    tangent: Array
    covariance: Array


@final
@dataclass(frozen=True)
class Info:
    """steps taken; loss: the user's mean; ok: False where nothing finite was found: the state was left alone."""

    steps: int
    loss: float
    ok: bool


def init(shared: Shared, regularity: float) -> State:
    """A user without labels."""
    k = shared.directions.shape[1]
    return State(np.zeros(k), np.zeros(k), np.eye(k) / (regularity * shared.weight))


def theta(shared: Shared, state: State) -> Array:
    """θ_u, (d,)."""
    return shared.theta + shared.directions @ state.s


def log_tangent(shared: Shared, state: State) -> Array:
    """θ̇_u, (d,)."""
    return shared.log_tangent + shared.directions @ state.tangent


def covariance(shared: Shared, state: State) -> Array:
    """Of θ_u given θ₀, as far as P reaches, (d, d)."""
    return np.asarray(shared.directions @ state.covariance @ shared.directions.T)


def step(state: State, model: Model, shared: Shared, own: Data, regularity: float) -> tuple[State, Info]:
    """Go to the optimum of a user's own labels, starting from state.s; of a model whose outputs are linear in θ."""
    if len(own.y) == 0:
        return init(shared, regularity), Info(0, 0.0, True)
    failed = state, Info(0, float("nan"), False)
    if not own.usable:
        return failed
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        problem = _Problem(model, shared, own, regularity)
        try:
            s, steps = problem.optimum(state.s)
            H, source = problem.curvature(s)
            np.linalg.cholesky(H)  # raises where H is not positive definite
            tangent, inverse = np.asarray(-np.linalg.solve(H, source)), np.asarray(np.linalg.inv(H))
        except (np.linalg.LinAlgError, FloatingPointError):
            return failed
        new, loss = State(s, tangent, inverse / shared.weight), problem.mean_loss(s)
    if not all(np.isfinite(part).all() for part in (new.s, new.tangent, new.covariance, loss)):
        return failed
    return new, Info(steps, loss, True)


def directions(deviations: Array, weights: Array, count: int) -> Array:
    """P (d, k) from deviations (U, d) of users with these weights; k at most `count`: as many as stand out of the rest."""
    d, total = deviations.shape[1], float(weights.sum())
    if not (total > 0.0 and np.isfinite(deviations).all()):
        return np.zeros((d, 0))
    _, singular, axes = np.linalg.svd(deviations * np.sqrt(weights / total)[:, None], full_matrices=False)
    variances = np.zeros(d)
    variances[: len(singular)] = singular**2
    rest = float(variances[count:].mean()) if count < d else 0.0
    size = variances[:count] - rest
    kept = size > 1e-12 * variances[0]
    P = axes[: len(size)][kept].T
    if P.shape[1] == 0:
        return np.asarray(P)
    P = P * np.sign(P[np.abs(P).argmax(axis=0), np.arange(P.shape[1])])
    return np.asarray(P * np.sqrt(d * size[kept] / size[kept].sum()))


def carried(deviation: Array, P: Array) -> Array:
    """s (k,) with P s as near to this deviation (d,) as can be: a start for new directions."""
    return np.asarray(np.linalg.lstsq(P, deviation, rcond=None)[0])


@final
class _Problem:
    """E_u(θ₀ + Ps) + ½λ‖s‖² of one user: f is linear in s, so that J is computed once."""

    def __init__(self, model: Model, shared: Shared, own: Data, regularity: float) -> None:
        self._loss, self._y, self._regularity = model.loss, own.y, regularity
        self._share = own.w / shared.weight
        self._f, self._f_dot = model.response(shared.theta, shared.log_tangent, own.X)
        self._J = model.responses(shared.theta, shared.directions, own.X)  # (n, outputs, k)

    def outputs(self, s: Array) -> Array:
        return np.asarray(self._f + self._J @ s)

    def mean_loss(self, s: Array) -> float:
        return float(self._share @ self._loss.value(self.outputs(s), self._y)) / float(self._share.sum())

    def value_gradient(self, s: Array) -> tuple[float, Array]:
        f = self.outputs(s)
        g = self._share[:, None] * self._loss.gradient(f, self._y)
        value = float(self._share @ self._loss.value(f, self._y)) + 0.5 * self._regularity * float(s @ s)
        return value, np.einsum("nc,nck->k", g, self._J) + self._regularity * s

    def curvature(self, s: Array) -> tuple[Array, Array]:
        """H_s (k, k), and the derivative of the gradient by log λ with s held (k,)."""
        c = self._share[:, None, None] * self._loss.curvature(self.outputs(s))
        bent = np.einsum("nab,nbk->nak", c, self._J)
        H = np.einsum("nak,nal->kl", bent, self._J)
        source = np.einsum("nak,na->k", bent, self._f_dot) + self._regularity * s
        return 0.5 * (H + H.T) + self._regularity * np.eye(len(s)), source

    def optimum(self, s: Array) -> tuple[Array, int]:
        (value, gradient), steps, moved = self.value_gradient(s), 0, np.inf
        while steps < STEPS_MOST and moved > SMALL_STEP * (1.0 + float(np.abs(s).max(initial=0.0))):
            if not np.isfinite(value):
                raise FloatingPointError
            direction, size = np.linalg.solve(self.curvature(s)[0], gradient), 1.0
            for _ in range(HALVINGS_MOST):
                new = s - size * direction
                there, slope = self.value_gradient(new)
                # The last term forgives rounding: near the optimum the loss cannot fall by what the slope promises.
                if there <= value - 1e-4 * size * float(gradient @ direction) + 1e-13 * (1.0 + abs(value)):
                    break
                size *= 0.5
            moved = float(np.abs(new - s).max(initial=0.0))
            s, value, gradient, steps = new, there, slope, steps + 1
        return s, steps
