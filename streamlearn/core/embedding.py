"""Newton's method in a random embedding that remembers what curved most (footnote 11).

Where the d × d Hessian is too large, θ = θ_c + A u with u ∈ ℝᵐ, m = 300, makes a small model of it, A (d, m) with
orthonormal columns. A round of it:

    draw         the columns that are free become random directions, orthonormal to those kept; u = 0
    Newton       u ← −t (AᵀHA)⁻¹ Aᵀ∇L,      t halved until L falls;  θ_c ← θ_c + A u
    tangent      θ̇ ← θ̇ − A (AᵀHA)⁻¹ Aᵀ(Hθ̇ + λC)                         (64) as far as A reaches
    compress     of the eigenvectors of AᵀHA the 150 with the largest eigenvalues are kept: the best approximation of the
                 Hessian by a matrix of that rank

Both updates take away what lies in A, and only that. So what is left of L's gradient shrinks with every round by about the
share of the remaining d − 150 directions that the 150 random ones hold: the price of a round is m Hessian–vector products
and m³, the number of rounds some multiple of d/150. It pays where a few hundred directions hold most of the curvature and
products are cheap; `conjugate` needs fewer of them on every problem that was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.line_search import downhill, point
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

SIZE, KEPT = 300, 150


@final
@dataclass(frozen=True)
class State:
    """theta, log_tangent = dθ/dlog λ (d,); basis (d, at most KEPT): the directions that were kept."""

    theta: Array
    log_tangent: Array
    basis: Array


@final
@dataclass(frozen=True)
class Info:
    """value: L; residual: ‖Hθ̇ + λC‖/‖λC‖ in all d directions; ok: False where nothing finite, or no lower L, was found."""

    value: float
    residual: float
    ok: bool


def init(theta: Array, log_tangent: Array | None = None) -> State:
    tangent = np.zeros_like(theta) if log_tangent is None else log_tangent
    return State(theta, tangent, np.empty((len(theta), 0)))


def step(
    state: State,
    objective: Objective,
    data: Data,
    regularity: float,
    generator: np.random.Generator,
    size: int = SIZE,
    kept: int = KEPT,
) -> tuple[State, Info]:
    """One round with `size` directions, of which `kept` stay for the next."""
    failed = Info(float("nan"), float("nan"), False)
    if not data.usable:
        return state, failed
    A = _filled(state.basis, min(size, len(state.theta)), generator)
    with np.errstate(all="ignore"):  # what is not finite is reported in Info
        at = point(state.theta, objective, data, regularity)
        product = objective.linearised(state.theta, data, regularity)
        H = A.T @ np.stack([product(a) for a in A.T], axis=1)
        try:
            curvatures, axes = np.linalg.eigh(0.5 * (H + H.T))
        except np.linalg.LinAlgError:
            return state, failed
        if not curvatures[0] > 0.0:
            return state, failed
        axes = A @ axes  # (d, m): in these coordinates H is diagonal
        direction = axes @ ((axes.T @ at.gradient) / curvatures)
        theta, value, _ = downhill(at, -direction, 1.0, objective, data, regularity)
        source = regularity * objective.complexity_gradient(theta)
        rest = objective.hvp(theta, state.log_tangent, data, regularity) + source
        tangent = state.log_tangent - axes @ ((axes.T @ rest) / curvatures)
        residual = objective.residual(theta, tangent, data, regularity)
    if not (np.isfinite(tangent).all() and np.isfinite(theta).all() and np.isfinite(value)):
        return state, failed
    return State(theta, tangent, axes[:, -kept:]), Info(value, residual, True)


def _filled(basis: Array, size: int, generator: np.random.Generator) -> Array:
    """Orthonormal directions (d, size): the given ones, and random ones."""
    drawn = generator.standard_normal((len(basis), size - basis.shape[1]))
    whole, _ = np.linalg.qr(np.concatenate([basis, drawn], axis=1))
    return whole
