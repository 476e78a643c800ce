"""Regularizers as a user would write them."""

from __future__ import annotations

from streamlearn.core.losses import Array


def half_the_squares(theta: Array) -> tuple[float, Array]:
    return 0.5 * float(theta @ theta), theta
