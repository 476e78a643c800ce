"""A network that rests is polished: θ goes on to its optimum, and θ̇ to the solution of its equation there.

Steps bring both near. Their noise weighs most where L is flat, which the residual hardly sees but θ̇ lies along: on digits the
cosine of θ̇ with the solution of H θ̇ + λC = 0 was 0.4 at a residual of 0.2. Conjugate gradients on all kept examples find the
rest in a hundred products, which is no more than a round of steps or two. Where examples and parameters are so many that
products are dear, steps leave less noise, and it is left to them; so it is where H allows no better, and for a regularizer with
kinks, whose zeros conjugate gradients know nothing of.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core import certificate, conjugate, sgdf
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, data, objective

ROWS_MOST = 1 << 17  # that go through the network: products times examples
WORK_MOST = 4e9  # and these times parameters: about a second of a slow core
PRODUCTS_LEAST = 40  # fewer are not worth it
TOLERANCE, TANGENT_TOLERANCE = 0.1, 0.01  # ‖∇L‖/‖λC‖ and ‖Hθ̇ + λC‖/‖λC‖
TRAVELLED = 20.0  # over λ: the steps after which nothing is missing in any direction


def polished(state: State, settings: Settings) -> State:
    """The state with its fit, and the published one where that is another, at the optimum of what each is trained on."""
    fit, published = state.fit, state.published
    if fit is None or not fit.awake:
        return state
    new = _polished(state, settings, fit, "train" if settings.holdout else "all")
    if published is not None and published is not fit:
        return replace(state, fit=new, published=_polished(state, settings, published, "all"))
    return replace(state, fit=new, published=new)


def products_most(examples: int, size: int) -> float:
    """How many products with H may be taken for so many examples and parameters."""
    return min(ROWS_MOST, WORK_MOST / size) / max(examples, 1)


def _polished(state: State, settings: Settings, fit: Fit, which: str) -> Fit:
    examples, whole = data(state, settings, fit.frame, fit.end, which), objective(state, settings, fit.model, fit.frame)
    most = products_most(len(examples.y), fit.model.size)
    if not len(examples.y) or not whole.regularizer.smooth or most < PRODUCTS_LEAST:
        return fit
    start = conjugate.State(fit.theta, fit.log_tangent)
    new, info = conjugate.step(start, whole, examples, fit.regularity, TOLERANCE, TANGENT_TOLERANCE, most)
    if not info.ok or not info.residual < whole.residual(fit.theta, fit.log_tangent, examples, fit.regularity):
        return fit
    theta, log_tangent = (vector.astype(fit.theta.dtype, copy=False) for vector in (new.theta, new.log_tangent))
    judged = certificate.solved(whole, theta, log_tangent, examples, fit.regularity)
    return replace(
        fit,
        theta=theta,
        log_tangent=log_tangent,
        descent=_onwards(fit, conjugate.State(theta, log_tangent)),
        certificate=replace(judged, step=fit.certificate.step),
        loss=info.loss * fit.frame.target_scale**2,
    )


def _onwards(fit: Fit, found: conjugate.State) -> sgdf.State:
    """What steps go on from: there, with means of gradients that are near zero there, and a tangent that is complete."""
    before = fit.descent
    assert before is not None
    scaling = before.scaling
    if scaling is not None:
        scaling = replace(scaling, mean=np.zeros_like(scaling.mean), mean_tangent=np.zeros_like(scaling.mean_tangent))
    return replace(
        before,
        theta=found.theta,
        log_tangent=found.log_tangent,
        mean_theta=found.theta,
        mean_log_tangent=found.log_tangent,
        travel=max(before.travel, TRAVELLED / fit.regularity),
        scaling=scaling,
    )
