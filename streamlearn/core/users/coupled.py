"""Newton's method on an objective in which users meet only in what they share: its Hessian is an arrow (`arrow.py`).

    (x₀, x_u) ← clip[ (x₀, x_u) − t H⁻¹ ∇L ],    t halved until L falls

**Not convex.** A precision that is a parameter makes L so: ½ e^μ ‖x‖² has the Hessian e^μ [[I, x], [xᵀ, ½‖x‖²]], negative in
one direction wherever x ≠ 0. Where H is not positive definite the precisions' own curvature is taken twice, and it is: with
‖x‖² in the corner that Hessian is e^μ (I, x)ᵀ(I, x), a square. So every step leads downhill. With such a curvature it is
also short, and is doubled while L goes on falling. Near a minimum H itself is used, and convergence is quadratic.

**Bounds** on a user's parameters: one that stands on its bound and is pressed against it rests (and so it does as λ moves);
the others go on without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.core.users import arrow
from streamlearn.core.users.arrow import Arrow, Factor, Point

STEPS_MOST, HALVINGS_MOST, DOUBLINGS_MOST = 200, 40, 20
SMALL_STEP = 1e-9  # relative; convergence is quadratic, so what is left after such a step is rounding
SOLVED = 1e-12  # of ½ ∇Lᵀ H⁻¹ ∇L, what is left to gain, relative to L

Mask = NDArray[np.bool_]


class Coupled(ABC):
    """L of what is shared (p,) and of every user's own parameters (U, q)."""

    lowest: Array  # bounds of a user's parameters, (q,)
    highest: Array

    @abstractmethod
    def value_gradient(self, at: Point) -> tuple[float, Point]:
        """L and ∇L."""

    @abstractmethod
    def hessian(self, at: Point, convex: bool) -> Arrow:
        """∇²L; convex: with the precisions' own curvatures raised so that it is positive definite."""


class Optimum(NamedTuple):
    """at: the minimum; resting (U, q): parameters on a bound; factor: of the Hessian of the others; value L; steps."""

    at: Point
    resting: Mask
    factor: Factor
    value: float
    steps: int


def minimum(problem: Coupled, start: Point, held: tuple[int, ...] = ()) -> Optimum | None:
    """The minimum downhill of `start`; held: parameters of every user that stay as they are. None: none was found."""
    at, moved, left = start, np.inf, np.inf
    with np.errstate(all="ignore"):  # what is not finite is no minimum
        value, gradient = problem.value_gradient(at)
        for steps in range(STEPS_MOST + 1):
            if not np.isfinite(value):
                return None
            rests = _resting(problem, at, gradient, held)
            factor = arrow.factor(without(problem.hessian(at, convex=False), rests))
            if moved <= SMALL_STEP * _size(at) and left <= SOLVED * (1.0 + abs(value)):
                return None if factor is None else Optimum(at, rests, factor, value, steps)
            straight = factor is None
            factor = factor or arrow.factor(without(problem.hessian(at, convex=True), rests))
            if factor is None:
                return None
            slope = Point(gradient.shared, np.where(rests, 0.0, gradient.users))
            direction = arrow.solve(factor, slope)
            new, value, gradient = _downhill(problem, at, direction, value, gradient, further=straight)
            left = 0.5 * _inner(slope, direction)
            at, moved = new, max(_distance(new.shared, at.shared), _distance(new.users, at.users))
    return None


def without(matrix: Arrow, rests: Mask) -> Arrow:
    """The arrow in which the users' parameters that rest touch nothing."""
    border, users = np.where(rests[:, :, None], 0.0, matrix.border), matrix.users.copy()
    users[rests[:, :, None] | rests[:, None, :]] = 0.0
    at = np.nonzero(rests)
    users[at[0], at[1], at[1]] = 1.0
    return Arrow(matrix.shared, border, users)


def tangent(optimum: Optimum, source: Point) -> Point:
    """How the minimum moves with a parameter of which −source is the derivative of ∇L: H⁻¹ source, 0 where it rests."""
    return arrow.solve(optimum.factor, Point(source.shared, np.where(optimum.resting, 0.0, source.users)))


def _downhill(
    problem: Coupled, at: Point, direction: Point, value: float, gradient: Point, further: bool
) -> tuple[Point, float, Point]:
    """A step against the direction, within the bounds, halved until L falls; the last one tried where it never does.

    further: one that was not halved is doubled while L falls.
    """

    def stepped(size: float) -> tuple[Point, float, Point]:
        users = np.clip(at.users - size * direction.users, problem.lowest, problem.highest)
        new = Point(at.shared - size * direction.shared, users)
        return new, *problem.value_gradient(new)

    size = 1.0
    for _ in range(HALVINGS_MOST):
        new, there, slope = stepped(size)
        promised = _inner(gradient, Point(new.shared - at.shared, new.users - at.users))
        # The last term forgives rounding: near the minimum L cannot fall by what the slope promises.
        if there <= value + 1e-4 * promised + 1e-13 * (1.0 + abs(value)):
            break
        size *= 0.5
    for doubling in range(1, DOUBLINGS_MOST + 1) if further and size == 1.0 else ():
        longer = stepped(2.0**doubling)
        if not longer[1] < there:
            break
        new, there, slope = longer
    return new, there, slope


def _inner(one: Point, other: Point) -> float:
    return float(one.shared @ other.shared + (one.users * other.users).sum())


def _resting(problem: Coupled, at: Point, gradient: Point, held: tuple[int, ...]) -> Mask:
    below = (at.users <= problem.lowest) & (gradient.users > 0.0)
    above = (at.users >= problem.highest) & (gradient.users < 0.0)
    rests = below | above
    rests[:, list(held)] = True
    return np.asarray(rests)


def _size(at: Point) -> float:
    return 1.0 + max(float(np.abs(at.shared).max()), float(np.abs(at.users).max(initial=0.0)))


def _distance(new: Array, old: Array) -> float:
    return float(np.abs(new - old).max(initial=0.0))
