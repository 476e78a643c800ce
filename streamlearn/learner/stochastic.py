"""The stochastic solver: every label brings a fixed number of SGDF steps on batches that mix it with stored ones.

A tangent needs several passes to converge, so the labeled set is replayed; labels are scarce and compute is not, so a quiet
stream is used to go on (`settle`) until the tangent solves its equation and λ rests. Batches are drawn by a counter-based
generator keyed by seed and serial, its counter the number of steps: the random state is in the state. Step size, frame and
residual are renewed (`renewal.py`) whenever the number of labels has grown by a sixteenth, and between rounds of settling.

The running means of the iterates take the noise away; a network's do not: what bends with θ has another mean than at the mean
of θ, by as much as the step is long. While a network settles, its step falls from round to round with the root of their number,
and at a residual of a fifth, below which steps of any size that get anywhere leave noise, it is polished (`polishing.py`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamlearn.core import preconditioners, sgdf
from streamlearn.core.objective import Data
from streamlearn.core.regularity import capped
from streamlearn.learner import everybody, polishing, tuner
from streamlearn.learner.fit import Fit
from streamlearn.learner.renewal import exploded, renewed, sampled, weight
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import FORGOTTEN, State, data, newest, objective, regularity, turned, weights_of
from streamlearn.learner.testing import anchored, mean_loss_gradient, outer_gradient, testing_weight

PASSES = 10  # that the running means of the iterates reach back
SETTLE_TIMES, SETTLE_ROUNDS_MOST = 64, 60  # times steps_per_label steps in a round of settling, and rounds
RESTING, SOLVED = 0.02, 0.05  # change of ρ in a round, and residual, at which nothing is left to gain
SOLVED_NETWORK = 0.2  # that residual of a network


def learn(state: State, settings: Settings, serial: int) -> State:
    """The steps that the label `serial` brings."""
    renew = state.fit is None or state.labels >= state.fit.rated_at + state.fit.rated_at // 16 + 1
    renew = renew or (settings.network and state.settled > 0)  # the step is whole again
    state = turned(state, settings) if state.forgetting <= -FORGOTTEN else state
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is counted
        new = _round(replace(state, settled=0), settings, serial, renew, settings.holdout)
    return everybody.followed(new, settings, state.fit)


def settle(state: State, settings: Settings) -> State:
    """One round of settling; `unfitted` is 0 when nothing is left to gain, or after `SETTLE_ROUNDS_MOST` of them."""
    before, serial, old = state.tuner.log_precision, state.examples.end, state.fit
    if state.settled == 0:
        state = replace(state, tuner=tuner.rescaled(state.tuner))
    always_out = settings.validation == "holdout"  # with one fold of several, ρ would settle on that fold's best
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(SETTLE_TIMES):
            state = _round(state, settings, serial, renew=number == 0, tunes=always_out)
    state = everybody.followed(state, settings, old)
    rests = abs(state.tuner.log_precision - before) < RESTING
    solved = SOLVED_NETWORK if settings.network else SOLVED
    at_rest = rests and state.failing == 0 and state.fit is not None and state.fit.residual < solved
    settled = state.settled + 1
    if not at_rest and state.failing == 0 and settled < SETTLE_ROUNDS_MOST:
        return replace(state, settled=settled)
    if at_rest and settings.network:
        state = polishing.polished(state, settings)
    return replace(state, settled=settled, unfitted=0)


def memory_of(state: State, settings: Settings) -> int:
    """How many steps the running means of the iterates reach back; while settling, over the last half of it."""
    settling = state.settled * SETTLE_TIMES * settings.steps_per_label // 2
    return max(64, PASSES * len(state.examples) // settings.batch_size, settling)


def change_most(state: State, settings: Settings, fit: Fit) -> float:
    """How far `steps_per_label` steps may move ρ, so that λ does not outrun θ."""
    return settings.steps_per_label * capped.cap(_pace(fit), fit.regularity, memory_of(state, settings))


def _pace(fit: Fit) -> float:
    """The step size in θ's slowest coordinate, which has the largest divisor."""
    assert fit.descent is not None
    divisor = preconditioners.named(fit.optimizer).divisor(fit.descent.scaling)
    return fit.rate if divisor is None else fit.rate / float(divisor.max())


