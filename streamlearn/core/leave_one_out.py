"""Leave-one-out without refitting: what every example would lose, had the model been trained without it.

With A = (W H)⁻¹ of the summed objective and, for example i, g = ∂ℓ/∂f (k,), c = ∂²ℓ/∂f² and the leverage h = wᵢ J A Jᵀ (k, k):

    first order   ℓᵢ + gᵀ h g                          f moves by h g: the self-influence (39)–(44)
    leverage      ℓ(f + (I − h c)⁻¹ h g, yᵢ)           one Newton step of the objective without the example

The first forgets that the Hessian loses the example's own curvature too. That is second order in h, but it matters most for
the examples that the model leans on, and always towards optimism: choosing λ by it drives λ to zero. The second is exact for
the squared loss. In both λW, the precision of the prior, is the same with and without the example, and `state` has to be at
the optimum on all of them.
"""

from __future__ import annotations

import numpy as np

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective

BLOCK = 1024  # rows whose leverages are formed at once: what they take is bounded


def first_order(objective: Objective, data: Data, state: newton.State) -> Array:
    """Losses (n,) of every example by first-order self-influence (44)."""
    model = objective.model
    f = model.outputs(state.theta, data.X)
    g = model.loss.gradient(f, data.y)
    return np.asarray(model.loss.value(f, data.y) + np.einsum("na,nab,nb->n", g, _leverages(model, data, state), g))


def leverage(objective: Objective, data: Data, state: newton.State) -> Array:
    """Losses (n,) of every example by the leverage-corrected step."""
    return objective.model.loss.value(outputs(objective, data, state), data.y)


def outputs(objective: Objective, data: Data, state: newton.State) -> Array:
    """f (n, k) of every example, by the leverage-corrected step, as of a model that never saw it.

    Not finite where the example alone determines an output: nothing is known of it without.
    """
    model = objective.model
    f, h = model.outputs(state.theta, data.X), _leverages(model, data, state)
    rest = np.eye(model.outputs_count) - h @ model.loss.curvature(f)
    moved = h @ model.loss.gradient(f, data.y)[:, :, None]
    if model.outputs_count == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(f + (moved / rest)[:, :, 0])
    return np.asarray(f + np.linalg.solve(rest, moved)[:, :, 0])


def mean(losses: Array, data: Data) -> float:
    """(1/W) Σ wᵢ ℓᵢ: what λ is chosen by (45)."""
    return float(data.w @ losses) / float(data.w.sum())


def _leverages(model: Model, data: Data, state: newton.State) -> Array:
    """h = wᵢ J A Jᵀ of every example, (n, k, k)."""
    starts = range(0, len(data.X), BLOCK)
    blocks = [model.covariance(state.theta, state.covariance, data.X[start : start + BLOCK]) for start in starts]
    return np.asarray(data.w[:, None, None] * np.concatenate(blocks))
