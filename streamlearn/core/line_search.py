"""Line search: how far to go along a direction that leads downhill, for every solver that looks at all of the data at once.

A step is halved until L falls by a ten-thousandth of what its slope promises (Armijo).
"""

from __future__ import annotations

from typing import NamedTuple

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

HALVINGS_MOST = 40


class Point(NamedTuple):
    """theta (d,); value L and gradient ∇L (d,) there."""

    theta: Array
    value: float
    gradient: Array


def point(theta: Array, objective: Objective, data: Data, regularity: float) -> Point:
    return Point(theta, *objective.value_gradient(theta, data, regularity))


def downhill(at: Point, direction: Array, size: float, objective: Objective, data: Data, regularity: float) -> Point:
    """The point `size` along the direction (d,), halved until L falls; the last one tried where it never does."""
    slope = float(at.gradient @ direction)
    for _ in range(HALVINGS_MOST):
        new = point(at.theta + size * direction, objective, data, regularity)
        # The second term forgives rounding: near the optimum L cannot fall by what the slope promises.
        if new.value <= at.value + 1e-4 * size * slope + 1e-13 * (1.0 + abs(at.value)):
            break
        size *= 0.5
    return new
