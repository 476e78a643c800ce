"""The training objective L = E(θ) + λ R(θ) of a model (5), and its derivatives.

R sees all parameters but the free ones (76), C = ∇R: those of a linear model's `free` columns, which are the intercepts
by default; a network says itself which of its parts R is to see. A fixed prior of precision `anchor` on the free ones,
(anchor/2W) b², tiny by default, keeps L bounded for a class that was never seen; it does not depend on λ, so it is not part
of R.
Without it a softmax's free columns can be shifted together at no cost and H is singular along those directions, where
∇L = C = 0: `hessian` closes them by adding the projection on them, which changes neither θ nor θ̇.

θ̇ = dθ/dρ = λ dθ/dλ, ρ = log λ, solves H θ̇ + λC = 0 (64). Where R has kinks (L1), parameters that stand on one do not
move: the equation holds for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.regularizers import L2, Kinked, Regularizer


@final
@dataclass(frozen=True)
class Data:
    """Training examples: design X (n, D), targets y (n,), weights w (n,)."""

    X: Array
    y: Array
    w: Array

    @property
    def usable(self) -> bool:
        """All finite, and of some weight. A sum that is finite, which costs less, has nothing else in it."""
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(self.X.sum()) or np.isfinite(self.X).all()
        return bool(finite and np.isfinite(self.y).all() and 0.0 < self.w.sum() < np.inf)


class Products(NamedTuple):
    """loss E; gradient ∇L; hvp Hv; source λC; each but the loss (d,)."""

    loss: float
    gradient: Array
    hvp: Array
    source: Array


_RIDGE = L2()


@final
@dataclass(frozen=True, eq=False)
class Objective:
    """L = E + λR + (anchor/2W)‖free parameters‖², for total weight W. free: design columns that R does not see; anchor: one for
    all of them, or one for each, in order.
    """

    model: Model
    anchor: float | Array
    regularizer: Regularizer = _RIDGE
    free: tuple[int, ...] = (0,)

    @cached_property
    def penalised(self) -> Array:
        """1 where R acts, 0 at the free columns, shape (d,)."""
        mask = np.ones(self.model.size)
        mask[self._free_at] = 0.0
        return mask

    @cached_property
    def _free_at(self) -> NDArray[np.intp]:
        return self.model.free_at(self.free)

    @cached_property
    def _anchors(self) -> float | Array:
        """Of each free parameter, or one for all."""
        return np.tile(self.anchor, self.model.outputs_count) if isinstance(self.anchor, np.ndarray) else self.anchor

    @property
    def ridge(self) -> bool:
        """Whether ∇²R is the identity, so that L has at least the curvature λ along every penalised direction."""
        return isinstance(self.regularizer, L2)

    def inner(self, theta: Array) -> Array:
        """What the regularizer is handed: the penalised parameters (m,), output by output."""
        return self.model.inner(theta, self.free)

    def complexity(self, theta: Array) -> float:
        """R(θ)."""
        return self.regularizer.value(self.inner(theta))

    def complexity_gradient(self, theta: Array) -> Array:
        """C = ∇R(θ), shape (d,)."""
        if self._plain:
            return self._masked(theta)
        return self._outer(self.regularizer.gradient(self.inner(theta)))

    def complexity_hvp(self, theta: Array, v: Array) -> Array:
        """∇²R v, shape (d,)."""
        if self._plain:
            return self._masked(v)
        return self._outer(self.regularizer.hvp(self.inner(theta), self.inner(v)))

    def shrink(self, theta: Array, size: float) -> Array:
        """A proximal step of a regularizer with kinks, shape (d,)."""
        assert isinstance(self.regularizer, Kinked), "a smooth regularizer takes gradient steps"
        return np.where(self.penalised > 0.0, self._outer(self.regularizer.shrink(self.inner(theta), size)), theta)

    def moving(self, theta: Array) -> Array:
        """1 for the parameters that move with λ, 0 for those on a kink of R, shape (d,)."""
        if self.regularizer.smooth:
            return np.ones(self.model.size)
        return np.where((self.penalised == 0.0) | (self.complexity_gradient(theta) != 0.0), 1.0, 0.0)

    def prior(self, total_weight: float) -> Array:
        """The diagonal of the free parameters' own prior, shape (d,)."""
        out = np.zeros(self.model.size)
        out[self._free_at] = self._anchors / total_weight
        return out

    def value_gradient(self, theta: Array, data: Data, regularity: float) -> tuple[float, Array]:
        """L and ∇L (d,)."""
        loss, gradient = self.model.gradient(theta, data.X, data.y, data.w)
        free, precision = self._free_at, self._anchors / float(data.w.sum())
        value = loss + regularity * self.complexity(theta) + 0.5 * float(theta[free] @ (precision * theta[free]))
        gradient += regularity * self.complexity_gradient(theta)
        gradient[free] += precision * theta[free]
        return value, gradient

    def products(self, theta: Array, v: Array, batch: Data, regularity: float, total_weight: float) -> Products:
        """∇L and Hv by one pass over the batch, a sample of examples with weight `total_weight` in all."""
        loss, gradient, hvp = self.model.gradient_hvp(theta, v, batch.X, batch.y, batch.w)
        return self._with_prior(loss, gradient, hvp, theta, v, regularity, total_weight)

    def first_products(self, theta: Array, batch: Data, regularity: float, total_weight: float) -> Products:
        """The same with v = 0, which costs no more than the gradient."""
        loss, gradient = self.model.gradient(theta, batch.X, batch.y, batch.w)
        zero = np.zeros_like(theta)
        return self._with_prior(loss, gradient, zero, theta, zero, regularity, total_weight)

    def _with_prior(
        self, loss: float, gradient: Array, hvp: Array, theta: Array, v: Array, regularity: float, total_weight: float
    ) -> Products:
        """What R and the free parameters' prior add to the products of the loss, in place."""
        free, precision = self._free_at, self._anchors / total_weight
        source = self.complexity_gradient(theta)
        source *= regularity
        gradient += source
        free_hvp = hvp[free]
        hvp += regularity * (v if self._plain else self.complexity_hvp(theta, v))
        gradient[free] += precision * theta[free]
        hvp[free] = free_hvp + precision * v[free]
        return Products(loss, gradient, hvp, source)

    def hvp(self, theta: Array, v: Array, data: Data, regularity: float) -> Array:
        """H v, shape (d,)."""
        return self.products(theta, v, data, regularity, float(data.w.sum())).hvp

    def linearised(self, theta: Array, data: Data, regularity: float) -> Callable[[Array], Array]:
        """v ↦ H v at this θ, for many v: what depends on θ alone is computed once."""
        of_loss, prior = self.model.linearised(theta, data.X, data.y, data.w), self.prior(float(data.w.sum()))
        if isinstance(self.regularizer, L2):
            precision = prior + regularity * self.penalised
            return lambda v: of_loss(v) + precision * v
        return lambda v: of_loss(v) + regularity * self.complexity_hvp(theta, v) + prior * v

    def hessian(self, theta: Array, data: Data, regularity: float) -> Array:
        """H = ∇²E + λ∇²R + prior, (d, d)."""
        H = self.model.hessian(theta, data.X, data.y, data.w)
        H[np.diag_indices_from(H)] += self.prior(float(data.w.sum()))
        inside = np.flatnonzero(self.penalised)
        H[np.ix_(inside, inside)] += regularity * self.regularizer.hessian(self.inner(theta))
        k = self.model.outputs_count
        for column in self._shiftable(theta) if k > 1 else ():
            shifted = np.arange(k) * self.model.columns + column
            H[np.ix_(shifted, shifted)] += 1.0 / k
        return H

    def _shiftable(self, theta: Array) -> list[int]:
        """Columns whose outputs can be shifted together while L does not bend: no prior, or no parameter on a kink."""
        if self.model.kind != "linear":
            return []
        anchors = np.broadcast_to(self.anchor, len(self.free))
        free = [column for column, anchor in zip(self.free, anchors, strict=True) if anchor == 0.0]
        if self.regularizer.smooth:
            return free
        shape = (self.model.outputs_count, self.model.columns)
        unkinked = self.moving(theta).reshape(shape).all(axis=0) & self.penalised.reshape(shape).all(axis=0)
        return free + np.flatnonzero(unkinked).tolist()

    def residual(self, theta: Array, log_tangent: Array, data: Data, regularity: float) -> float:
        """‖Hθ̇ + λC‖/‖λC‖ on these examples: what is left of (64). Above 1, θ̇ is worse than 0."""
        return self.unsolved(theta, self.products(theta, log_tangent, data, regularity, float(data.w.sum())))

    def unsolved(self, theta: Array, products: Products) -> float:
        """The residual, where Hθ̇ and λC are at hand."""
        scale = float(np.linalg.norm(products.source))
        rest = self.moving(theta) * (products.hvp + products.source)
        return float(np.linalg.norm(rest)) / scale if scale > 0.0 else 0.0

    @property
    def _plain(self) -> bool:
        """Whether C is θ itself where R acts."""
        return isinstance(self.regularizer, L2) and self.regularizer.origin is None

    def _masked(self, vector: Array) -> Array:
        """The vector with zeros where R does not act; these are few."""
        out = vector.copy()
        out[self._free_at] = 0.0
        return out

    def _outer(self, inner: Array) -> Array:
        """The penalised parameters (m,) at their places among all, zeros elsewhere."""
        return self.model.outer(inner, self.free)
