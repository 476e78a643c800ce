"""Orthant-wise Newton: θ at the optimum of L where R = ‖θ − θ₀‖₁ has kinks, and its tangent.

Inside an orthant around θ₀ L is smooth. At θ the pseudo-gradient p is the derivative downhill: with g = ∇E

    g + λ sign(θ − θ₀)                 where θ ≠ θ₀
    g − clip(g, −λ, λ)                 where θ = θ₀: zero while |g| ≤ λ, and then θ stays

A step goes by −H⁻¹p over the coordinates with θ ≠ θ₀ or p ≠ 0, and one that would leave its orthant stops at θ₀. Where
such a step does not lead downhill, a proximal gradient step does. Once no coordinate enters or leaves, it is Newton's
method on the rest. As λ moves, those on a kink stay there: θ̇ = −λ H⁻¹ sign(θ − θ₀) on the others alone, 0 on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.newton import Info, State, solved
from streamlearn.core.objective import Data, Objective

STEPS_MOST, HALVINGS_MOST, PROXIMAL_HALVINGS_MOST = 300, 12, 60
SOLVED = 1e-9  # of the pseudo-gradient, relative to the gradient at the start and λ
ACCEPTED = 1e-5  # the same, where rounding allows no better
DAMPING = 1e-10


class _Point(NamedTuple):
    theta: Array
    value: float
    smooth: Array  # ∇E and the prior's part
    sign: Array  # C: the sign of θ − θ₀ where penalised
    pseudo: Array


def step(state: State, objective: Objective, data: Data, regularity: float) -> tuple[State, Info]:
    """Go to the optimum of L on `data` at this regularity, starting from state.theta."""
    return solved(_optimum, state, objective, data, regularity)


def _optimum(theta: Array, objective: Objective, data: Data, regularity: float) -> tuple[Array, int]:
    at = _point(theta, objective, data, regularity)
    scale, steps = regularity + float(np.abs(at.smooth).max()), 0
    while np.abs(at.pseudo).max() > SOLVED * scale and steps < STEPS_MOST:
        if not np.isfinite(at.value):
            raise FloatingPointError
        new = _newton(at, objective, data, regularity) or _proximal(at, objective, data, regularity)
        if new is None:
            break
        at, steps = new, steps + 1
    if not np.abs(at.pseudo).max() <= ACCEPTED * scale:
        raise FloatingPointError
    return at.theta, steps


def _point(theta: Array, objective: Objective, data: Data, regularity: float) -> _Point:
    value, gradient = objective.value_gradient(theta, data, regularity)
    sign = objective.complexity_gradient(theta)
    smooth = gradient - regularity * sign
    rests = (objective.penalised > 0.0) & (sign == 0.0)
    pseudo = np.where(rests, smooth - np.clip(smooth, -regularity, regularity), gradient)
    return _Point(theta, value, smooth, sign, pseudo)


def _newton(at: _Point, objective: Objective, data: Data, regularity: float) -> _Point | None:
    """A projected Newton step that leads downhill, or None."""
    H = objective.hessian(at.theta, data, regularity)
    penalised = objective.penalised > 0.0
    orthant = np.where(at.sign != 0.0, at.sign, -np.sign(at.pseudo)) * penalised
    moving = np.flatnonzero(~penalised | (at.sign != 0.0) | (at.pseudo != 0.0))
    block = H[np.ix_(moving, moving)]
    block[np.diag_indices_from(block)] += DAMPING * float(np.diag(block).max())
    direction = np.zeros_like(at.theta)
    direction[moving] = -np.linalg.solve(block, at.pseudo[moving])
    entering = penalised & (at.sign == 0.0)
    direction[entering & (np.sign(direction) != orthant)] = 0.0
    home, size = objective.shrink(at.theta, np.inf), 1.0

    def stepped(size: float) -> _Point:
        theta = at.theta + size * direction
        left = penalised & (np.sign(theta - home) != orthant)
        return _point(np.where(left, home, theta), objective, data, regularity)

    leaving = (at.sign != 0.0) & (at.sign * direction < 0.0)
    crossings = ((home - at.theta)[leaving] / direction[leaving]) * (1.0 + 1e-12)
    for _ in range(HALVINGS_MOST):
        new = stepped(size)
        if _downhill(at, new):
            break
        size *= 0.5
    else:  # where H is singular, as with more coordinates than examples, a step is far too long: to the first kink
        new = stepped(float(crossings.min(initial=size)))
        return new if _downhill(at, new) else None
    if size == 1.0 and _straight(at, new):
        further = stepped(float(crossings[crossings > 1.0].min(initial=np.inf))) if (crossings > 1.0).any() else new
        new = further if further.value < new.value else new
    return new


def _straight(at: _Point, new: _Point) -> bool:
    """Whether L fell as a plane does: no curvature (the outputs of a softmax can be shifted together), so go on to a kink."""
    return at.value - new.value > 0.9 * float(at.pseudo @ (at.theta - new.theta))


def _proximal(at: _Point, objective: Objective, data: Data, regularity: float) -> _Point | None:
    """A proximal gradient step that leads downhill, or None where rounding leaves none."""
    size = 1.0
    for _ in range(PROXIMAL_HALVINGS_MOST):
        theta = objective.shrink(at.theta - size * at.smooth, size * regularity)
        new = _point(theta, objective, data, regularity)
        if _downhill(at, new):
            return new
        size *= 0.5
    return None


def _downhill(at: _Point, new: _Point) -> bool:
    promised = float(at.pseudo @ (new.theta - at.theta))
    # Near the optimum rounding hides what L falls by: then the pseudo-gradient has to fall.
    near = new.value <= at.value + 1e-13 * (1.0 + abs(at.value))
    return bool(
        (promised < 0.0 and new.value <= at.value + 1e-4 * promised)
        or (near and np.abs(new.pseudo).max() < 0.9 * np.abs(at.pseudo).max())
    )
