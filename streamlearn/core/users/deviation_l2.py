"""A deviation measured by its square, D = ½‖δ‖² (97): Newton's method with a line search, from 0.

δ lies in the span of the user's examples, since α δ = −Σ wᵢ Jᵢᵀ ∂ℓ/∂f. With an orthonormal basis Q (D, r) of it, r ≤ n, each
output's δ is Q s, and ‖δ‖ = ‖s‖: so few examples of many columns are a problem of r = n columns, and nothing of the size of
D × D is formed. (By Woodbury's identity it is the dual problem, with Q in the place of the Gram matrix and its condition.)
"""

from __future__ import annotations

import numpy as np

from streamlearn.core import newton
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.core.users.deviation import Deviation, Shared, inherited
from streamlearn.core.users.shifted import Shifted


def solve(shared: Shared, data: Data) -> Deviation | None:
    """The deviation of a user with these examples, and its tangent; None where nothing finite was found."""
    k, (n, D) = shared.model.outputs_count, data.X.shape
    f0, f_dot = shared.model.response(shared.theta, shared.log_tangent, data.X)
    basis = np.linalg.qr(data.X.T)[0] if n < D else np.eye(D)
    rows = data.X @ basis if n < D else data.X
    model = Linear(Shifted(shared.model.loss, f0), k, rows.shape[1])
    start = newton.State(np.zeros(model.size), np.zeros(model.size), np.empty((0, 0)))
    weight = float(data.w.sum())
    objective = Objective(model, 0.0, free=())
    solved, info = newton.step(start, objective, Data(rows, data.y, data.w), shared.precision / weight)
    if not info.ok:
        return None
    f = f0 + model.outputs(solved.theta, rows)
    source = shared.precision * solved.theta + inherited(shared, data, f, f_dot, rows)
    tangent = -solved.covariance @ source  # the covariance is (Σ + αI)⁻¹, in these coordinates
    if n >= D:
        return Deviation(solved.theta, tangent)
    delta, log_tangent = (np.asarray((model.matrix(each) @ basis.T).ravel()) for each in (solved.theta, tangent))
    return Deviation(delta, log_tangent)
