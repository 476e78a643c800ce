"""Queries not yet answered where there is no inverse Hessian: the less is asked of what is like them.

All that is known without it of how parameters vary is their prior: A₀ = I/α on what R sees, and 0 on the rest. A pending query
p counts as a label under that alone, and s_P/s₀, the share of the variance of f_a − f_b that is left, needs no matrix as
large as θ: only products of rows, κ(x, p) = x̃·p̃/α, x̃ the columns that R sees. With one column u_p of p's curvature a query

    s₀ = ‖e_a − e_b‖² κ(x, x)      s_P = s₀ − tᵀ M⁻¹ t,   t_p = (e_a − e_b)·u_p κ(x, p),   M_pq = δ_pq + u_p·u_q κ(p, q)

u_p = C v/√(vᵀ C v) for v = e_a − e_b of p's own two likeliest classes: C ⪰ u uᵀ, which is C itself where there are two
classes. So no query counts for more than its label will teach. m pending queries cost m² + n m products for n events.

It errs on the safe side of knowing nothing: where labels have told much already, they leave less to discount than it thinks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.queries.decision import directions, likeliest

TINY = 1e-300


@final
@dataclass(frozen=True)
class Similarity:
    """seen: columns that R sees (D,), True or False; precision: α. Of m pending queries: rows x̃ (m, D̃), roots u (m, k) and
    gram κ (m, m).
    """

    seen: NDArray[np.bool_]
    precision: float
    rows: Array
    roots: Array
    gram: Array

    def __len__(self) -> int:
        return len(self.rows)

    def counted(self, loss: Loss, X: Array, f: Array) -> Similarity:
        """With more pending queries, of design rows X (n, D) and outputs f (n, k)."""
        new = X[:, self.seen]
        across, among = self.rows @ new.T / self.precision, new @ new.T / self.precision
        return replace(
            self,
            rows=np.concatenate([self.rows, new]),
            roots=np.concatenate([self.roots, _roots(loss, f)]),
            gram=np.block([[self.gram, across], [across.T, among]]),
        )

    def share(self, X: Array, order: NDArray[np.intp]) -> Array:
        """s_P/s₀ (n,) for design rows X (n, D), whatever they bring along behind; order (n, classes): the likeliest first."""
        x = X[:, : len(self.seen)][:, self.seen]
        v = directions(order, self.roots.shape[1])
        t = (v @ self.roots.T) * (x @ self.rows.T) / self.precision
        before = (v**2).sum(axis=1) * np.einsum("nd,nd->n", x, x) / self.precision
        M = np.eye(len(self)) + (self.roots @ self.roots.T) * self.gram
        taken = (t * np.linalg.solve(M, t.T).T).sum(axis=1)
        return np.asarray(np.clip(1.0 - taken / np.maximum(before, TINY), 0.0, 1.0))


def none_pending(seen: NDArray[np.bool_], precision: float, outputs: int) -> Similarity:
    return Similarity(seen, precision, np.empty((0, int(seen.sum()))), np.empty((0, outputs)), np.empty((0, 0)))


def _roots(loss: Loss, f: Array) -> Array:
    """u (n, k): the column of each curvature along its two likeliest classes."""
    v = directions(likeliest(loss.probabilities(f)), f.shape[1])
    bent = np.einsum("nab,nb->na", loss.curvature(f), v)
    return np.asarray(bent / np.sqrt(np.maximum((v * bent).sum(axis=1), TINY))[:, None])
