"""A user's deviation from the shared model (97), whatever measures it, and what is known of it.

    θ_u = θ₀ + δ,   δ minimises   Σ_{i∈u} wᵢ ℓ(f₀ᵢ + J δ, yᵢ) + α D(δ),   D = ½‖δ‖² or ‖δ‖₁,   α = λW

which is W times E_u(θ) + λD(θ − θ₀): W is the weight of all users' examples, so that a user's own count by their number.
θ₀ was learned from everybody without deviations; only then is the inheritance of its tangent exact (98):

    θ̇_u = ∂θ_u/∂ρ + (∂θ_u/∂θ₀) θ̇₀,   of δ alone:   δ̇ = −H_u⁻¹ (α∇D(δ) + ∇²E_u θ̇₀),   H_u = ∇²E_u + α∇²D

with sums in the place of means. ∂θ_u/∂θ₀ is not formed: it meets θ̇₀ in one product. A user without examples has δ = δ̇ = 0.
The way to δ begins at 0, so δ is a function of θ₀, α and the user's examples, and of nothing that was known before.

**Networks.** A user deviates in the last layer, f = f₀ + h(x; θ₀) δ: the problem above, with rows h in the place of x. But h
moves with θ₀. With ḣ, its derivative along θ̇₀, both factors of the gradient Σ w ∂ℓ/∂f ⊗ h move:

    δ̇ = −H_u⁻¹ (α∇D(δ) + Σ w [(∂²ℓ/∂f²)(ḟ₀ + ḣδ) ⊗ h + ∂ℓ/∂f ⊗ ḣ]),      ḟ = ḟ₀ + ḣδ + hδ̇

δ is the user's own layer: what a module does with its last weights elsewhere, it does with the shared ones. In parameters
chosen by name f is no linear function of δ: see `deviation_of_part.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data


@final
@dataclass(frozen=True)
class Shared:
    """The model that users deviate from: linear, or a network with a last layer; theta, log_tangent (d,); precision α; rate:
    dlog α/dlog λ, 1 but where α is a user's own (`together.py`).
    """

    model: Model
    theta: Array
    log_tangent: Array
    precision: float
    rate: float = 1.0


@final
class Met(NamedTuple):
    """What examples meet in the shared model: outputs f₀ and ḟ₀ (n, k); rows (n, D) of which f₀ + rows δ is, and what they move
    by along θ̇₀, None: by nothing.
    """

    f: Array
    f_dot: Array
    rows: Array
    rows_dot: Array | None

    def moved(self, delta: Array) -> Array:
        """What the outputs move by while δ (k, D) is held, (n, k)."""
        return self.f_dot if self.rows_dot is None else self.f_dot + self.rows_dot @ delta.T

    def response(self, own: Deviation) -> tuple[Array, Array]:
        """f and ḟ of the user whose deviation this is."""
        both = np.zeros((2, self.f.shape[1] * self.rows.shape[1]))
        own.add_to(both)
        delta, delta_dot = both.reshape(2, self.f.shape[1], -1)
        return self.f + self.rows @ delta.T, self.moved(delta) + self.rows @ delta_dot.T

    def turned(self, shared: Shared, data: Data, f: Array) -> Array:
        """What the sum of gradients moves by since the rows do, (k, D), at outputs f (n, k)."""
        if self.rows_dot is None:
            return np.zeros((f.shape[1], self.rows.shape[1]))
        return np.asarray((data.w[:, None] * shared.model.loss.gradient(f, data.y)).T @ self.rows_dot)


def deviating(model: Model) -> int:
    """How many parameters of the model a user has of their own, at most."""
    if model.part is not None:
        return len(model.part.at)
    return model.size if model.last_layer is None else len(model.last_layer.at)


def layer(model: Model) -> Linear:
    """The linear model that users deviate in."""
    last = model.last_layer
    if last is not None:
        return Linear(model.loss, model.outputs_count, last.columns)
    assert isinstance(model, Linear), "users deviate from linear models and last layers"
    return model


def met(model: Model, theta: Array, log_tangent: Array, X: Array) -> Met:
    """By design rows X (n, D); of a network by one forward pass."""
    if model.last_layer is None:
        return Met(*model.response(theta, log_tangent, X), X, None)
    return Met(*model.last_layer.response(theta, log_tangent, X))


def response(model: Model, theta: Array, log_tangent: Array, X: Array, own: Deviation) -> tuple[Array, Array]:
    """f and ḟ, each (n, k), of the user whose deviation this is."""
    if model.part is None:
        return met(model, theta, log_tangent, X).response(own)
    return model.response(*parameters(model, theta.astype(float), log_tangent.astype(float), own), X)


def parameters(model: Model, theta: Array, log_tangent: Array, own: Deviation) -> tuple[Array, Array]:
    """θ_u and θ̇_u, each (d,) and as precise as θ₀."""
    both, added = np.stack([theta, log_tangent]), np.zeros((2, deviating(model)))
    own.add_to(added)
    within = model.part or model.last_layer
    both[:, slice(None) if within is None else within.at] += added
    return both[0], both[1]


@final
@dataclass(frozen=True)
class Deviation:
    """delta δ, log_tangent δ̇ = dδ/dlog λ, each (m,), `at` these places of θ (m,), of a network's last layer output by output,
    of a part of θ within that; None: at all of them, in order.
    """

    delta: Array
    log_tangent: Array
    at: NDArray[np.intp] | None = None

    def added(self, theta: Array, log_tangent: Array) -> tuple[Array, Array]:
        """θ₀ + δ and θ̇₀ + δ̇ of a linear model, each (d,)."""
        both = np.stack([theta, log_tangent])
        self.add_to(both)
        return both[0], both[1]

    def add_to(self, both: Array) -> None:
        """δ and δ̇ to the rows of both (2, d)."""
        place = slice(None) if self.at is None else self.at
        both[0, place] += self.delta
        both[1, place] += self.log_tangent


@final
@dataclass(frozen=True)
class Prior:
    """How users differ: along directions P (d, K), and by spread τ in all others; see `personality.py`."""

    directions: Array
    spread: float


Solve = Callable[[Shared, Data], Deviation | None]


def inherited(shared: Shared, data: Data, f: Array, f_dot: Array) -> Array:
    """Of ∇²E_u θ̇₀ as a sum over examples what is left of it without the rows, (n, k); outputs f and f′ (n, k), f′ = J θ̇₀."""
    return np.asarray(data.w[:, None] * shared.model.loss.curvature_product(f, f_dot))