def _round(state: State, settings: Settings, serial: int, renew: bool, tunes: bool) -> State:
    """`steps_per_label` steps of the fit that tunes λ, a step of ρ with a hold-out, and of the published fit with it."""
    shape = (state.problem.outputs, 1 + len(state.columns.columns))
    renew = renew or state.fit is None or state.fit.descent is None or _shape(state.fit) != shape
    renew = renew or (state.fit is not None and state.fit.optimizer != settings.optimizer) or state.failing > 0
    which = "train" if settings.holdout else "all"
    if settings.validation == "rotating" and not weights_of(state, settings, which)[newest(state, settings)].any():
        state = turned(state, settings)
    fit = renewed(state, settings, state.fit, which) if renew else state.fit
    if fit is None:
        return replace(state, skipped=state.skipped + 1, failing=state.failing + 1)
    restarts = state.restarts + int(renew and exploded(fit.certificate))
    fit, ok, again = _descended(state, settings, fit, which, serial)
    state = replace(state, restarts=restarts + again)
    published: Fit | None = fit
    if settings.holdout:
        state = _tested(state, settings, fit, tunes)
        start = state.published if state.published and _shape(state.published) == shape and not renew else None
        start = start or renewed(state, settings, state.published, "all")
        published = start and _descended(state, settings, start, "all", serial)[0]
    state = replace(state, fit=fit, published=published or fit)
    if not ok:
        return replace(state, skipped=state.skipped + 1, failing=state.failing + 1)
    return replace(state, updates=state.updates + 1, failing=0)


def _shape(fit: Fit) -> tuple[int, int]:
    """Outputs and columns."""
    return fit.model.outputs_count, fit.model.columns


def _descended(state: State, settings: Settings, fit: Fit, which: str, serial: int) -> tuple[Fit, bool, bool]:
    """`steps_per_label` steps; whether all were finite, and whether the tangent exploded and starts again."""
    kept, descent, ok = state.examples, fit.descent, True
    assert descent is not None
    n, whole = len(kept), objective(state, settings, fit.model, fit.frame)
    first = max(0, n - settings.keep) if settings.keep else 0
    key = np.array([settings.seed & 0xFFFFFFFFFFFFFFFF, serial], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=descent.steps))
    drawn = generator.integers(first, n, size=(settings.steps_per_label, settings.batch_size))
    drawn[0, 0] = min(serial - kept.first, n - 1)
    weights = weights_of(state, settings, which)
    total, memory = weight(state, settings, which), memory_of(state, settings)
    lam, preconditioner = regularity(state, settings, total), preconditioners.named(settings.optimizer)
    for batch in drawn:
        settings.alive()
        w = weights[batch]
        if not w.any():
            continue
        examples = Data(fit.frame.design(kept.X[batch]), fit.frame.targets(kept.target[batch]), w)
        descent, info = sgdf.step(descent, whole, examples, total, lam, fit.rate, memory, preconditioner, not fit.awake)
        ok &= info.ok
    restarts = sgdf.exploded(descent, whole)
    if restarts:
        descent, fit = sgdf.restart_tangent(descent), replace(fit, rate=0.5 * fit.rate)
    theta, log_tangent = descent.mean_theta, descent.mean_log_tangent
    fit = replace(
        fit, theta=theta, log_tangent=log_tangent, descent=descent, regularity=lam, end=kept.end, weight=total
    )
    return fit, ok, restarts


def _tested(state: State, settings: Settings, fit: Fit, tunes: bool) -> State:
    """The loss on the held-out examples, and where that `tunes` a step of ρ, once θ has forgotten them.

    In its weakest direction θ relaxes at the rate ηλ; until then it prefers too little λ, which would feed itself.
    """
    state = replace(state, forgetting=state.forgetting - settings.steps_per_label * _pace(fit) * fit.regularity)
    test = sampled(data(state, settings, fit.frame, state.examples.end, "test"))
    if state.forgetting > 0.0 or not len(test.y):
        return state
    loss, gradient = mean_loss_gradient(fit, test)
    if not (tunes and settings.learn_regularity):
        return replace(state, test_loss=loss)
    total = testing_weight(state, settings)
    gradient = outer_gradient(state, settings, fit, gradient, total)
    if settings.validation == "rotating":
        gradient = anchored(state, fit, gradient, total)
    most = change_most(state, settings, fit)
    return replace(state, tuner=tuner.on_steps(state.tuner, gradient, settings.bounds, most), test_loss=loss)
