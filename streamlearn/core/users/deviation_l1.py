"""A deviation measured by ‖δ‖₁ (97), which is zero in most places: orthant-wise Newton over a growing set of columns.

At δ = 0 elsewhere, a column has to move when |Σ wᵢ xᵢ ∂ℓ/∂f| > α for one of its outputs. Those that exceed it most enter, a
few at a time; the problem on the columns that are in is solved by `orthant.py`, beginning at what was found before; until none
exceeds it. So nothing is formed that is larger than what differs, and only the non-zeros are kept. Columns that say the same
on these examples must not enter together, or H is singular: where that shows, they enter one by one.

As λ moves, what is zero stays zero (98): on the active set A, H_AA δ̇_A = −(α sign(δ_A) + (∇²E_u θ̇₀)_A), and δ̇ = 0 off it. (Of
a network there is more on the right, see `deviation.py`.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamlearn.core import newton, orthant
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import L1
from streamlearn.core.users.deviation import Deviation, Shared, inherited, met
from streamlearn.core.users.shifted import Shifted

ENTER = 8
EXCESS = 1e-8  # relative: beyond what the solver leaves undone
SINGULAR = 1e-10

Columns = NDArray[np.intp]


def solve(shared: Shared, data: Data) -> Deviation | None:
    """The deviation of a user with these examples, and its tangent; None where nothing finite was found."""
    there = met(shared.model, shared.theta, shared.log_tangent, data.X)
    f0, data = there.f, replace(data, X=there.rows)
    found = _optimum(shared, data, f0, ENTER) or _optimum(shared, data, f0, 1)
    if found is None:
        return None
    columns, delta = found
    k, (at,) = shared.model.outputs_count, np.nonzero(delta)
    rows = data.X[:, columns]
    model = Linear(Shifted(shared.model.loss, f0), k, len(columns))
    H = model.hessian(delta, rows, data.y, data.w)[np.ix_(at, at)] * float(data.w.sum())
    f = f0 + model.outputs(delta, rows)
    here = there._replace(rows=rows, rows_dot=None if there.rows_dot is None else there.rows_dot[:, columns])
    moved = inherited(shared, data, f, here.moved(delta.reshape(k, -1))).T @ rows
    moved = (moved + here.turned(shared, data, f)).ravel()
    source = shared.precision * np.sign(delta[at]) + moved[at]
    tangent = -np.linalg.pinv(H, rcond=SINGULAR, hermitian=True) @ source
    output, place = np.divmod(at, max(1, len(columns)))
    return Deviation(delta[at], tangent, output * data.X.shape[1] + columns[place])


def _optimum(shared: Shared, data: Data, f0: Array, enter: int) -> tuple[Columns, Array] | None:
    """The columns that were let in, and δ on them (k·columns,)."""
    loss, k, weight = shared.model.loss, shared.model.outputs_count, float(data.w.sum())
    columns, delta, f, scale = np.empty(0, dtype=np.intp), np.empty((k, 0)), f0, 0.0
    while True:
        pull = np.abs((data.w[:, None] * loss.gradient(f, data.y)).T @ data.X).max(axis=0)
        scale = scale or shared.precision + float(pull.max())
        pull[columns] = 0.0
        exceed = np.flatnonzero(pull > shared.precision + EXCESS * scale)
        if not np.isfinite(pull).all():
            return None
        if not len(exceed):
            return columns, delta.ravel()
        new = exceed[np.argsort(-pull[exceed], kind="stable")[:enter]]
        columns, delta = np.append(columns, new), np.column_stack([delta, np.zeros((k, len(new)))])
        rows, start = data.X[:, columns], delta.ravel()
        objective = Objective(Linear(Shifted(loss, f0), k, len(columns)), 0.0, L1(), free=())
        state = newton.State(start, np.zeros_like(start), np.empty((0, 0)))
        solved, info = orthant.step(state, objective, Data(rows, data.y, data.w), shared.precision / weight)
        if not info.ok or (enter > 1 and not _regular(solved.covariance)):
            return None
        delta = solved.theta.reshape(k, -1)
        f = f0 + rows @ delta.T


def _regular(covariance: Array) -> bool:
    """Whether the columns that have moved say different things."""
    moving = np.flatnonzero(np.diag(covariance) > 0.0)
    values = np.linalg.eigvalsh(covariance[np.ix_(moving, moving)]) if len(moving) else np.ones(1)
    return bool(values.min() > SINGULAR * values.max())
