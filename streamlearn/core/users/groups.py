"""Examples of many users at once: sorted by user, summed by user, under a linear model that is each user's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data


@final
@dataclass(frozen=True)
class Groups:
    """data: examples in the order of their users; user (n,): whose each is, of 0 … count − 1, some of whom have none."""

    data: Data
    user: NDArray[np.intp]
    count: int

    @property
    def usable(self) -> bool:
        return self.data.usable

    @cached_property
    def weight(self) -> float:
        """W, of all users' examples."""
        return float(self.data.w.sum())

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        return np.searchsorted(self.user, np.arange(self.count + 1))

    def of(self, user: int) -> Data:
        """One user's examples."""
        at = slice(self._starts[user], self._starts[user + 1])
        return Data(self.data.X[at], self.data.y[at], self.data.w[at])

    def sums(self, rows: Array) -> Array:
        """The sum of rows (n, …) by user, (count, …)."""
        out, present = np.zeros((self.count, *rows.shape[1:])), np.diff(self._starts) > 0
        if present.any():
            out[present] = np.add.reduceat(rows, self._starts[:-1][present], axis=0)
        return out

    def outputs(self, model: Linear, thetas: Array) -> Array:
        """f of every example under its user's θ_u, one row of thetas (count, d); (n, k)."""
        W = thetas.reshape(self.count, model.outputs_count, model.columns)
        return np.asarray(np.einsum("nj,ncj->nc", self.data.X, W[self.user]))

    def value_gradient(self, model: Linear, thetas: Array) -> tuple[float, Array]:
        """E = (1/W) Σ wℓ over all, and ∂E/∂θ_u of every user, (count, d)."""
        f, share = self.outputs(model, thetas), self.data.w / self.weight
        g = share[:, None] * model.loss.gradient(f, self.data.y)
        rows = (g[:, :, None] * self.data.X[:, None, :]).reshape(len(f), model.size)
        return float(share @ model.loss.value(f, self.data.y)), self.sums(rows)

    def hessian(self, model: Linear, thetas: Array) -> Array:
        """∂²E/∂θ_u² of every user, (count, d, d)."""
        out = np.zeros((self.count, model.size, model.size))
        for u in np.unique(self.user):
            own = self.of(u)
            out[u] = model.hessian(thetas[u], own.X, own.y, own.w) * (float(own.w.sum()) / self.weight)
        return out


def grouped(data: Data, user: NDArray[np.intp], count: int) -> Groups:
    """The same examples sorted by user; those of one keep their order. Examples without weight are left out."""
    order = np.argsort(user, kind="stable")
    order = order[data.w[order] != 0.0]
    return Groups(Data(data.X[order], data.y[order], data.w[order]), user[order], count)
