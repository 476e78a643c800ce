"""Queries not yet answered, counted as labels.

Labels come late. Until they do, every score would see the same hole in the data and ask the same question again. A pending
query x will add its curvature to the Hessian of the summed objective whatever the answer is: with A = (W H)⁻¹,
c = ∂²ℓ/∂f² = L Lᵀ and U = Jᵀ L, by Sherman, Morrison and Woodbury

    A ← A − G S Gᵀ,     G = A U,   S = (I + Uᵀ A U)⁻¹
    θ̇ ← θ̇ − G S Uᵀ θ̇   (θ̇ = A·(−αC), and C does not change)

θ stays: over y ~ p(y|x, θ) its expected step is zero. Where there is no A, `similarity.py` stands in for it, if it can.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries import curvature
from streamlearn.queries.similarity import none_pending
from streamlearn.queries.strategy import View


def counts(view: View) -> bool:
    """Whether pending queries make a difference to it."""
    return view.covariance is not None or view.similar is not None


def none(view: View, log_tangent: Array) -> View:
    """The view before any was counted; log_tangent: as it was then."""
    similar = view.similar and none_pending(view.similar.seen, view.similar.precision, view.model.outputs_count)
    return replace(view, covariance=view.base_covariance, log_tangent=log_tangent, similar=similar)


def count(view: View, x: Array) -> View:
    """The view after one more pending query with design row x (D,)."""
    if view.covariance is None:
        return _similar(view, x[None, :])
    U = curvature.root(view, x[None, :])
    G = view.covariance @ U
    S = np.linalg.inv(np.eye(U.shape[1]) + U.T @ G)
    half = G @ S
    return replace(
        view, covariance=view.covariance - half @ G.T, log_tangent=view.log_tangent - half @ (U.T @ view.log_tangent)
    )


def count_all(view: View, X: Array) -> View:
    """The view after the pending queries with design rows X (m, D), none of which it counts yet."""
    if len(X) == 0:
        return view
    if view.covariance is None:
        return _similar(view, X)
    U = curvature.root(view, X)
    if U.shape[1] < view.model.size:
        G = view.covariance @ U
        half = np.linalg.solve(np.eye(U.shape[1]) + U.T @ G, G.T).T
        covariance = view.covariance - half @ G.T
        log_tangent = view.log_tangent - half @ (U.T @ view.log_tangent)
    else:
        moving = np.flatnonzero(np.diag(view.covariance) > 0.0)  # a parameter that L1 holds at zero has no variance
        block = np.ix_(moving, moving)
        information = np.linalg.inv(view.covariance[block])
        covariance, log_tangent = np.zeros_like(view.covariance), np.zeros_like(view.log_tangent)
        covariance[block] = np.linalg.inv(information + U[moving] @ U[moving].T)
        log_tangent[moving] = covariance[block] @ (information @ view.log_tangent[moving])
    return replace(view, covariance=0.5 * (covariance + covariance.T), log_tangent=log_tangent)


def _similar(view: View, X: Array) -> View:
    if view.similar is None:
        return view
    return replace(view, similar=view.similar.counted(view.model.loss, X, view.model.outputs(view.theta, X)))
