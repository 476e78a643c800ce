"""What is not known of a user yet: the covariance of their deviation, given the labels they have and those that are under way.

    Σ_u = (α M⁻¹ + Σ wᵢ Jᵢᵀ cᵢ Jᵢ)⁻¹ = M/α − R Rᵀ,      c = ∂²ℓ/∂f²,   M = P Pᵀ + τ² I of personalities, else I

The curvature does not depend on the label, so an example counts before it is answered. With U = Jᵀ c^½ √w of all examples, by
Woodbury's identity and L Lᵀ = I + Uᵀ (M/α) U

    R = (M/α) U L⁻ᵀ

of as many columns as a user's examples have outputs, and at most as many as there are parameters: what is kept of a user grows
with their examples. Of who has none it is the prior, M/α, and nothing is kept.

Of the outputs at a row, J θ_u, that makes J (A + Σ_u) Jᵀ, where A is the covariance of what is shared. A is of a fit in which
nobody deviates, so what a user's label says of θ₀ and what it says of them are taken for two things: with that the two add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.users.deviation import Prior


@final
class Unsure(NamedTuple):
    """Of some users: the linear model that they deviate in, how they differ (None: alike in all directions), and α (U,)."""

    model: Linear
    prior: Prior | None
    precision: Array

    def of(self, users: Sequence[int] | NDArray[np.intp]) -> Unsure:
        """Of those in these places."""
        return self._replace(precision=self.precision[users])

    def before(self, vectors: Array) -> Array:
        """(M/α) V of each user's vectors in the last axis, (U, …, d); of one user of any."""
        precision = self.precision.reshape(-1, *[1] * (vectors.ndim - 1))
        if self.prior is None:
            return np.asarray(vectors / precision)
        P, spread = self.prior.directions, self.prior.spread
        return np.asarray(((vectors @ P) @ P.T + spread**2 * vectors) / precision)

    def jacobian(self, rows: Array) -> Array:
        """J (n, k, d) at design rows (n, D)."""
        J = np.einsum("ce,nd->nced", np.eye(self.model.outputs_count), rows)
        return np.asarray(J.reshape(len(rows), self.model.outputs_count, self.model.size))

    def told(self, rows: Array, f: Array, w: Array) -> Array | None:
        """Of one user, R (d, r) of examples with design rows (n, D), the user's outputs f (n, k) and weights w (n,).

        None where nothing finite was found.
        """
        with np.errstate(all="ignore"):  # what is not finite is found below
            try:
                U = self.model.pulled(np.empty(0), self.model.loss.curvature_root(f, w), rows).T
                if len(U) > self.model.size:
                    U = np.linalg.qr(U)[1]
                moved = self.before(U)
                found = np.linalg.solve(np.linalg.cholesky(np.eye(len(U)) + U @ moved.T), moved).T
            except np.linalg.LinAlgError:
                return None
        return np.asarray(found) if np.isfinite(found).all() else None


@final
class Unknown(NamedTuple):
    """What is not known of whose rows these are: of each row's, as if nothing were told; numbers of users (n,), 0: nobody; and
    what is told of each, None: nothing.
    """

    unsure: Unsure
    whose: NDArray[np.intp]
    told: list[Array | None]

    def moved(self, rows: Array) -> Array:
        """J Σ_u at design rows (n, D): (n, k, d)."""
        J = self.unsure.jacobian(rows)
        out = self.unsure.before(J)
        out[self.whose == 0] = 0.0
        for number, root in enumerate(self.told):
            if root is not None:
                at = np.flatnonzero(self.whose == number)
                out[at] -= (J[at] @ root) @ root.T  # row by row: the same bits whatever else there is
        return out
