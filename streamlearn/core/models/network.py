"""A network: any `torch.nn.Module` as a model on a flat parameter vector.

θ (d,) is the module's trained parameters one after the other; what the module holds besides (frozen parameters, buffers) is
constant. Every derivative is a Jacobian product of the outputs (n, k), or a second derivative of the mean loss E:

    f′ = J v                     one forward derivative
    ∇E = Jᵀ ∂ℓ/∂f                one backward pass
    ∇²E v                        one more, through the first (118): double backward, which on CPUs is several times as fast
                                 as forward over reverse (117)
    G v = Jᵀ (∂²ℓ/∂f²) J v       generalised Gauss–Newton: ∇²E without ∇²f

**Curvature.** ∇²E has negative directions away from a minimum, where H θ̇ + λC = 0 has a solution that says nothing and SGDF's
recursion for θ̇ runs away. G has none: with it H ⪰ λ along all that R sees, and ‖θ̇‖ ≤ ‖C‖. `curvature` says which of the
two this model has; `damping` δ adds δ v, on either. Both stand in for H wherever H is asked for, residual included.

**Parts.** `seen`: the blocks of θ that R sees. `moving`: those that move with λ; along the others the products with H are 0
and so θ̇ stays 0 there: (64) is solved with them held. `own`: those that users deviate in, () where that is the last layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models import head
from streamlearn.core.models.differentiation import Body, Tensors
from streamlearn.core.models.linear import LEAST_CURVATURE
from streamlearn.core.models.model import Block, Columns, LastLayer, Model
from streamlearn.core.models.network_part import NetworkPart
from streamlearn.core.models.part import Part

BATCHES_MOST, POWER_STEPS, POWER_MARGIN = 4, 8, 1.2  # of `steepness`
ELEMENTS_MOST = 1 << 24  # of gradients by example that are held at once


@final
@dataclass(frozen=True, eq=False)
class Network(Model):
    """body: the module as functions of tensors; first: θ before any example."""

    name: str
    loss: Loss
    outputs_count: int
    columns: int
    body: Body
    first: Array
    seen: tuple[bool, ...]
    moving: tuple[bool, ...]
    curvature: str = "gauss-newton"
    damping: float = 0.0
    own: tuple[bool, ...] = ()

    @property
    def kind(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        return len(self.first)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.body.blocks

    def with_loss(self, loss: Loss) -> Network:
        return replace(self, loss=loss)

    def start(self, y: Array, w: Array) -> Array:
        return self.first

    def carried(self, old: Model, vector: Array, is_theta: bool) -> Array:
        """Every block keeps what it had in its corner. New inputs weigh 0; so do new outputs, of whose block the first
        axis is as long as there are outputs; one output of two classes becomes that of class 1.
        """
        if old.blocks == self.blocks:
            return vector.astype(self.first.dtype, copy=False)
        fresh = self.first if is_theta else np.zeros_like(self.first)
        before = dict(zip((name for name, _ in old.blocks), _parts(vector, old.blocks), strict=True))
        out = []
        for (name, shape), part in zip(self.blocks, _parts(fresh, self.blocks), strict=True):
            kept = before.get(name)
            if kept is None or kept.ndim != part.ndim or any(a > b for a, b in zip(kept.shape, shape, strict=True)):
                out.append(part.ravel())
                continue
            new = np.zeros_like(part)
            corner = [slice(length) for length in kept.shape]
            of_outputs = kept.shape[:1] == (old.outputs_count,) and shape[:1] == (self.outputs_count,)
            if of_outputs and len(kept) == 1 < len(new):
                corner[0] = slice(1, 2)
            new[tuple(corner)] = kept
            out.append(new.ravel())
        return np.concatenate(out)

    def free_at(self, free: Columns) -> NDArray[np.intp]:
        return np.flatnonzero(~self._where(self.seen))

    def inner(self, vector: Array, free: Columns) -> Array:
        parts = zip(_parts(vector, self.blocks), self.seen, strict=True)
        return np.concatenate([part.ravel() for part, seen in parts if seen])

    def outer(self, inner: Array, free: Columns) -> Array:
        out, at = np.zeros(self.size, dtype=inner.dtype), 0
        for part, seen in zip(_parts(out, self.blocks), self.seen, strict=True):
            if seen:
                part[...] = inner[at : at + part.size].reshape(part.shape)
                at += part.size
        return out

    @cached_property  # asked for with every block of events, and as long as θ
    def last_layer(self) -> LastLayer | None:
        found = self.body.head
        return None if found is None else head.linear(self.body, found, self.outputs_count, self.seen)

    @cached_property
    def part(self) -> Part | None:
        return NetworkPart(self.body, self.loss, self.own) if self.own else None

    def outputs(self, theta: Array, X: Array) -> Array:
        with torch.no_grad():
            return self.body.array(self.body.outputs(self.body.split(theta), self.body.inputs(X)))

    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        with torch.no_grad():
            f, moved = self.body.response(self.body.split(theta), self.body.split(v), self.body.inputs(X))
        return self.body.array(f), self.body.array(moved)

    def responses(self, theta: Array, vectors: Array, X: Array) -> Array:
        return np.stack([self.response(theta, np.ascontiguousarray(v), X)[1] for v in vectors.T], axis=2)

    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        at, share = self.body.leaves(theta), w / w.sum()
        f = self.body.outputs(at, self.body.inputs(X))
        loss, gradient = self._pulled_back(f, at, y, share)
        return loss, self.body.joined(gradient)

    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
        at, along, share, inputs = self.body.leaves(theta), self._along(v), w / w.sum(), self.body.inputs(X)
        if self.curvature == "hessian":
            mean = self.body.mean_loss(self.loss.name, self.body.outputs(at, inputs), y, share)
            gradient = self.body.gradients(mean, at, create_graph=True)
            product = self.body.gradients(gradient, at, along)
            return float(mean.detach()), self.body.joined(gradient), self._damped(product, v)
        f, moved = self.body.response(at, along, inputs)
        loss, gradient = self._pulled_back(f, at, y, share, keep=True)
        product = self._bent(f, at, moved, share, keep=False)
        return loss, self.body.joined(gradient), self._damped(product, v)

    def linearised(self, theta: Array, X: Array, y: Array, w: Array) -> Callable[[Array], Array]:
        at, share, inputs = self.body.leaves(theta), w / w.sum(), self.body.inputs(X)
        f = self.body.outputs(at, inputs)
        if self.curvature == "hessian":
            mean = self.body.mean_loss(self.loss.name, f, y, share)
            gradient = self.body.gradients(mean, at, create_graph=True)
            return lambda v: self._damped(self.body.gradients(gradient, at, self._along(v), keep=True), v)
        return lambda v: self._damped(self._bent(f, at, self._moved(at, v, inputs), share, keep=True), v)

    def hessian(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        """By the Jacobian for the Gauss–Newton curvature, else product by product."""
        if self.curvature == "hessian":
            product = self.linearised(theta, X, y, w)
            H = np.stack([product(e) for e in np.eye(self.size, dtype=theta.dtype)]).astype(float)
        else:
            values, vectors = np.linalg.eigh(self.loss.curvature(self.outputs(theta, X)))
            roots = vectors * np.sqrt(np.maximum(values, 0.0) * (w / w.sum())[:, None])[:, None, :]
            J = self._mask()[:, None] * self.pulled(theta, roots, X)
            H = J @ J.T + self.damping * np.diag(self._mask())
        return np.asarray(0.5 * (H + H.T))

    def example_gradients(self, theta: Array, X: Array, y: Array) -> Array:
        return self._by_example(theta, X, self.loss.gradient(self.outputs(theta, X), y))

    def gradient_lengths(self, theta: Array, X: Array) -> Array:
        """Class by class; of values ∇ℓ = ∂ℓ/∂f · ∇f, and it is E_y|∂ℓ/∂f| · ‖∇f‖."""
        f = self.outputs(theta, X)
        if not self.loss.of_classes:
            slopes = np.linalg.norm(self._by_example(theta, X, np.ones_like(f)), axis=1)
            return np.asarray(self.loss.gradient_length(f) * slopes)
        out = np.zeros(len(X))
        for c, p in enumerate(self.loss.probabilities(f).T):
            of_outputs = self.loss.gradient(f, np.full(len(X), float(c)))
            out += p * np.linalg.norm(self._by_example(theta, X, of_outputs), axis=1)
        return out

    def pulled(self, theta: Array, roots: Array, X: Array) -> Array:
        columns = [self._by_example(theta, X, roots[:, :, r]) for r in range(roots.shape[2])]
        return np.asarray(np.stack(columns, axis=2).transpose(1, 0, 2).reshape(self.size, -1))

    def covariance(self, theta: Array, inverse: Array, X: Array) -> Array:
        k = self.outputs_count
        J = self.pulled(theta, np.tile(np.eye(k), (len(X), 1, 1)), X).reshape(self.size, len(X), k)
        half = (inverse @ J.reshape(self.size, -1)).reshape(J.shape)
        return np.asarray(np.einsum("dna,dnb->nab", J, half))

    def gradient_square(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        share, total = w / w.sum(), np.zeros(self.size)
        rows = max(1, ELEMENTS_MOST // self.size)
        for start in range(0, len(X), rows):
            part = slice(start, start + rows)
            total += share[part] @ self.example_gradients(theta, X[part], y[part]) ** 2
        return total.astype(self.first.dtype)

    def steepness(
        self, theta: Array | None, X: Array, y: Array, w: Array, batch_size: int, divisor: Array | None
    ) -> float:
        """The largest λ_max(H_B) among batches B: each step contracts θ̇ up to 2/h. By power iteration on the Gauss–Newton
        curvature, from batch to batch on the direction that was steep in the one before, and some noise, for what that one
        did not have; with a margin.

        The loss bends by no less than a quarter of the most that it can, as for a linear model: examples that are fitted
        well bend it by next to nothing, and the step that this would allow is not survived by the first that is not.
        """
        theta = self.first if theta is None else theta
        root, at, largest = np.float32(1.0) if divisor is None else np.sqrt(divisor), self.body.leaves(theta), 0.0
        noise = np.random.default_rng(0).standard_normal(self.size).astype(theta.dtype)
        noise, direction = noise / np.linalg.norm(noise), np.zeros_like(noise)
        for start in range(0, min(len(X), BATCHES_MOST * batch_size), batch_size):
            part, v, norm = slice(start, start + batch_size), direction + noise, 0.0
            inputs, share = self.body.inputs(X[part]), w[part] / w[part].sum()
            f = self.body.outputs(at, inputs)
            lift = self._lift(self.body.array(f), y[part])
            for _ in range(POWER_STEPS):
                v = v / max(float(np.linalg.norm(v)), 1e-30) / root
                v = self._damped(self._bent(f, at, self._moved(at, v, inputs), share, keep=True, lift=lift), v) / root
                norm = float(np.linalg.norm(v))
            direction = v / norm if norm > 0.0 else direction
            largest = max(largest, norm)
        return POWER_MARGIN * largest

    def _lift(self, f: Array, y: Array) -> Array:
        """What each example's curvature (by Gershgorin) is short of `LEAST_CURVATURE` times the loss's largest, (n,)."""
        rows, steepest = np.abs(self.loss.curvature(f)).sum(axis=2).max(axis=1), self.loss.steepest
        if np.isinf(steepest):  # a Poisson rate comes to what the counts are
            steepest = max(float(rows.max()), float(y.max()))
        return np.asarray(np.maximum(LEAST_CURVATURE * steepest - rows, 0.0))

    def _pulled_back(
        self, f: torch.Tensor, at: Tensors, y: Array, share: Array, keep: bool = False
    ) -> tuple[float, Tensors]:
        """E and ∇E from outputs with a graph."""
        values = self.body.array(f)
        of_outputs = self.body.tensor(share[:, None] * self.loss.gradient(values, y))
        return float(share @ self.loss.value(values, y)), self.body.gradients(f, at, of_outputs, keep=keep)

    def _moved(self, at: Tensors, v: Array, inputs: torch.Tensor) -> torch.Tensor:
        """f′ = J v."""
        with torch.no_grad():
            return self.body.response([part.detach() for part in at], self._along(v), inputs)[1]

    def _bent(
        self, f: torch.Tensor, at: Tensors, moved: torch.Tensor, share: Array, keep: bool, lift: Array | None = None
    ) -> Tensors:
        """G v = Jᵀ (∂²ℓ/∂f²) f′ from outputs with a graph; lift (n,): to be added to examples' curvatures."""
        moved_by = self.body.array(moved)
        bent = self.loss.curvature_product(self.body.array(f), moved_by)
        product = share[:, None] * (bent if lift is None else bent + lift[:, None] * moved_by)
        return self.body.gradients(f, at, self.body.tensor(product), keep=keep)

    def _along(self, v: Array) -> Tensors:
        """v, with zeros where nothing moves with λ."""
        parts = zip(self.body.split(v), self.moving, strict=True)
        return [part if moves else torch.zeros_like(part) for part, moves in parts]

    def _damped(self, product: Tensors, v: Array) -> Array:
        """The product (d,), plus δ v; zero where nothing moves."""
        moved = [part if moves else torch.zeros_like(part) for part, moves in zip(product, self.moving, strict=True)]
        out = self.body.joined(moved)
        if self.damping:
            out += self.damping * (v if all(self.moving) else v * self._mask())
        return out

    def _mask(self) -> Array:
        return self._where(self.moving).astype(self.first.dtype)

    def _where(self, flags: tuple[bool, ...]) -> NDArray[np.bool_]:
        """What is said of each block, of each of its parameters, (d,)."""
        sizes = [prod(shape) for _, shape in self.blocks]
        return np.repeat(np.array(flags), sizes)

    def _by_example(self, theta: Array, X: Array, of_outputs: Array) -> Array:
        """Jᵢᵀ cᵢ for c (n, k), shape (n, d)."""
        rows = max(1, ELEMENTS_MOST // self.size)
        return self.body.by_example(self.body.split(theta), self.body.inputs(X), self.body.tensor(of_outputs), rows)


def _parts(vector: Array, blocks: tuple[Block, ...]) -> list[Array]:
    """Views of a vector (d,), block by block."""
    ends = np.cumsum([prod(shape) for _, shape in blocks])
    return [part.reshape(shape) for part, (_, shape) in zip(np.split(vector, ends[:-1]), blocks, strict=True)]
