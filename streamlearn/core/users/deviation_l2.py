"""A deviation measured by its square, D = ½‖δ‖² (97): Newton's method with a line search, from 0.

δ lies in the span of the user's examples, since α δ = −Σ wᵢ Jᵢᵀ ∂ℓ/∂f. With an orthonormal basis Q (D, r) of it, r ≤ n, each
output's δ is Q s, and ‖δ‖ = ‖s‖: so few examples of many columns are a problem of r = n columns, and nothing of the size of
D × D is formed. (By Woodbury's identity it is the dual problem, with Q in the place of the Gram matrix and its condition.)

    s ← s − t H⁻¹ g,   g = Σ wᵢ zᵢ ∂ℓ/∂f + α s,   H = Σ wᵢ zᵢ zᵢᵀ ⊗ ∂²ℓ/∂f² + α I,   t halved until the objective falls

Of a network, Σ w ∂ℓ/∂f ⊗ ḣ (`deviation.py`) is in part outside of that span, where H is αI.

This is `newton.py` on a problem that is too small to be treated as generally: it is solved a thousand times a second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array, Loss
from streamlearn.core.objective import Data
from streamlearn.core.users.deviation import Deviation, Shared, inherited, met

STEPS_MOST, HALVINGS_MOST = 60, 40
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding


class _Problem(NamedTuple):
    """rows z (n, r); targets and weights (n,); f0 (n, k)."""

    loss: Loss
    rows: Array
    y: Array
    w: Array
    f0: Array
    precision: float

    def value(self, s: Array, f: Array) -> float:
        return float(self.w @ self.loss.value(f, self.y)) + 0.5 * self.precision * float(s.ravel() @ s.ravel())

    def gradient(self, s: Array, f: Array) -> Array:
        of_loss = (self.w[:, None] * self.loss.gradient(f, self.y)).T @ self.rows
        return np.asarray(of_loss + self.precision * s)

    def hessian(self, f: Array) -> Array:
        """(k·r, k·r)."""
        curvature, (n, r), k = self.w[:, None, None] * self.loss.curvature(f), self.rows.shape, f.shape[1]
        if k == 1:
            H = (curvature[:, 0] * self.rows).T @ self.rows
        else:
            bent = (curvature[:, :, :, None] * self.rows[:, None, None, :]).reshape(n, k * k * r)
            H = (self.rows.T @ bent).reshape(r, k, k, r).transpose(1, 0, 2, 3).reshape(k * r, k * r)
        H.flat[:: k * r + 1] += self.precision
        return np.asarray(H)


def solve(shared: Shared, data: Data) -> Deviation | None:
    """The deviation of a user with these examples, and its tangent; None where nothing finite was found."""
    there = met(shared.model, shared.theta, shared.log_tangent, data.X)
    f0, data, k = there.f, replace(data, X=there.rows), shared.model.outputs_count
    n, D = data.X.shape
    basis = np.linalg.qr(data.X.T)[0] if n < D else None
    rows = data.X if basis is None else data.X @ basis
    problem = _Problem(shared.model.loss, rows, data.y, data.w, f0, shared.precision)
    try:
        s = _optimum(problem, np.zeros((k, rows.shape[1])))
        f = f0 + rows @ s.T
        delta = s if basis is None else s @ basis.T
        turned = there.turned(shared, data, f)
        within = turned if basis is None else turned @ basis
        source = shared.precision * s.ravel() + inherited(shared, data, f, there.moved(delta), rows) + within.ravel()
        tangent = -np.linalg.solve(problem.hessian(f), source).reshape(s.shape)
    except (np.linalg.LinAlgError, FloatingPointError):
        return None
    if basis is not None:
        tangent = tangent @ basis.T - (turned - within @ basis.T) / shared.precision
    if not (np.isfinite(delta).all() and np.isfinite(tangent).all()):
        return None
    return Deviation(np.asarray(delta).reshape(-1), np.asarray(tangent).reshape(-1))


def _optimum(problem: _Problem, s: Array) -> Array:
    """From s (k, r). Raises FloatingPointError and LinAlgError where nothing finite is found."""
    f = problem.f0
    value, moved = problem.value(s, f), np.inf
    for _ in range(STEPS_MOST):
        if not np.isfinite(value):
            raise FloatingPointError
        if moved <= SMALL_STEP * (1.0 + float(np.abs(s).max())):
            break
        gradient = problem.gradient(s, f)
        direction = -np.linalg.solve(problem.hessian(f), gradient.ravel()).reshape(s.shape)
        along, slope, size = problem.rows @ direction.T, float(gradient.ravel() @ direction.ravel()), 1.0
        for _ in range(HALVINGS_MOST):
            new = s + size * direction, f + size * along
            after = problem.value(*new)
            # The second term forgives rounding: near the optimum the objective cannot fall by what the slope promises.
            if after <= value + 1e-4 * size * slope + 1e-13 * (1.0 + abs(value)):
                break
            size *= 0.5
        moved, (s, f), value = float(np.abs(new[0] - s).max()), new, after
    return s
