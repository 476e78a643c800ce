"""The tuner: one state for ρ = log α, and which rule moves it.

validation      solver    rule
progressive     either    Adagrad on each new label's ∇ℓ·θ̇ before it is trained on (SGDF: capped too)
leave-one-out   exact     sign steps on the anchored leave-one-out loss by leverage; with SGDF: as progressive
holdout         exact     sign steps on the mean over the held-out examples, one a refit
holdout         SGDF      normalised steps, capped by c η λ a step
rotating        exact     Adagrad on the sum over the held-out fold, anchored, while that moves on with every refit
rotating        SGDF      as holdout, anchored, once θ has forgotten the fold; then the next one is held out
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from streamlearn.core.regularity import capped, progressive, sign
from streamlearn.core.regularity.progressive import Info


@final
@dataclass(frozen=True)
class State:
    """One rule acts; the others stand where they started and are handed ρ when the solver changes."""

    progressive: progressive.State
    sign: sign.State
    capped: capped.State
    log_precision: float
    gradient: float  # the last scalar gradient seen


def init(precision: float) -> State:
    start = progressive.init(precision)
    return State(start, sign.init(precision), capped.init(precision), start.log_precision, 0.0)


def on_label(state: State, gradient: float, bounds: tuple[float, float], change_most: float) -> State:
    """A new label was a test example."""
    rule = replace(state.progressive, log_precision=state.log_precision)
    rule, info = progressive.step(rule, gradient, bounds, change_most)
    return replace(_moved(state, rule.log_precision, info), progressive=rule)


def on_refit(state: State, gradient: float, bounds: tuple[float, float]) -> State:
    """An exact refit met the held-out examples."""
    rule, info = sign.step(replace(state.sign, log_precision=state.log_precision), gradient, bounds)
    return replace(_moved(state, rule.log_precision, info), sign=rule)


def on_fold(state: State, gradient: float, weight: float, bounds: tuple[float, float]) -> State:
    """An exact refit met the next fold, of this weight: every example of it is one test, as if by progressive validation."""
    rule = replace(state.progressive, log_precision=state.log_precision)
    rule, info = progressive.step(rule, gradient * weight, bounds)
    return replace(_moved(state, rule.log_precision, info), progressive=rule, gradient=gradient)


def on_steps(state: State, gradient: float, bounds: tuple[float, float], change_most: float) -> State:
    """A few SGDF steps met the held-out examples."""
    rule, info = capped.step(replace(state.capped, log_precision=state.log_precision), gradient, bounds, change_most)
    return replace(_moved(state, rule.log_precision, info), capped=rule)


def rescaled(state: State) -> State:
    """A quiet stream, and gradients far smaller than while it moved: `capped` takes its scale from here on."""
    return replace(state, capped=replace(state.capped, scale=0.0))


def _moved(state: State, log_precision: float, info: Info) -> State:
    return replace(state, log_precision=log_precision, gradient=info.gradient)
