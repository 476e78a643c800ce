"""A deviation in chosen parameters of a network, measured by its square: truncated Newton steps, from 0.

    δ minimises   U(δ) = Σ_{i∈u} wᵢ ℓ(f(xᵢ; θ₀ + δ), yᵢ) + ½ α ‖δ‖²      over the part S of θ, where users deviate      (97)

f is no linear function of δ, and U may have several minima and negative curvature between: δ is the one downhill of 0. A step
solves H step = −∇U by conjugate gradients, as far as is worth it and up to a direction without positive curvature (what there
is then leads downhill), and is halved until U falls. Nothing is formed; a product with H is one more backward pass.

**Tangent** (98): ∇_S U = 0 goes on holding as λ moves, and θ₀ with it,

    H_SS δ̇ = −(α δ + [∇²E_u θ̇₀]_S),    H_SS = [∇²E_u]_SS + α I    at θ₀ + δ

by conjugate gradients as well. At a minimum H_SS has no negative direction, so it is the true one whatever the curvature is by
which θ₀ is trained. Where rounding or a bound on steps left δ short of a minimum and there is one, G_SS + αI (Gauss–Newton)
takes its place. Of S = the last layer all this is `deviation_l2.py`, the long way.
"""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np

from streamlearn.core import conjugate
from streamlearn.core.losses import Array
from streamlearn.core.models.part import Part, Product, Slope
from streamlearn.core.objective import Data
from streamlearn.core.users.deviation import Deviation, Shared

STEPS_MOST, HALVINGS_MOST = 50, 30
PRODUCTS_MOST = 200  # of one solve: G has as many eigenvalues besides α as the examples have outputs
FORCED = 0.3  # of ‖∇U‖: as far as the first steps are solved


@final
class _Problem(NamedTuple):
    """theta: θ₀ (d,) in float64; the user's examples; precision α."""

    part: Part
    theta: Array
    data: Data
    precision: float

    def moved(self, delta: Array) -> Array:
        theta = self.theta.copy()
        theta[self.part.at] += delta
        return theta

    def slope(self, delta: Array) -> Slope:
        """U, ∇U, and products with its derivatives."""
        found = self.part.slope(self.moved(delta), self.data.X, self.data.y, self.data.w)

        def with_prior(product: Product) -> Product:
            return lambda v: product(v) + self.precision * v

        value = found.value + 0.5 * self.precision * float(delta @ delta)
        gradient = found.gradient + self.precision * delta
        return Slope(value, gradient, with_prior(found.hessian), with_prior(found.curvature))


def solve(shared: Shared, data: Data) -> Deviation | None:
    """The deviation of a user with these examples, and its tangent; None where nothing finite was found."""
    part = shared.model.part
    assert part is not None, "the parameters that users deviate in"
    problem = _Problem(part, shared.theta.astype(float), data, shared.precision)
    delta, slope = _optimum(problem)
    if not (np.isfinite(delta).all() and np.isfinite(slope.gradient).all()):
        return None
    along = shared.log_tangent.astype(float)
    source = -(
        shared.rate * shared.precision * delta + part.slope_moved(problem.moved(delta), along, data.X, data.y, data.w)
    )
    tangent, info = conjugate.solve(slope.hessian, source, None, _tolerance(part), PRODUCTS_MOST)
    if info.negative:
        tangent, _ = conjugate.solve(slope.curvature, source, None, _tolerance(part), PRODUCTS_MOST)
    return Deviation(delta, tangent) if np.isfinite(tangent).all() else None


def _tolerance(part: Part) -> float:
    """Of ‖∇U‖ and of the tangent's residual: 4e-11 in double precision, 2e-5 in single."""
    return float(part.rounding ** (2.0 / 3.0))


def _optimum(problem: _Problem) -> tuple[Array, Slope]:
    """δ, and the slope there."""
    delta = np.zeros(len(problem.part.at))
    here, first = problem.slope(delta), 0.0
    for _ in range(STEPS_MOST):
        size = float(np.linalg.norm(here.gradient))
        first = first or size
        if not size > _tolerance(problem.part) * first:
            break
        forced = min(FORCED, float(np.sqrt(size / first)))
        direction, _ = conjugate.solve(here.hessian, -here.gradient, None, forced, PRODUCTS_MOST)
        direction = direction if direction.any() else -here.gradient
        promised, length = float(here.gradient @ direction), 1.0
        # The second term forgives rounding: near the optimum U cannot fall by what the slope promises.
        forgiven = 8.0 * problem.part.rounding * (1.0 + abs(here.value))
        for _ in range(HALVINGS_MOST):
            new = delta + length * direction
            there = problem.slope(new)
            if there.value <= here.value + 1e-4 * length * promised + forgiven:
                break
            length *= 0.5
        else:
            break
        if not (np.linalg.norm(there.gradient) < size or there.value < here.value):
            break  # rounding allows no better
        delta, here = new, there
    return delta, here
