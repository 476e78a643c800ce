"""Query by committee: where do models disagree that have been trained on resamples of the labels?

Bagging draws a resample in which labeled example i occurs cᵢ times, c ~ Poisson(1), and trains a member on it. No member
has to be trained: example i weighs (cᵢ − 1) wᵢ more than before, and what one more label does to θ is its influence (36), so to
first order a member is

    θ_m = θ + Σᵢ (c_im − 1) wᵢ · (−A ∇ℓᵢ)

a tangent at the one fit that there is: a committee for one product with A. The sum is over the references: members differ in
what the newest labels said. The counts are the same at every call, so a score depends on the view alone.

The score is the mean divergence of the members from their consensus, the mean of their predictions:

    classes   mean_m Σ_c p_mc log(p_mc/p̄_c)
    counts    mean_m KL(Poisson(r_m) ‖ Poisson(r̄)) = mean_m r_m log(r_m/r̄)
    values    the variance of f_m, to which the divergence of normals of one variance is proportional
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array, Loss
from streamlearn.core.objective import Data
from streamlearn.queries.strategy import Strategy, View

MEMBERS, SEED = 8, 20_241_115
TINY = 1e-300


@final
class Committee(Strategy):
    name = "committee"
    needs_inverse: ClassVar[bool] = True
    needs_references: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.covariance is None or view.references is None:
            return np.full(len(X), np.nan)
        steps = view.covariance @ _pushes(view, view.references)
        f = view.model.outputs(view.theta, X)[:, :, None] + view.model.responses(view.theta, steps, X)
        return _disagreement(view.model.loss, f)


def _pushes(view: View, references: Data) -> Array:
    """−Σᵢ (c_im − 1) wᵢ ∇ℓᵢ of every member, (d, members)."""
    generator = np.random.Generator(np.random.Philox(key=SEED))
    counts = generator.poisson(1.0, size=(len(references.y), MEMBERS))
    gradients = view.model.example_gradients(view.theta, references.X, references.y)
    return gradients.T @ ((1.0 - counts) * references.w[:, None])


def _disagreement(loss: Loss, f: Array) -> Array:
    """Mean divergence from the consensus, (n,), of members with outputs f (n, k, members)."""
    n, k, members = f.shape
    if loss.name == "squared":
        return np.asarray(f[:, 0].var(axis=1))
    rows = f.transpose(0, 2, 1).reshape(n * members, k)
    means = loss.probabilities(rows) if loss.of_classes else loss.prediction(rows)[:, None]
    means = means.reshape(n, members, -1)
    consensus = means.mean(axis=1, keepdims=True)
    logs = np.log(np.maximum(means, TINY) / np.maximum(consensus, TINY))
    return np.asarray((means * logs).sum(axis=2).mean(axis=1))
