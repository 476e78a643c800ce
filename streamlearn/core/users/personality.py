"""Personality: users differ along a few directions that all of them share, and a little in all others (section 3.4.1).

    θ_u = θ₀ + δ,   δ minimises   Σ_{i∈u} wᵢ ℓ(f₀ᵢ + J δ, yᵢ) + ½ α δᵀ M⁻¹ δ,   M = P Pᵀ + τ² I,   P (d, K),   α = λW

so δ has the prior N(0, M/α). It is δ = P s + τ t of the s (K,) and t (d,) with the least ½(‖s‖² + ‖t‖²): a short vector of what
users have in common, and a deviation (97) of what is one's own. With few labels s alone says something; with many, t says what
P does not reach. `deviation_l2.py` solves for both at once, from 0; P is held, so (98) gives the tangent as of a deviation,

    (ṡ, ṫ) = −H⁻¹ (α (s, t) + Σ wᵢ Aᵢᵀ ∂²ℓ/∂f² ḟ₀),   A = (J P, τ J),   H = Σ wᵢ Aᵢᵀ ∂²ℓ/∂f² Aᵢ + αI,   δ̇ = P ṡ + τ ṫ

A user without labels has θ₀ and θ̇₀.

**The prior** is learned from users' deviations δ_u with D = ½‖·‖², as in probabilistic principal components (Tipping and
Bishop, 1999): of the covariance Σ n_u δ_u δ_uᵀ/Σ n_u, in which those count more who have more labels, the eigenvectors e_j with
the largest eigenvalues v₁ ≥ v₂ …, and the mean σ² of the eigenvalues left out, of noise and of what is one user's alone:

    P_j = c e_j √(v_j − σ²),   τ² = c² (σ² + v̄/U),   c such that tr M = d

which makes λ mean what it means for deviations: under either prior ‖θ_u − θ₀‖² is d/α in the mean. Signs are fixed (the largest
entry is positive): the same deviations give the same P. v̄, the mean of all eigenvalues, over U = (Σn)²/Σn² is what one more
adds who differs alike in all directions: of a few users alone it is not believed that all others differ as they do.
"""

from __future__ import annotations

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.users.deviation import Prior

STANDS_OUT = 1e-12  # of the largest eigenvalue: below, it is rounding


def prior(deviations: Array, weights: Array, most: int) -> Prior | None:
    """From deviations (U, d) of users with these weights: as many directions as stand out of the rest, at most `most`.

    None where users do not differ.
    """
    d, total = deviations.shape[1], float(weights.sum())
    if not (total > 0.0 and np.isfinite(deviations).all()):
        return None
    _, singular, axes = np.linalg.svd(deviations * np.sqrt(weights / total)[:, None], full_matrices=False)
    variances, most = np.zeros(d), min(most, d)
    variances[: len(singular)] = singular**2
    if not variances[0] > 0.0:
        return None
    rest = float(variances[most:].mean()) if most < d else 0.0
    size = variances[:most] - rest
    rest += float(weights @ weights) / total**2 * float(variances.mean())
    kept = size > STANDS_OUT * variances[0]
    P = axes[np.flatnonzero(kept)].T
    P = P * np.sign(P[np.abs(P).argmax(axis=0), np.arange(P.shape[1])])
    scale = d / (float(size[kept].sum()) + d * rest)
    # In the order in which it is stored: a product may round otherwise in another.
    return Prior(np.ascontiguousarray(P * np.sqrt(scale * size[kept])), float(np.sqrt(scale * rest)))
