"""Why an event was asked about, or was not: what the model and the strategy make of it as things stand.

    score        with all other unanswered queries counted, and alone with none; against the threshold and the last scores
    moved by     each feature in turn is taken away (as if it had been missing): the score that is left
    nearest      the labeled examples by influence: what each has done to the output at x, −w_j J A ∇ℓ_j to first order   (36)

A = (W H)⁻¹ where it is at hand; else A Jᵀ is found by conjugate gradients, one product with H at a time. With classes the
output is f_a − f_b of the two likeliest: a positive influence speaks for the likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from streamlearn.core import conjugate
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.errors import ConfigurationError
from streamlearn.learner import columns, examples, problem
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State, objective, places
from streamlearn.queries.decision import directions, likeliest
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import View
from streamlearn.service.asking import finite, predicted
from streamlearn.service.ledger import row
from streamlearn.service.pipeline import Pipeline

NEAREST, FEATURES = 5, 8
ENOUGH = 1e-3  # ‖H v − b‖/‖b‖ of the direction along which influence is read


@final
@dataclass(frozen=True)
class Explained:
    """One event. stands: `asked`, `labeled` or `remembered`; share_below: of the last scores that are below its own.

    moved_by: (feature, score without it); nearest: (id, label, influence on the output) — both the strongest first.
    user: whose it is, by whose model all of this is; "": nobody's; labels_of_user: how many they have.
    """

    id: str
    stands: str
    reason: str | None
    label: problem.Label | None
    prediction: problem.Label | None
    probabilities: dict[str, float]
    strategy: str
    score: float | None
    score_alone: float | None
    threshold: float | None
    share_below: float | None
    moved_by: list[tuple[str, float]]
    nearest: list[tuple[str, problem.Label, float]]
    user: str = ""
    labels_of_user: int = 0


def explain(pipeline: Pipeline, id: str) -> Explained:
    """Raises ConfigurationError where nothing is kept of this event."""
    standing, state = pipeline.standing, pipeline.state
    stands, x, user = _found(pipeline, id)
    asked, serial = pipeline.ledger.pending.get(id), pipeline.ledger.labeled.get(id)
    fit, asking = state.published, standing.asking
    strategies = asking.strategies(state)
    told = Explained(
        id=id,
        stands=stands,
        reason=asked.reason if asked else None,
        label=None if serial is None else state.examples.y[serial - state.examples.first],
        prediction=None,
        probabilities={},
        strategy=strategies[0].name,
        score=None,
        score_alone=None,
        threshold=finite(asking.selector.threshold),
        share_below=None,
        moved_by=[],
        nearest=[],
        user=user if asking.deviations else "",
        labels_of_user=len(examples.of_user(state.examples, user)) if asking.deviations else 0,
    )
    seen = asking.outlook.look(state, pipeline.ledger, strategies, without=id)
    if fit is None or seen is None:
        return told
    rows, names = _without_each_feature(state, x)
    draw = np.zeros(len(rows))
    acting = strategies[:1]
    by_user, carried = _by_user(pipeline, seen, fit.frame.design(rows), user, id if acting[0].needs_inverse else None)
    scores = by_user.scores(acting, carried, draw)[0]
    last = asking.selector.window[: min(asking.selector.written, len(asking.selector.window))]
    X = fit.frame.design(x[None, :])
    alone = by_user.without_pending(fit.log_tangent).scores(acting, carried[:1], draw[:1])[0, 0]
    f = by_user.whole.model.outputs(fit.theta, carried[:1])
    p = fit.model.loss.probabilities(f)[0]
    moved = sorted(zip(names, scores[1:].tolist(), strict=True), key=lambda each: -abs(each[1] - scores[0]))
    return replace(
        told,
        prediction=predicted(state, fit, float(fit.model.loss.prediction(f)[0])),
        probabilities={str(label): float(each) for label, each in zip(state.problem.classes, p, strict=False)},
        score=finite(scores[0]),
        score_alone=finite(alone),
        share_below=float((last < scores[0]).mean()) if len(last) and np.isfinite(scores[0]) else None,
        moved_by=moved[:FEATURES] if np.isfinite(scores).all() else [],
        nearest=_nearest(pipeline, fit, seen.whole, X, f)[:NEAREST],
    )


def as_object(told: Explained) -> dict[str, Any]:
    """For programs."""
    moved = [{"feature": name, "score_without": score} for name, score in told.moved_by]
    nearest = [{"id": id, "label": label, "influence": value} for id, label, value in told.nearest]
    return {**vars(told), "moved_by": moved, "nearest": nearest}


def _by_user(pipeline: Pipeline, seen: Sight, X: Array, user: str, without: str | None) -> tuple[Sight, Array]:
    """What is seen of design rows X (n, D), all of them this user's.

    without: the query that is not counted; None: it is not looked at what is not known of the user.
    """
    asking = pipeline.standing.asking
    if asking.deviations is None:
        return seen, X
    asked = None if without is None else asking.outlook.asked_of(pipeline.ledger, without)
    return asking.deviations.carried(seen, X, pipeline.state, [user] * len(X), 0, asked)


def _found(pipeline: Pipeline, id: str) -> tuple[str, Array, str]:
    """How the event stands, its features (columns,) and its user."""
    state, ledger = pipeline.state, pipeline.ledger
    serial = ledger.labeled.get(id)
    if serial is not None:
        place = serial - state.examples.first
        return "labeled", np.array(state.examples.X[place]), state.examples.user[place]
    if id in ledger.pending:
        pending = ledger.pending[id]
        return "asked", np.array(columns.widen(state.columns, row(pending.x))[0]), pending.user
    found = pipeline.recall([id]).get(id) if ledger.knows(id) else None
    if found is None:
        raise ConfigurationError(
            f"nothing is kept of event {id!r}: it is neither asked, labeled, nor among the last labels.remember events"
        )
    return "remembered", np.array(columns.widen(state.columns, row(found.x))[0]), found.user


def _without_each_feature(state: State, x: Array) -> tuple[Array, list[str]]:
    """The row as it is, then once without each feature that it has: (1 + features, columns), and their names."""
    there: dict[str, list[int]] = {}
    missing = columns.NO_TOKEN if state.columns.vocabulary else np.nan
    for place, (name, _) in enumerate(state.columns.columns):
        if not np.isnan(x[place]) and x[place] != missing:
            there.setdefault(name, []).append(place)
    rows = np.repeat(x[None, :], 1 + len(there), axis=0)
    for i, columns_of in enumerate(there.values(), start=1):
        rows[i, columns_of] = missing
    return rows, list(there)


def _nearest(pipeline: Pipeline, fit: Fit, view: View, X: Array, f: Array) -> list[tuple[str, problem.Label, float]]:
    """Labeled examples by what they have done to the output at the design row X (1, D), where it is f (1, k), the strongest
    first: by way of the model that all share."""
    state, settings, model = pipeline.state, pipeline.standing.rules.learner, fit.model
    kept, ids = state.examples, {serial: id for id, serial in pipeline.ledger.labeled.items()}
    rows = places(state, settings, fit.end)
    rows = rows[fit.knows(kept.target[rows])]  # one may be of another class by now
    labeled = Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])
    towards = _towards(f, model.loss.of_classes)
    b = model.pulled(fit.theta, towards[:, :, None], X)[:, 0]
    if view.base_covariance is not None:
        v = view.base_covariance @ b
    else:
        whole = objective(state, settings, model, fit.frame)
        v, _ = conjugate.solve(whole.linearised(fit.theta, labeled, fit.regularity), b, tolerance=ENOUGH)
        v = v / float(labeled.w.sum())
    theirs, moved = model.response(fit.theta, v, labeled.X)
    influence = -labeled.w * (model.loss.gradient(theirs, labeled.y) * moved).sum(axis=1) * fit.frame.target_scale
    order = np.argsort(-np.abs(influence), kind="stable")
    return [(ids[kept.first + int(rows[i])], kept.y[rows[i]], float(influence[i])) for i in order]


def _towards(f: Array, of_classes: bool) -> Array:
    """The direction among the outputs f (1, k) whose move is read: from the second to the likeliest class."""
    if f.shape[1] == 1:
        return np.array([[-1.0 if of_classes and f[0, 0] < 0.0 else 1.0]])
    return directions(likeliest(f), f.shape[1])
