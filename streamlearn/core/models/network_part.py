"""Some blocks of a network's θ as the part of it that users deviate in: second derivatives by them, and rows of many users.

Rows of many users meet parameters of their own in one pass on dual numbers, batched over rows (vmap): as fast for a
hundred users as for one, and what a row gives depends on no other. Where an operator has no rule for that, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad
from torch.func import vmap

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models.differentiation import Body, Tensors, leaves
from streamlearn.core.models.part import Part, Slope

ELEMENTS_MOST = 1 << 24  # of users' own parameters that are held at once


@final
@dataclass(frozen=True, eq=False)
class NetworkPart(Part):
    """chosen: of each block of θ, whether it is of the part."""

    body: Body
    loss: Loss
    chosen: tuple[bool, ...]

    @cached_property  # as long as the part, and asked for with every block of events
    def at(self) -> NDArray[np.intp]:  # type: ignore[override]  # an attribute elsewhere: nobody sets it
        sizes = [prod(shape) for _, shape in self.body.blocks]
        return np.flatnonzero(np.repeat(np.array(self.chosen), sizes))

    @property
    def rounding(self) -> float:  # type: ignore[override]
        return float(torch.finfo(self.body.dtype).eps)

    def slope(self, theta: Array, X: Array, y: Array, w: Array) -> Slope:
        parts, inputs = self.body.split(theta), self.body.inputs(X)
        at = leaves(self._mine(parts))
        f = self.body.outputs(self._put(parts, at), inputs)
        gradient = self.body.gradients(self._sum(f, y, w), at, create_graph=True)
        values, still = self.body.array(f), [torch.zeros_like(part) for part in parts]

        def hessian(v: Array) -> Array:
            return self._joined(self.body.gradients(gradient, at, self._split(self.body.tensor(v)), keep=True))

        def curvature(v: Array) -> Array:
            along = self._put(still, self._split(self.body.tensor(v)))
            with torch.no_grad():
                moved = self.body.array(self.body.response(parts, along, inputs)[1])
            bent = self.body.tensor(w[:, None] * self.loss.curvature_product(values, moved))
            return self._joined(self.body.gradients(f, at, bent, keep=True))

        return Slope(float(w @ self.loss.value(values, y)), self._joined(gradient), hessian, curvature)

    def slope_moved(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> Array:
        at = self.body.leaves(theta)
        total = self._sum(self.body.outputs(at, self.body.inputs(X)), y, w)
        gradient = self.body.gradients(total, at, create_graph=True)
        return self._joined(self.body.gradients(gradient, self._mine(at), self.body.split(v)))

    def added(self, theta: Array, v: Array, X: Array, own: Array, whose: NDArray[np.intp]) -> tuple[Array, Array]:
        parts, along, inputs = self.body.split(theta), self.body.split(v), self.body.inputs(X)
        table, met = self.body.tensor(own), self._of_rows if self.body.rules.rows else self._row_by_row
        rows = max(1, ELEMENTS_MOST // (2 * len(self.at)))
        with torch.no_grad():
            shared = self.body.response(parts, along, inputs)
            found = []
            for start in range(0, len(X), rows):
                which = torch.from_numpy(whose[start : start + rows]).to(table.device)
                found.append(met(parts, along, self._split(table[which]), inputs[start : start + rows]))
        both = [torch.cat(each) for each in zip(*found, strict=True)]
        f, f_dot = (self.body.array(new) - self.body.array(old) for new, old in zip(both, shared, strict=True))
        somebody = np.any(own, axis=(1, 2), keepdims=True)[whose, :, 0]
        return np.where(somebody, f, 0.0), np.where(somebody, f_dot, 0.0)

    def _of_rows(
        self, parts: Tensors, along: Tensors, own: Tensors, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f and f′ (n, k); own: to each block of the part, what is added for every row to it and to v's, (n, 2, …)."""
        with forward_ad.dual_level():
            held = [forward_ad.make_dual(part, v) for part, v in zip(parts, along, strict=True)]
            pairs = zip(self._mine(parts), self._mine(along), own, strict=True)
            mine = [forward_ad.make_dual(part + more[:, 0], v + more[:, 1]) for part, v, more in pairs]
            by_row = vmap(lambda each, row: self.body.outputs(self._put(held, each), row[None])[0])
            f, moved = forward_ad.unpack_dual(by_row(mine, inputs))
        return f, torch.zeros_like(f) if moved is None else moved

    def _row_by_row(
        self, parts: Tensors, along: Tensors, own: Tensors, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same."""
        found = []
        for i in range(len(inputs)):
            at, v = (
                self._put(vector, [part + more[i, which] for part, more in zip(self._mine(vector), own, strict=True)])
                for which, vector in enumerate((parts, along))
            )
            f, moved = self.body.response(at, v, inputs[i : i + 1])
            found.append((f.detach(), moved))
        all_f, all_moved = zip(*found, strict=True)
        return torch.cat(all_f), torch.cat(all_moved)

    def _sum(self, f: torch.Tensor, y: Array, w: Array) -> torch.Tensor:
        return self.body.mean_loss(self.loss.name, f, y, w)  # with weights for shares

    def _mine(self, parts: Tensors) -> Tensors:
        return [part for part, of_it in zip(parts, self.chosen, strict=True) if of_it]

    def _put(self, parts: Tensors, mine: Tensors) -> Tensors:
        """All blocks, with these in the place of the part's."""
        new = iter(mine)
        return [next(new) if of_it else part for part, of_it in zip(parts, self.chosen, strict=True)]

    def _split(self, vectors: torch.Tensor) -> Tensors:
        """Vectors (…, m) block by block, each (…, shape)."""
        shapes = [shape for (_, shape), of_it in zip(self.body.blocks, self.chosen, strict=True) if of_it]
        pieces = vectors.split([prod(shape) for shape in shapes], dim=-1)
        return [piece.reshape(*vectors.shape[:-1], *shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def _joined(self, mine: Tensors) -> Array:
        return self.body.array(torch.cat([part.reshape(-1) for part in mine]))
