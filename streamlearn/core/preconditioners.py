"""Preconditioners: what SGDF divides its steps by, coordinate by coordinate. θ and θ̇ are divided by the same.

    plain      θ ← θ − η g                  g = ∇L on each batch
    momentum   θ ← θ − η v,      v ← βv + (1 − β) g
    Adagrad    θ ← θ − η g/D,    D = √Σg²
    Adam       θ ← θ − η ĝ/D,    D = √v̂,    ĝ and v̂ the bias-corrected running means of g and g²

"The same step that preconditions θ preconditions θ̇, its dependence on θ̇ ignored" (the text after (116)): the tangent's
gradient H_B θ̇ + λC is averaged as g is and divided by the D that g gave. D being any positive diagonal, the fixed point
H θ̇ + λC = 0 is unchanged (64); the recursion is the derivative of the run with all D held.

D is at least `FLOOR` times its largest entry, in place of the customary constant, which would have to know the scale of
the loss: where a coordinate's gradient is zero, as that of a column that was always zero, θ̇ would leap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core.losses import Array

FLOOR = 0.1
NAMES = ("sgd", "momentum", "adagrad", "adam")


@final
@dataclass(frozen=True)
class State:
    """square: of g, summed (Adagrad) or averaged (Adam) (d,); mean, mean_tangent: of g and of the tangent's gradient (d,),
    Adam's and momentum's alone; steps.
    """

    square: Array
    mean: Array
    mean_tangent: Array
    steps: int


class Preconditioner(ABC):
    """Turns the gradients of θ and θ̇ into what they step against."""

    @abstractmethod
    def init(self, square: Array) -> State | None:
        """The state as after one step whose gradient had these squares (d,); None where nothing is carried."""

    @abstractmethod
    def step(self, state: State | None, gradient: Array, tangent: Array) -> tuple[State | None, Array, Array]:
        """Take in a batch's gradients of θ and θ̇ (d,); give the directions (d,), which the caller may write over. From
        nothing where state is None.
        """

    @abstractmethod
    def divisor(self, state: State | None) -> Array | None:
        """D (d,); None where it is 1."""


@final
@dataclass(frozen=True)
class Plain(Preconditioner):
    """D = 1."""

    def init(self, square: Array) -> State | None:
        return None

    def step(self, state: State | None, gradient: Array, tangent: Array) -> tuple[State | None, Array, Array]:
        return None, gradient, tangent

    def divisor(self, state: State | None) -> Array | None:
        return None


@final
@dataclass(frozen=True)
class Momentum(Preconditioner):
    """D = 1; fade: β, what a step leaves of the running mean of gradients.

    A mean, not the customary sum of 1/(1 − β) times its size: so it goes as far as plain steps of the same η, whose critical
    size says how far that may be. As a sum, at half that size, the tangent of a network exploded time and again.
    """

    fade: float = 0.9

    def init(self, square: Array) -> State | None:
        zero = np.zeros_like(square)
        return State(np.empty(0), zero, zero, 0)

    def step(self, state: State | None, gradient: Array, tangent: Array) -> tuple[State | None, Array, Array]:
        before = state or State(np.empty(0), *(np.zeros_like(gradient),) * 2, 0)
        velocity = before.mean + (1.0 - self.fade) * (gradient - before.mean)
        of_tangent = before.mean_tangent + (1.0 - self.fade) * (tangent - before.mean_tangent)
        return State(np.empty(0), velocity, of_tangent, before.steps + 1), velocity.copy(), of_tangent.copy()

    def divisor(self, state: State | None) -> Array | None:
        return None


@final
@dataclass(frozen=True)
class Adagrad(Preconditioner):
    """D = √Σg²."""

    def init(self, square: Array) -> State | None:
        return State(square, np.empty(0), np.empty(0), 1)

    def step(self, state: State | None, gradient: Array, tangent: Array) -> tuple[State | None, Array, Array]:
        square, before = gradient * gradient, state
        if before is not None:
            square += before.square
        state = State(square, np.empty(0), np.empty(0), 1 if before is None else before.steps + 1)
        D = _floored(np.sqrt(square))
        return state, gradient / D, tangent / D

    def divisor(self, state: State | None) -> Array | None:
        return None if state is None else _floored(np.sqrt(state.square))


@final
@dataclass(frozen=True)
class Adam(Preconditioner):
    """D = √v̂; fade, square_fade: what a step leaves of the running means of g and g² (β₁ and β₂)."""

    fade: float = 0.9
    square_fade: float = 0.999

    def init(self, square: Array) -> State | None:
        zero = np.zeros_like(square)
        return State((1.0 - self.square_fade) * square, zero, zero, 1)

    def step(self, state: State | None, gradient: Array, tangent: Array) -> tuple[State | None, Array, Array]:
        before = state or State(*(np.zeros_like(gradient),) * 3, 0)
        state = State(
            before.square + (1.0 - self.square_fade) * (gradient * gradient - before.square),
            before.mean + (1.0 - self.fade) * (gradient - before.mean),
            before.mean_tangent + (1.0 - self.fade) * (tangent - before.mean_tangent),
            before.steps + 1,
        )
        D = self._root(state) * (1.0 - self.fade**state.steps)
        return state, state.mean / D, state.mean_tangent / D

    def divisor(self, state: State | None) -> Array | None:
        return None if state is None else self._root(state)

    def _root(self, state: State) -> Array:
        return _floored(np.sqrt(state.square / (1.0 - self.square_fade**state.steps)))


def named(name: str) -> Preconditioner:
    """The preconditioner of one of NAMES."""
    return {"sgd": Plain(), "momentum": Momentum(), "adagrad": Adagrad(), "adam": Adam()}[name]


def _floored(root: Array) -> Array:
    largest = float(root.max())
    return np.maximum(root, FLOOR * largest) if largest > 0.0 else np.ones_like(root)
