"""The training objective L = E(θ) + λ R(θ) of a linear model under L2 (5), and its derivatives.

R = ½ Σ_{j penalised} θ_j² leaves intercepts alone (76); C = ∇R. A tiny fixed prior of precision `anchor` on the
intercepts, (anchor/2W) b², keeps L bounded for a class that was never seen; it does not depend on λ, so it is not part
of R. Without it a softmax's intercepts can be shifted together at no cost and H is singular along that one direction,
where ∇L = C = 0: `hessian` closes it by adding the projection on it, which changes neither θ nor θ̇.

θ̇ = dθ/dρ = λ dθ/dλ, ρ = log λ, solves H θ̇ + λC = 0 (64).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear


@final
@dataclass(frozen=True)
class Data:
    """Training examples: design X (n, D), targets y (n,), weights w (n,)."""

    X: Array
    y: Array
    w: Array

    @property
    def usable(self) -> bool:
        """All finite, and of some weight."""
        return bool(np.isfinite(self.X).all() and np.isfinite(self.y).all() and 0.0 < self.w.sum() < np.inf)


@final
@dataclass(frozen=True)
class Objective:
    """L = E + λR + (anchor/2W)‖intercepts‖², for total weight W."""

    model: Linear
    anchor: float

    @property
    def penalised(self) -> Array:
        """1 where R acts, 0 at the intercepts, shape (d,)."""
        mask = np.ones((self.model.outputs_count, self.model.columns))
        mask[:, 0] = 0.0
        return mask.ravel()

    def complexity(self, theta: Array) -> float:
        """R(θ)."""
        return float(0.5 * (self.penalised * theta) @ theta)

    def complexity_gradient(self, theta: Array) -> Array:
        """C = ∇R(θ), shape (d,)."""
        return self.penalised * theta

    def precision(self, regularity: float, total_weight: float) -> Array:
        """The diagonal of λ∇²R and of the intercepts' prior, shape (d,)."""
        mask = self.penalised
        return np.asarray(regularity * mask + self.anchor / total_weight * (1.0 - mask))

    def value_gradient(self, theta: Array, data: Data, regularity: float) -> tuple[float, Array]:
        """L and ∇L (d,)."""
        loss, gradient = self.model.gradient(theta, data.X, data.y, data.w)
        precision = self.precision(regularity, float(data.w.sum()))
        return loss + 0.5 * float((precision * theta) @ theta), gradient + precision * theta

    def hessian(self, theta: Array, data: Data, regularity: float) -> Array:
        """H = ∇²E + λ∇²R + prior, (d, d)."""
        H = self.model.hessian(theta, data.X, data.w)
        H[np.diag_indices_from(H)] += self.precision(regularity, float(data.w.sum()))
        k = self.model.outputs_count
        if self.anchor == 0.0 and k > 1:
            intercepts = np.arange(k) * self.model.columns
            H[np.ix_(intercepts, intercepts)] += 1.0 / k
        return H

    def residual(self, theta: Array, log_tangent: Array, data: Data, regularity: float) -> float:
        """‖Hθ̇ + λC‖/‖λC‖ on these examples: what is left of (64). Above 1, θ̇ is worse than 0."""
        _, _, hvp = self.model.gradient_hvp(theta, log_tangent, data.X, data.y, data.w)
        source = regularity * self.complexity_gradient(theta)
        rest = hvp + self.precision(regularity, float(data.w.sum())) * log_tangent + source
        scale = float(np.linalg.norm(source))
        return float(np.linalg.norm(rest)) / scale if scale > 0.0 else 0.0
