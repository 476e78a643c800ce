"""Influence functions: what one more example would do to parameters, losses and complexity, to first order.

With L_ε = L + ε ℓ(z), at an optimum of L = E + λR                                       (35)

    I_params(z)  = dθ/dε    = −H⁻¹ ∇ℓ(z)                                                 (36)
    I_loss(z, u) = dℓ(u)/dε = −∇ℓ(u)ᵀ H⁻¹ ∇ℓ(z), symmetric in z and u                    (37)–(38)
    I_R(z)       = dR/dε    = C·I_params(z) = ∇ℓ(z)·θ′ = dℓ(z)/dλ                        (71)

The last is a duality: how far an example would move the complexity is how fast its loss moves with λ.

**Units.** ε multiplies ℓ beside the *mean* loss E; a label of weight w more is ε = w/W. Where A = (W H)⁻¹ is at hand, as the
`covariance` of a Newton state is, H⁻¹ = W A; what one more label does is −A ∇ℓ(z).

Sums over examples are weighted by their weights: an example of weight 2 is two. Many z and many u are one matrix product.
Every function takes the objective, the `data` of total weight W that it was minimised on, and the `state` at that optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamlearn.core import newton
from streamlearn.core.losses import Array, Loss
from streamlearn.core.objective import Data, Objective


class Squares(NamedTuple):
    """single (n, m) by example and reference; summed, total (n,)."""

    single: Array
    summed: Array
    total: Array


def on_parameters(objective: Objective, data: Data, state: newton.State, points: Data) -> Array:
    """I_params of every point z, (n, d) (36)."""
    gradients = objective.model.example_gradients(state.theta, points.X, points.y)
    return -float(data.w.sum()) * gradients @ state.covariance


def on_losses(objective: Objective, data: Data, state: newton.State, points: Data, others: Data) -> Array:
    """I_loss of every point z on the loss of every other u, (n, m) (37)–(38)."""
    gradients = objective.model.example_gradients(state.theta, others.X, others.y)
    return on_parameters(objective, data, state, points) @ gradients.T


def on_own_loss(objective: Objective, data: Data, state: newton.State, points: Data) -> Array:
    """I_loss(z, z) of every point, (n,); never positive. A training example's self-influence (44) is −(w/W) of it."""
    f = objective.model.outputs(state.theta, points.X)
    g = objective.model.loss.gradient(f, points.y)
    moved = objective.model.covariance(state.theta, state.covariance, points.X)
    return np.asarray(-float(data.w.sum()) * np.einsum("na,nab,nb->n", g, moved, g))


def on_complexity(objective: Objective, data: Data, state: newton.State, points: Data) -> Array:
    """I_R of every point, (n,) (71)."""
    tangent = -float(data.w.sum()) * state.covariance @ objective.complexity_gradient(state.theta)
    f, f_dot = objective.model.response(state.theta, tangent, points.X)
    return np.asarray((objective.model.loss.gradient(f, points.y) * f_dot).sum(axis=1))


def total(objective: Objective, data: Data, state: newton.State, points: Data) -> Array:
    """Σ w I_params over the points, (d,) (59). Over the training set it is −λW θ′, if R sees every parameter (60)–(63)."""
    _, mean = objective.model.gradient(state.theta, points.X, points.y, points.w)
    return -float(data.w.sum()) * float(points.w.sum()) * state.covariance @ mean


def squared(objective: Objective, data: Data, state: newton.State, points: Data, references: Data) -> Squares:
    """I_loss², Σ_j w_j I_loss² and (Σ_j w_j I_loss)² of points whose labels are known (55)–(56)."""
    influence = on_losses(objective, data, state, points, references)
    return Squares(influence**2, influence**2 @ references.w, (influence @ references.w) ** 2)


def expected_change(objective: Objective, data: Data, state: newton.State, X: Array, test: Data) -> Array:
    """E_y[Σ_j w_j I_loss((x, y), u_j)] of unlabeled rows X (n, D) on test examples, (n,) (46)–(54): zero for every loss.

    Under its own distribution a model expects nothing of a label: E_y[∂ℓ/∂f] = 0. So it cannot choose queries; the scores
    that can are expectations of squares (55)–(58).
    """
    f, moved = objective.model.response(state.theta, total(objective, data, state, test), X)
    return np.asarray((_expected_gradient(objective.model.loss, f) * moved).sum(axis=1))


def _expected_gradient(loss: Loss, f: Array) -> Array:
    """E_{y~p(y|f)}[∂ℓ/∂f], (n, k): a sum over the classes; for values, of which the gradient is linear, it is at E[y|f]."""
    if not loss.of_classes:
        return loss.gradient(f, loss.prediction(f))
    terms = [p[:, None] * loss.gradient(f, np.full(len(f), float(c))) for c, p in enumerate(loss.probabilities(f).T)]
    return np.asarray(sum(terms))
