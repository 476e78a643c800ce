"""The part of f′ that is f again: c, the least squares of f′ on f over some examples.

Under L2 most of what λ does is to rescale the model: where f is large f′ is large for that reason alone, and scale moves
no decision.
"""

from __future__ import annotations

from streamlearn.core.losses import Array


def coefficient(f: Array, moved: Array, w: Array) -> float:
    """c of outputs f and their derivatives (n, k) with weights w (n,); 0 where f is 0 throughout."""
    scale = float((w @ f**2).sum())
    return float((w @ (moved * f)).sum()) / scale if scale > 0.0 else 0.0
