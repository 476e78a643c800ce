"""The stochastic solver: every label brings a fixed number of SGDF steps on batches that mix it with stored ones.

A tangent needs several passes to converge, so the labeled set is replayed; labels are scarce and compute is not, so a quiet
stream is used to go on (`settle`) until the tangent solves its equation and λ rests. Batches are drawn by a counter-based
generator keyed by seed and serial, its counter the number of steps: the random state is in the state. Step size, frame and
residual are renewed whenever the number of labels has grown by a sixteenth, and between rounds of settling.

The step is half the critical one. With Adagrad and Adam it is that of the coordinates that their divisor D makes, which starts
from the squares that a batch's gradient is expected to have: so they need no rate either, and none of them can explode before D
is known. As the step is renewed with D, Adagrad's does not fade; what it is there for, the noise, the running means take away.

Of a network they do not: what bends with θ has another mean than at the mean of θ, by as much as the step is long. While it
settles, its step falls from round to round with the root of their number, and a residual of a fifth will do: below that, steps
of any size that get anywhere leave noise.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from streamlearn.core import certificate, losses, preconditioners, sgdf
from streamlearn.core.certificate import Certificate
from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularity import capped
from streamlearn.learner import penalty, tuner
from streamlearn.learner.fit import Fit, Frame, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import (
    FORGOTTEN,
    State,
    data,
    frame,
    newest,
    objective,
    regularity,
    turned,
    weights_of,
)
from streamlearn.learner.testing import anchored, mean_loss_gradient, outer_gradient, testing_weight

SAMPLE = 512  # newest examples that step size and residual are taken from
PASSES = 10  # that the running means of the iterates reach back
SETTLE_TIMES, SETTLE_ROUNDS_MOST = 64, 60  # times steps_per_label steps in a round of settling, and rounds
RESTING, SOLVED = 0.02, 0.05  # change of ρ in a round, and residual, at which nothing is left to gain
SOLVED_NETWORK = 0.2  # that residual of a network
RESIDUAL_MOST = 10.0  # beyond, the tangent has exploded: it starts again at a smaller step


def learn(state: State, settings: Settings, serial: int) -> State:
    """The steps that the label `serial` brings."""
    renew = state.fit is None or state.labels >= state.fit.rated_at + state.fit.rated_at // 16 + 1
    renew = renew or (settings.network and state.settled > 0)  # the step is whole again
    state = turned(state, settings) if state.forgetting <= -FORGOTTEN else state
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is counted
        return _round(replace(state, settled=0), settings, serial, renew, settings.holdout)


def settle(state: State, settings: Settings) -> State:
    """One round of settling; `unfitted` is 0 when nothing is left to gain, or after `SETTLE_ROUNDS_MOST` of them."""
    before, serial = state.tuner.log_precision, state.examples.end
    if state.settled == 0:
        state = replace(state, tuner=tuner.rescaled(state.tuner))
    always_out = settings.validation == "holdout"  # with one fold of several, ρ would settle on that fold's best
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(SETTLE_TIMES):
            state = _round(state, settings, serial, renew=number == 0, tunes=always_out)
    rests = abs(state.tuner.log_precision - before) < RESTING
    solved = SOLVED_NETWORK if settings.network else SOLVED
    done = state.failing > 0 or (rests and state.fit is not None and state.fit.residual < solved)
    settled = state.settled + 1
    return replace(state, settled=settled, unfitted=0 if done or settled >= SETTLE_ROUNDS_MOST else state.unfitted)


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
    fit = _renewed(state, settings, state.fit, which) if renew else state.fit
    if fit is None:
        return replace(state, skipped=state.skipped + 1, failing=state.failing + 1)
    exploded = renew and _exploded(fit.certificate)
    fit, ok, again = _descended(state, settings, fit, which, serial)
    state = replace(state, restarts=state.restarts + exploded + again)
    published: Fit | None = fit
    if settings.holdout:
        state = _tested(state, settings, fit, tunes)
        start = state.published if state.published and _shape(state.published) == shape and not renew else None
        start = start or _renewed(state, settings, state.published, "all")
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
    drawn[0, 0] = n - 1
    weights = weights_of(state, settings, which)
    total, memory = _weight(state, settings, which), memory_of(state, settings)
    lam, preconditioner = regularity(state, settings, total), preconditioners.named(settings.optimizer)
    for batch in drawn:
        w = weights[batch]
        if not w.any():
            continue
        examples = Data(fit.frame.design(kept.X[batch]), fit.frame.targets(kept.target[batch]), w)
        descent, info = sgdf.step(descent, whole, examples, total, lam, fit.rate, memory, preconditioner, not fit.awake)
        ok &= info.ok
    exploded = sgdf.exploded(descent, whole)
    if exploded:
        descent, fit = sgdf.restart_tangent(descent), replace(fit, rate=0.5 * fit.rate)
    theta, log_tangent = descent.mean_theta, descent.mean_log_tangent
    return (
        replace(fit, theta=theta, log_tangent=log_tangent, descent=descent, regularity=lam, end=kept.end),
        ok,
        exploded,
    )


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


def _weight(state: State, settings: Settings, which: str) -> float:
    """W of the kept examples that are trained on."""
    return max(float(weights_of(state, settings, which)[newest(state, settings)].sum()), 1e-12)


def _renewed(state: State, settings: Settings, old: Fit | None, which: str) -> Fit | None:
    """The fit in the frame of this moment, with its step size, residual, training loss and noise."""
    new_frame = frame(state, settings)
    model = settings.architecture.model(
        losses.named(state.problem.loss), state.problem.outputs, 1 + len(new_frame.scaling.shift)
    )
    examples = sampled(data(state, settings, new_frame, state.examples.end, which))
    if not len(examples.y):
        return None
    beginning = penalty.start(settings.penalty, state.columns, state.problem, model, examples)
    descent = _begun(old, model, new_frame, examples, beginning)
    lam = regularity(state, settings, _weight(state, settings, which))
    whole, preconditioner = objective(state, settings, model, new_frame), preconditioners.named(settings.optimizer)
    theta, log_tangent, batch_size = descent.mean_theta, descent.mean_log_tangent, settings.batch_size
    known = old is not None and old.optimizer == settings.optimizer and descent.scaling is not None
    if settings.optimizer != "sgd" and not known:
        square = sgdf.gradient_square(whole, examples, lam, batch_size, theta)
        descent = replace(descent, scaling=preconditioner.init(square))
    divisor = preconditioner.divisor(descent.scaling)
    critical = sgdf.critical_rate(whole, examples, lam, batch_size, theta, divisor)
    rate = settings.learning_rate or 0.5 * critical
    if settings.network:
        rate /= math.sqrt(1 + state.settled)
    judged = _judged(whole, descent, examples, lam, rate / critical, old, divisor)
    awake = settings.tangent == "at-once" or (old is not None and old.awake) or _settled(whole, theta, examples, lam)
    if _exploded(judged):
        descent, rate = sgdf.restart_tangent(descent), 0.5 * rate
    elif awake and old is not None and not old.awake:
        descent = sgdf.restart_tangent(descent)
    loss, _ = model.gradient(theta, examples.X, examples.y, examples.w)
    if state.problem.loss == "squared":
        noise = losses.noise(model.outputs(theta, examples.X), examples.y, examples.w)
        model = model.with_loss(losses.Squared(noise))
    return Fit(
        model=model,
        frame=new_frame,
        theta=theta,
        log_tangent=log_tangent,
        covariance=None,
        regularity=lam,
        end=state.examples.end,
        certificate=judged,
        loss=loss * new_frame.target_scale**2,
        solver="sgdf",
        descent=descent,
        rate=rate,
        rated_at=state.labels,
        optimizer=settings.optimizer,
        awake=awake,
    )


def _exploded(judged: Certificate) -> bool:
    """Whether the tangent starts again: not a number has exploded too."""
    return not judged.residual <= RESIDUAL_MOST


def _settled(whole: Objective, theta: Array, sample: Data, lam: float) -> bool:
    """Whether θ is about as near its optimum as a λ e times as large would move it."""
    _, gradient = whole.value_gradient(theta, sample, lam)
    return bool(np.linalg.norm(gradient) <= lam * np.linalg.norm(whole.complexity_gradient(theta)))


def _judged(
    whole: Objective, descent: sgdf.State, sample: Data, lam: float, step: float, old: Fit | None, divisor: Array | None
) -> Certificate:
    """The certificate of the running mean; `step` of the critical size."""
    slowest = 1.0 if divisor is None else float(divisor.max())
    before = old.certificate.norm if old else 0.0
    theta, log_tangent, travel = descent.mean_theta, descent.mean_log_tangent, descent.travel / slowest
    return certificate.stepped(whole, theta, log_tangent, sample, lam, travel, step, before)


def _begun(old: Fit | None, model: Model, new_frame: Frame, examples: Data, beginning: Array) -> sgdf.State:
    """Where SGDF goes on from: where it was, but where a loss without bounds has exploded, from the beginning."""
    fresh = sgdf.init(beginning)
    if old is None:
        return fresh
    carried = _carried(old, model, new_frame)
    if math.isfinite(model.loss.steepest):
        return carried
    before, after = (
        model.gradient(theta, examples.X, examples.y, examples.w)[0] for theta in (fresh.theta, carried.mean_theta)
    )
    return carried if after <= before else fresh


def _carried(old: Fit, model: Model, new_frame: Frame) -> sgdf.State:
    """The iterates of `old` in the new frame; an exact fit's θ and θ̇ are where SGDF goes on from.

    The preconditioner's running means stay as they are while there are no new parameters: frames move on by little.
    """
    d = old.descent or sgdf.init(old.theta, old.log_tangent)
    return sgdf.State(
        adapted(old, d.theta, model, new_frame, True),
        adapted(old, d.log_tangent, model, new_frame, False),
        adapted(old, d.mean_theta, model, new_frame, True),
        adapted(old, d.mean_log_tangent, model, new_frame, False),
        d.steps,
        d.travel,
        d.scaling if old.model.size == model.size else None,
    )


def sampled(examples: Data) -> Data:
    """The newest of them, as many as a look at the model takes."""
    return Data(examples.X[-SAMPLE:], examples.y[-SAMPLE:], examples.w[-SAMPLE:])
