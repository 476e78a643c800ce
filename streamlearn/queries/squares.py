"""What most scores are sums of: squares of how a candidate's loss, or its response, moves along directions of θ.

Along v the outputs move by f′ = J v and the loss by ∂ℓ/∂f · f′. Its label is not known, and the square's expectation over
the labels that the model itself expects is closed:

    with the loss's factor    E_{y~p(y|x,θ)} [(∂ℓ/∂f · f′)²] = f′ᵀ F(f) f′
    without, "unlabeled"      ‖f′‖²

The logits of several classes mean something up to a common shift alone, and a direction in which all of them shift costs
nothing but the prior: it would drown the rest. So without the loss, which does not see it, f′ is taken around its mean.
"""

from __future__ import annotations

import numpy as np

from streamlearn.core.losses import Array, Loss


def of_loss(loss: Loss, f: Array, moved: Array) -> Array:
    """Σ f′ᵀ F f′ over the directions, (n,), for outputs f (n, k) and responses to each of them (n, k, c)."""
    n, k, count = moved.shape
    each = loss.fisher_quadratic(np.repeat(f, count, axis=0), moved.transpose(0, 2, 1).reshape(n * count, k))
    return np.asarray(each.reshape(n, count).sum(axis=1))


def of_response(moved: Array) -> Array:
    """Σ ‖f′‖² over the directions, (n,)."""
    if moved.shape[1] > 1:
        moved = moved - moved.mean(axis=1, keepdims=True)
    return np.asarray((moved**2).sum(axis=(1, 2)))
