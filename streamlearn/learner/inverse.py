"""H⁻¹ for query strategies, where no solver has left one behind: formed when it is looked at, and what stands in for it.

    linear, or a network of up to NETWORK_MOST parameters    (W H)⁻¹ of the whole, up to FORMED_MOST parameters
    a network beyond that, with a last linear layer          (W H)⁻¹ of that layer on what goes into it, up to FORMED_MOST
    else                                                     none; classes have the prior's similarity of pending queries

The last layer's parameters and α are the network's own, its examples the newest labeled ones. Its H⁻¹ is that of a linear
model: as if h(x) stayed where it is.

To form it takes W d² and d³: 0.24 s at 1,024 parameters on one slow core, 0.6 s at 1,500, once a fit; to score 128 events by it
9 and 17 ms (`benchmarks/large_models.py`). An exact fit is looked at many times, so what was formed is kept as long as fit and
examples are the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple, final

import numpy as np

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import LastLayer
from streamlearn.core.objective import Data, Objective
from streamlearn.learner import renewal, solver
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, objective, places
from streamlearn.queries import similarity
from streamlearn.queries.sight import Sight
from streamlearn.queries.similarity import Similarity
from streamlearn.queries.strategy import View

FORMED_MOST, NETWORK_MOST = 1024, solver.INVERSE_MOST


@final
class Newest(NamedTuple):
    """The newest labeled examples that a fit is of, and the weight of all of those."""

    sample: Data
    total: float


@final
class Formed(NamedTuple):
    """A covariance, and what it is of."""

    fit: Fit
    newest: Newest
    covariance: Array


def at_hand(fit: Fit) -> bool:
    """Whether strategies have H⁻¹ of the whole model or of its last layer."""
    return of_whole(fit) or _last_layer(fit) is not None


def of_whole(fit: Fit) -> bool:
    """Whether H⁻¹ is at hand: a solver left it behind, or the model is small enough for it to be formed."""
    if fit.covariance is not None or not isinstance(fit.model, Linear):
        return fit.covariance is not None or fit.model.size <= NETWORK_MOST
    return fit.solver != "newton" and fit.model.size <= FORMED_MOST  # Newton's method leaves none where there is none


def formed(state: State, settings: Settings, known: Formed | None = None) -> Formed | None:
    """(W H)⁻¹ of the model served, on its newest examples; `known`, where it is of the same. None where it is not formed:
    it is at hand already, too large, or H not positive definite.
    """
    fit = state.published
    if fit is None or fit.covariance is not None or not of_whole(fit):
        return None
    newest = _newest(state, settings, fit, 2 * fit.model.size if isinstance(fit.model, Linear) else 0)
    if known is not None and known.fit is fit and _same(known.newest, newest):
        return known
    whole = objective(state, settings, fit.model, fit.frame)
    covariance = _covariance(whole, fit.theta, newest, fit.regularity)
    return None if covariance is None else Formed(fit, newest, covariance)


def sight(seen: View, state: State, settings: Settings, by_last: bool = True) -> Sight:
    """What strategies look at that take H⁻¹, no query counted yet: the last layer, where H⁻¹ of the whole is not at hand.

    by_last: whether any of them takes that.
    """
    fit = state.published
    if fit is None or seen.covariance is not None:
        return Sight(seen)
    if isinstance(fit.model, Linear):
        whole, total = objective(state, settings, fit.model, fit.frame), _newest(state, settings, fit).total
        return Sight(replace(seen, similar=_similar(whole, fit.regularity * total)))
    last = fit.model.last_layer if by_last else None
    if last is None:
        return Sight(seen)
    newest = _newest(state, settings, fit)
    view = _of_last(seen, last, settings.penalty.intercept_precision, newest, fit.regularity)
    return Sight(seen, view, partial(last.rows, fit.theta))


def _of_last(seen: View, last: LastLayer, anchor: float, newest: Newest, regularity: float) -> View:
    """The last layer as a linear model of its own, on rows that go into it."""
    model = Linear(seen.model.loss, seen.model.outputs_count, last.columns)
    part = Objective(model, anchor, free=last.free)
    theta, tangent = (vector[last.at].astype(float) for vector in (seen.theta, seen.log_tangent))

    def entering(given: Data) -> Data:
        rows = last.rows(seen.theta, given.X) if len(given.y) else np.empty((0, last.columns))
        return Data(rows, given.y, given.w)

    view = View(model, theta, tangent, None, None, seen.references and entering(seen.references))
    if model.size > FORMED_MOST:
        return replace(view, similar=_similar(part, regularity * newest.total))
    covariance = _covariance(part, theta, newest._replace(sample=entering(newest.sample)), regularity)
    return replace(view, covariance=covariance, base_covariance=covariance)


def _newest(state: State, settings: Settings, fit: Fit, least: int = 0) -> Newest:
    """As many as a look at the model takes, but no fewer than `least`; in the frame of the fit."""
    kept, there = state.examples, places(state, settings, fit.end)
    rows = there[-max(renewal.SAMPLE, least) :]
    sample = Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])
    return Newest(sample, float(kept.weight[there].sum()))


def _covariance(part: Objective, theta: Array, newest: Newest, regularity: float) -> Array | None:
    """(W H)⁻¹; None where H is not positive definite."""
    sample = newest.sample
    if not sample.usable:
        return None
    try:
        solved = newton.derivatives(theta, part, sample, regularity)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(solved.covariance * (float(sample.w.sum()) / newest.total))


def _similar(part: Objective, alpha: float) -> Similarity | None:
    """Of a linear model's classes; None where R sees nothing of it."""
    seen = part.penalised[: part.model.columns] > 0.0  # the same of every output
    if not (part.model.loss.of_classes and seen.any() and alpha > 0.0):
        return None
    return similarity.none_pending(seen, alpha, part.model.outputs_count)


def _last_layer(fit: Fit) -> LastLayer | None:
    """Where its H⁻¹ can be formed."""
    last = fit.model.last_layer
    return last if last is not None and fit.model.outputs_count * last.columns <= FORMED_MOST else None


def _same(a: Newest, b: Newest) -> bool:
    pairs = ((a.sample.w, b.sample.w), (a.sample.X, b.sample.X))
    return a.total == b.total and all(np.array_equal(x, y) for x, y in pairs)
