"""A user's deviation from the shared model (97), whatever measures it, and what is known of it.

    θ_u = θ₀ + δ,   δ minimises   Σ_{i∈u} wᵢ ℓ(f₀ᵢ + J δ, yᵢ) + α D(δ),   D = ½‖δ‖² or ‖δ‖₁,   α = λW

which is W times E_u(θ) + λD(θ − θ₀): W is the weight of all users' examples, so that a user's own count by their number.
θ₀ was learned from everybody without deviations; only then is the inheritance of its tangent exact (98):

    θ̇_u = ∂θ_u/∂ρ + (∂θ_u/∂θ₀) θ̇₀,   of δ alone:   δ̇ = −H_u⁻¹ (α∇D(δ) + ∇²E_u θ̇₀),   H_u = ∇²E_u + α∇²D

with sums in the place of means. ∂θ_u/∂θ₀ is not formed: it meets θ̇₀ in one product. A user without examples has δ = δ̇ = 0.
The way to δ begins at 0, so δ is a function of θ₀, α and the user's examples, and of nothing that was known before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data


@final
@dataclass(frozen=True)
class Shared:
    """The model that users deviate from: theta, log_tangent (d,); precision α."""

    model: Linear
    theta: Array
    log_tangent: Array
    precision: float


@final
@dataclass(frozen=True)
class Deviation:
    """delta δ, log_tangent δ̇ = dδ/dlog λ, each (m,), `at` these places of θ (m,); None: at all of them, in order."""

    delta: Array
    log_tangent: Array
    at: NDArray[np.intp] | None = None

    def added(self, theta: Array, log_tangent: Array) -> tuple[Array, Array]:
        """θ₀ + δ and θ̇₀ + δ̇, each (d,)."""
        both = np.stack([theta, log_tangent])
        self.add_to(both)
        return both[0], both[1]

    def add_to(self, both: Array) -> None:
        """δ and δ̇ to the rows of both (2, d)."""
        place = slice(None) if self.at is None else self.at
        both[0, place] += self.delta
        both[1, place] += self.log_tangent


Solve = Callable[[Shared, Data], Deviation | None]


def inherited(shared: Shared, data: Data, f: Array, f_dot: Array, rows: Array) -> Array:
    """∇²E_u θ̇₀ as a sum, pulled back by design rows (n, r): (k·r,); outputs f and f′ (n, k), f′ = J θ̇₀."""
    moved = data.w[:, None] * shared.model.loss.curvature_product(f, f_dot)
    return np.asarray((moved.T @ rows).ravel())
