"""A deviation measured by its square, D = ½‖δ‖² (97): Newton's method with a line search, from 0.

δ lies in the span of the user's examples, since α δ = −Σ wᵢ Jᵢᵀ ∂ℓ/∂f. With an orthonormal basis Q (D, r) of it, r ≤ n, each
output's δ is Q t, and ‖δ‖ = ‖t‖: so few examples of many columns are a problem of r = n columns, and nothing of the size of
D × D is formed. (By Woodbury's identity it is the dual problem, with Q in the place of the Gram matrix and its condition.)

    t ← t − η H⁻¹ g,   g = Σ wᵢ zᵢ ∂ℓ/∂f + α t,   H = Σ wᵢ zᵢ zᵢᵀ ⊗ ∂²ℓ/∂f² + α I,   η halved until the objective falls

Of a network, Σ w ∂ℓ/∂f ⊗ ḣ (`deviation.py`) is in part outside of that span, where H is αI.

This is `newton.py` on a problem that is too small to be treated as generally: it is solved a thousand times a second.

**Along common directions** P (d, K), where a prior has them (`personality.py`), δ = P s + τ Q t with ½(‖s‖² + ‖t‖²) penalised:
K numbers more, with J P in the place of a row, and rows τ z. Without, K = 0 and τ = 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array, Loss
from streamlearn.core.objective import Data
from streamlearn.core.users.deviation import Deviation, Prior, Shared, inherited, met

STEPS_MOST, HALVINGS_MOST = 60, 40
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding


class _Problem(NamedTuple):
    """common J P (n, k, K); rows τ z (n, r); targets and weights (n,); f0 (n, k). Solved for (s, t), (K + k·r,)."""

    loss: Loss
    common: Array
    rows: Array
    y: Array
    w: Array
    f0: Array
    precision: float

    def outputs(self, v: Array) -> Array:
        """What v adds to the outputs, (n, k)."""
        K = self.common.shape[2]
        of_rows = self.rows @ v[K:].reshape(self.f0.shape[1], -1).T
        return of_rows + self.common @ v[:K] if K else np.asarray(of_rows)

    def pulled(self, outputs: Array) -> Array:
        """The transpose of that, of outputs (n, k)."""
        of_rows, K = (outputs.T @ self.rows).ravel(), self.common.shape[2]
        return np.concatenate([np.einsum("nc,ncp->p", outputs, self.common), of_rows]) if K else np.asarray(of_rows)

    def value(self, v: Array, f: Array) -> float:
        return float(self.w @ self.loss.value(f, self.y)) + 0.5 * self.precision * float(v @ v)

    def gradient(self, v: Array, f: Array) -> Array:
        return self.pulled(self.w[:, None] * self.loss.gradient(f, self.y)) + self.precision * v

    def hessian(self, f: Array) -> Array:
        """(K + k·r, K + k·r)."""
        curvature, (n, r), k = self.w[:, None, None] * self.loss.curvature(f), self.rows.shape, f.shape[1]
        if k == 1:
            H = (curvature[:, 0] * self.rows).T @ self.rows
        else:
            bent = (curvature[:, :, :, None] * self.rows[:, None, None, :]).reshape(n, k * k * r)
            H = (self.rows.T @ bent).reshape(r, k, k, r).transpose(1, 0, 2, 3).reshape(k * r, k * r)
        if self.common.shape[2]:
            common = curvature @ self.common
            across = np.einsum("ncp,nr->pcr", common, self.rows, optimize=True).reshape(-1, k * r)
            H = np.block([[np.einsum("ncp,ncq->pq", common, self.common), across], [across.T, H]])
        H.flat[:: len(H) + 1] += self.precision
        return np.asarray(H)


def solve(shared: Shared, data: Data, prior: Prior | None = None) -> Deviation | None:
    """The deviation of a user with these examples, and its tangent; None where nothing finite was found."""
    there = met(shared.model, shared.theta, shared.log_tangent, data.X)
    f0, data, k = there.f, replace(data, X=there.rows), shared.model.outputs_count
    n, D = data.X.shape
    basis = np.linalg.qr(data.X.T)[0] if n < D else None
    rows = data.X if basis is None else data.X @ basis
    common = np.empty((n, k, 0))
    if prior is not None:
        common, rows = np.einsum("nd,cdp->ncp", data.X, prior.directions.reshape(k, D, -1)), prior.spread * rows
    problem = _Problem(shared.model.loss, common, rows, data.y, data.w, f0, shared.precision)
    try:
        v = _optimum(problem, np.zeros(common.shape[2] + k * rows.shape[1]))
        f, delta = f0 + problem.outputs(v), _deviating(v, basis, k, prior)
        source = shared.rate * shared.precision * v + problem.pulled(inherited(shared, data, f, there.moved(delta)))
        turned, spread = there.turned(shared, data, f), 1.0 if prior is None else prior.spread
        within = turned if basis is None else turned @ basis
        if there.rows_dot is not None:
            of_common = () if prior is None else prior.directions.T @ turned.ravel()
            source += np.concatenate([of_common, spread * within.ravel()])
        tangent = _deviating(np.asarray(-np.linalg.solve(problem.hessian(f), source)), basis, k, prior)
    except (np.linalg.LinAlgError, FloatingPointError):
        return None
    if basis is not None:
        tangent = tangent - spread**2 * (turned - within @ basis.T) / shared.precision
    if not (np.isfinite(delta).all() and np.isfinite(tangent).all()):
        return None
    return Deviation(np.asarray(delta).reshape(-1), np.asarray(tangent).reshape(-1))


def _deviating(v: Array, basis: Array | None, k: int, prior: Prior | None) -> Array:
    """δ of (s, t), (k, D)."""
    K = 0 if prior is None else prior.directions.shape[1]
    t = v[K:].reshape(k, -1)
    own = np.asarray(t if basis is None else t @ basis.T)
    return own if prior is None else (prior.directions @ v[:K]).reshape(own.shape) + prior.spread * own


def _optimum(problem: _Problem, v: Array) -> Array:
    """From v = 0. Raises FloatingPointError and LinAlgError where nothing finite is found."""
    f = problem.f0
    value, moved = problem.value(v, f), np.inf
    for _ in range(STEPS_MOST):
        if not np.isfinite(value):
            raise FloatingPointError
        if moved <= SMALL_STEP * (1.0 + float(np.abs(v).max())):
            break
        gradient = problem.gradient(v, f)
        direction = np.asarray(-np.linalg.solve(problem.hessian(f), gradient))
        along, slope, size = problem.outputs(direction), float(gradient @ direction), 1.0
        for _ in range(HALVINGS_MOST):
            new = v + size * direction, f + size * along
            after = problem.value(*new)
            # The second term forgives rounding: near the optimum the objective cannot fall by what the slope promises.
            if after <= value + 1e-4 * size * slope + 1e-13 * (1.0 + abs(value)):
                break
            size *= 0.5
        moved, (v, f), value = float(np.abs(new[0] - v).max()), new, after
    return v
