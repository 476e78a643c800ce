"""Solving with an arrow-shaped matrix: a block that all users share, and a block for each user that touches no other's.

        ⎡ A    B₁ᵀ  B₂ᵀ … ⎤
    H = ⎢ B₁   D₁         ⎥      A (p, p), B_u (q, p), D_u (q, q)
        ⎣ B₂        D₂    ⎦

The Hessian of an objective in which users meet only in what they share is one. With D_u = L_u L_uᵀ the users are eliminated
one by one, and what remains is as large as the shared block (a Schur complement):

    S = A − Σ_u B_uᵀ D_u⁻¹ B_u
    S x₀ = r₀ − Σ_u B_uᵀ D_u⁻¹ r_u,      x_u = D_u⁻¹ (r_u − B_u x₀)

H is positive definite if and only if every D_u and S are. Time and memory grow with the number of users, never with its
square. A user who adds nothing to the right-hand side, and no B, may as well be left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array


class Arrow(NamedTuple):
    """shared A (p, p); border B (U, q, p); users D (U, q, q), of which the lower triangles are read."""

    shared: Array
    border: Array
    users: Array


class Point(NamedTuple):
    """What goes with an arrow: shared (p,), users (U, q)."""

    shared: Array
    users: Array


class Factor(NamedTuple):
    """An arrow that is positive definite: roots L_u⁻¹ (U, q, q), border L_u⁻¹B_u (U, q, p), schur S (p, p)."""

    roots: Array
    border: Array
    schur: Array


def factor(arrow: Arrow) -> Factor | None:
    """None where the matrix is not positive definite, or not finite."""
    with np.errstate(all="ignore"):  # what is not finite is found below
        try:
            roots = np.linalg.inv(np.linalg.cholesky(arrow.users))
            border = roots @ arrow.border
            schur = arrow.shared - np.einsum("uqi,uqj->ij", border, border, optimize=True)
            np.linalg.cholesky(schur)  # raises where S is not positive definite
        except np.linalg.LinAlgError:
            return None
    return Factor(roots, border, schur) if np.isfinite(schur).all() else None


def solve(factor: Factor, right: Point) -> Point:
    """H⁻¹ r."""
    half = np.einsum("uij,uj->ui", factor.roots, right.users)
    shared = np.linalg.solve(factor.schur, right.shared - np.einsum("uqp,uq->p", factor.border, half))
    return Point(shared, np.einsum("uji,uj->ui", factor.roots, half - factor.border @ shared))


def product(arrow: Arrow, v: Point) -> Point:
    """H v."""
    shared = arrow.shared @ v.shared + np.einsum("uqp,uq->p", arrow.border, v.users)
    return Point(shared, arrow.border @ v.shared + np.einsum("uij,uj->ui", arrow.users, v.users))
