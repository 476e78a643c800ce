"""How unsure the model is of what it says at an event: for what is not known of θ, and of the event's user.

    V = J (A + Σ_u) Jᵀ,      A = (W H)⁻¹ with pending queries counted,   Σ_u (`core/users/unknown.py`)

Where rows are nobody's, or bring no Σ_u, A alone counts.
"""

from __future__ import annotations

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.users.personal import Personal
from streamlearn.queries.strategy import View

FEW = 3  # columns for each row: with more, their square is formed and less is to be multiplied


def covariance(view: View, A: Array, X: Array) -> Array:
    """V (n, k, k) at design rows X (n, D)."""
    V, own = view.model.covariance(view.theta, A, X), _of_user(view, X)
    if own is None:
        return V
    n, k, _ = own.shape
    return np.asarray(V + np.einsum("nced,nd->nce", own.reshape(n, k, k, -1), X[:, : view.model.columns]))


def shared(view: View, A: Array, vectors: Array, X: Array) -> Array:
    """Q = J (A + Σ_u) U Uᵀ (A + Σ_u) Jᵀ (n, k, k) for vectors U (d, r)."""
    if vectors.shape[1] >= FEW * vectors.shape[0]:
        vectors = np.linalg.qr(vectors.T)[1].T
    moved, own = view.model.responses(view.theta, A @ vectors, X), _of_user(view, X)
    if own is not None:
        moved = moved + own @ vectors
    return np.asarray(moved @ moved.transpose(0, 2, 1))


def _of_user(view: View, X: Array) -> Array | None:
    """J Σ_u (n, k, d)."""
    return view.model.unknown(X) if isinstance(view.model, Personal) else None
