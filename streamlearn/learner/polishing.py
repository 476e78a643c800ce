"""A network that has settled is polished: θ goes on to its optimum, and θ̇ to the solution of its equation there.

Steps bring both near. Their noise weighs most where L is flat, which the residual hardly sees but θ̇ lies along: on digits the
cosine of θ̇ with the solution of H θ̇ + λC = 0 was 0.4 at a residual of 0.2. Conjugate gradients on all kept examples find the
rest in a hundred products, which is no more than a round of steps. Where examples are so many that products are dear, steps
leave less noise, and it is left to them; also where H, or the conjugate gradients' budget, allows no better.
"""

from __future__ import annotations

from dataclasses import replace

from streamlearn.core import certificate, conjugate
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, objective

EXAMPLES_MOST = 4096
ROWS_MOST = 1 << 17  # that go through the network: products times examples
TOLERANCE, TANGENT_TOLERANCE = 0.1, 0.01  # ‖∇L‖/‖λC‖ and ‖Hθ̇ + λC‖/‖λC‖


def polished(state: State, settings: Settings) -> State:
    """The state with its fit, and the published one where that is another, at the optimum of what each is trained on."""
    fit, published = state.fit, state.published
    if fit is None or not fit.awake:
        return state
    new = _polished(state, settings, fit, "train" if settings.holdout else "all")
    if published is not None and published is not fit:
        return replace(state, fit=new, published=_polished(state, settings, published, "all"))
    return replace(state, fit=new, published=new)


def _polished(state: State, settings: Settings, fit: Fit, which: str) -> Fit:
    examples = data(state, settings, fit.frame, fit.end, which)
    assert fit.descent is not None
    if not 0 < len(examples.y) <= EXAMPLES_MOST:
        return fit
    whole, most = objective(state, settings, fit.model, fit.frame), ROWS_MOST / len(examples.y)
    start = conjugate.State(fit.theta, fit.log_tangent)
    new, info = conjugate.step(start, whole, examples, fit.regularity, TOLERANCE, TANGENT_TOLERANCE, most)
    before = whole.residual(fit.theta, fit.log_tangent, examples, fit.regularity)
    if not info.ok or not info.residual < before:
        return fit
    theta, log_tangent = (vector.astype(fit.theta.dtype, copy=False) for vector in (new.theta, new.log_tangent))
    descent = replace(fit.descent, theta=theta, log_tangent=log_tangent, mean_theta=theta, mean_log_tangent=log_tangent)
    judged = replace(certificate.solved(whole, theta, log_tangent, examples, fit.regularity), step=fit.certificate.step)
    return replace(
        fit,
        theta=theta,
        log_tangent=log_tangent,
        descent=descent,
        certificate=judged,
        loss=info.loss * fit.frame.target_scale**2,
    )
