"""Test examples: the loss and the scalar gradient ∇ℓ·θ̇ = ∂ℓ/∂f · f′ on examples that a fit was not trained on (65)."""

from __future__ import annotations

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.regularity import compensated
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, objective


def losses_gradients(fit: Fit, test: Data) -> tuple[Array, Array]:
    """ℓ (n,) and ∇ℓ·θ̇ (n,), in units of the fit's own targets."""
    f, f_dot = fit.model.response(fit.theta, fit.log_tangent, test.X)
    loss = fit.model.loss
    return loss.value(f, test.y), (loss.gradient(f, test.y) * f_dot).sum(axis=1)


def mean_loss_gradient(fit: Fit, test: Data) -> tuple[float, float]:
    """Their weighted means: the loss in the labels' own units, the gradient in the fit's."""
    values, gradients = losses_gradients(fit, test)
    share = test.w / test.w.sum()
    return float(share @ values) * fit.frame.target_scale**2, float(share @ gradients)


def outer_gradient(state: State, settings: Settings, fit: Fit, gradient: float, test_weight: float) -> float:
    """A mean gradient by ρ over tests of this weight, with the compensated regularizer's term where that is asked for."""
    if not settings.compensated:
        return gradient
    parameters = int(objective(state, settings, fit.model, fit.frame).penalised.sum())
    return compensated.step(gradient, parameters, test_weight)
