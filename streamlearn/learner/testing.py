"""Test examples: the loss and the scalar gradient ∇ℓ·θ̇ = ∂ℓ/∂f · f′ on examples that a fit was not trained on (65).

Or on those that it was trained on, as if each had not been (`leave_one_out`); anchored, for they may be few.
"""

from __future__ import annotations

import numpy as np

from streamlearn.core import newton, validation
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.regularity import compensated
from streamlearn.core.users.deviation import Deviation, response
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, newest, objective, weights_of


def losses_gradients(fit: Fit, test: Data, own: Deviation | None = None) -> tuple[Array, Array, Array]:
    """ℓ (n,) and ∇ℓ·θ̇ (n,), in units of the fit's own targets, and outputs (n, k); own: the deviation of whose examples these
    are."""
    if own is None:
        f, f_dot = fit.model.response(fit.theta, fit.log_tangent, test.X)
    else:
        f, f_dot = response(fit.model, fit.theta, fit.log_tangent, test.X, own)
    loss = fit.model.loss
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out of every mean
        return loss.value(f, test.y), (loss.gradient(f, test.y) * f_dot).sum(axis=1), f


def mean_loss_gradient(fit: Fit, test: Data) -> tuple[float, float]:
    """Their weighted means: the loss in the labels' own units, the gradient in the fit's."""
    values, gradients, _ = losses_gradients(fit, test)
    share = test.w / test.w.sum()
    return float(share @ values) * fit.frame.target_scale**2, float(share @ gradients)


def leave_one_out_gradient(state: State, settings: Settings, fit: Fit, train: Data) -> float:
    """The mean gradient by ρ over the training examples, each left out."""
    assert fit.covariance is not None, "an exact fit has its covariance"
    solved = newton.State(fit.theta, fit.log_tangent, fit.covariance)
    return validation.gradient(objective(state, settings, fit.model, fit.frame), train, solved, fit.regularity)


def natural_scale(state: State, fit: Fit) -> float:
    """The natural scale of the loss: the rules' constants are meant for losses around 1."""
    if fit.model.loss.name != "squared" or fit.frame.standardise:
        return 1.0
    kept = state.examples
    return max(float(kept.target[: len(kept)].var()), 1e-12)


def anchored(state: State, fit: Fit, gradient: float, test_weight: float) -> float:
    """A mean gradient by ρ over tests of this weight in all, with the pull of the anchor: for where tests may be few."""
    return gradient + validation.anchor_gradient(state.tuner.log_precision) * natural_scale(state, fit) / test_weight


def outer_gradient(state: State, settings: Settings, fit: Fit, gradient: float, test_weight: float) -> float:
    """A mean gradient by ρ over tests of this weight, with the compensated regularizer's term where that is asked for."""
    if not settings.compensated:
        return gradient
    parameters = int(objective(state, settings, fit.model, fit.frame).penalised.sum())
    return compensated.step(gradient, parameters, test_weight)


def testing_weight(state: State, settings: Settings) -> float:
    """The weight of all examples that are tests: those held out, or all where each is in turn."""
    which = "test" if settings.validation == "holdout" else "all"
    return float(weights_of(state, settings, which)[newest(state, settings)].sum())
