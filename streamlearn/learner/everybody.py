"""What a fit knows of all users at once: how they differ (personality), or θ₀ and their precisions (gamma-normal, hierarchy).

It is learned when the labels have grown by an eighth since it last was, and with the next fit when an example was forgotten, so
that nothing is left of it. Then it is found from the examples as if nothing had been known. Between, it goes on in the
parameters of every new fit. As part of the fit it is committed, and comes back with it.

What it takes has bounds. Of personalities the deviations of `USERS_MOST` users count, those who have most labels. Where
everybody is solved for, it is as many as have `NUMBERS_MOST` parameters, or `SQUARES_MOST` numbers in their Hessians, which is
2 s of a slow core; the labels of all others count as those of one user, nobody, and they have the precision that anybody has.
Of a model of more than `SIZE_MOST` parameters nobody is solved for, and all have the one that all share.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data
from streamlearn.core.users import personality, together
from streamlearn.core.users.deviation import Prior
from streamlearn.core.users.groups import grouped
from streamlearn.core.users.together import Together
from streamlearn.learner import deviation, examples, penalty
from streamlearn.learner.fit import Fit, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State, places

USERS_MOST, EXAMPLES_MOST = 200, 100  # that directions are learned from, and of each
NUMBERS_MOST, SQUARES_MOST, SIZE_MOST = 10_000, 400_000, 400
GROWTH = 8


def followed(state: State, settings: Settings, old: Fit | None) -> State:
    """The state whose fit follows `old`, with what it knows of all users."""
    fit = state.fit
    kind = settings.users.kind
    if not (kind == "personality" or settings.together) or fit is None or fit is old:
        return state
    if old is None or state.labels >= old.users_at + old.users_at // GROWTH + 1:
        prior = _prior(state, settings, fit) if kind == "personality" else None
        known = _together(state, settings, fit) if settings.together else None
        if settings.together and known is None and old is not None and old.users_at:
            known = _together_in(fit, old)  # nothing finite was found: as it was, if nothing of it is to be forgotten
        new = replace(fit, prior=prior, everybody=known, users_at=state.labels)
    elif fit.frame is old.frame:
        return state
    else:
        new = replace(fit, prior=_prior_in(fit, old), everybody=_together_in(fit, old), users_at=old.users_at)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def outdated(state: State, user: str = "") -> State:
    """An example that it may have been learned from was forgotten, of this user: the next fit learns it.

    Of who has no example any more nothing is left at once, though no fit may come for long.
    """
    fit = state.fit
    if fit is None or (fit.prior is None and fit.everybody is None):
        return state
    known = fit.everybody
    if known is not None and user and not len(examples.of_user(state.examples, user)):
        known = known.without(user)
    new = replace(fit, everybody=known, users_at=0)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def told_anew(state: State) -> State:
    """Users are another kind than before: the next fit learns what it knows of all of them, and is due."""
    if state.fit is None:
        return state
    fit, published = (
        each and replace(each, prior=None, everybody=None, users_at=0) for each in (state.fit, state.published)
    )
    return replace(state, fit=fit, published=published, unfitted=max(1, state.unfitted))


def left_out(state: State, settings: Settings) -> int:
    """How many users have labels, and for want of room no precision of their own."""
    fit = state.fit
    if fit is None or not settings.together:
        return 0
    return max(0, len(state.examples.by_user) - _room(fit.model))


def _prior(state: State, settings: Settings, fit: Fit) -> Prior | None:
    found, weights = [], []
    for user in _who(state, places(state, settings, state.examples.end))[:USERS_MOST]:
        rows = deviation.learned(state, fit, user)[-EXAMPLES_MOST:]
        own = deviation.solved(state, settings, fit, rows, None) if len(rows) else None
        if own is not None:
            found.append(own.delta)
            weights.append(float(state.examples.weight[rows].sum()))
    return personality.prior(np.array(found), np.array(weights), settings.users.directions) if found else None


def _together(state: State, settings: Settings, fit: Fit) -> Together | None:
    assert isinstance(fit.model, Linear), "everybody has a linear model"
    if not _room(fit.model):
        return None
    kept, rows = state.examples, places(state, settings, state.examples.end)
    names = ("", *_who(state, rows)[: _room(fit.model)])
    number = {name: place for place, name in enumerate(names)}
    whose = np.array([number.get(kept.user[row], 0) for row in rows], dtype=np.intp)
    data = Data(fit.frame.design(kept.X[rows]), fit.frame.targets(kept.target[rows]), kept.weight[rows])
    plain = replace(settings.penalty, elsewhere=0.0)  # of a penalty that is elsewhere the solver has its own
    whole = penalty.objective(plain, state.columns, state.problem, fit.model, fit.frame)
    solve = together.SOLVERS[settings.users.kind]
    return solve(whole, grouped(data, whose, len(names)), names, fit.regularity)


def _room(model: Model) -> int:
    """For how many users."""
    return min(NUMBERS_MOST // model.size, SQUARES_MOST // model.size**2) if model.size <= SIZE_MOST else 0


def _who(state: State, rows: NDArray[np.intp]) -> list[str]:
    """Whose these examples are, those first who have most."""
    counts = Counter(state.examples.user[row] for row in rows)
    return sorted((user for user in counts if user), key=lambda user: (-counts[user], user))


def _prior_in(fit: Fit, old: Fit) -> Prior | None:
    """The same directions: of a network those of its last layer, whatever has become of what goes into that."""
    if old.prior is None:
        return None
    before, after, directions = old.model.last_layer, fit.model.last_layer, old.prior.directions.T
    if before is None or after is None:
        moved = _carried(old, directions, fit, False)
    else:
        whole = np.zeros((len(directions), old.model.size))
        whole[:, before.at] = directions
        moved = _carried(old, whole, fit, False)[:, after.at]
    return Prior(np.ascontiguousarray(moved.T), old.prior.spread)  # as it is stored, see `personality.py`


def _together_in(fit: Fit, old: Fit) -> Together | None:
    known = old.everybody
    if known is None:
        return None
    theta, nobody = _carried(old, np.stack([known.theta, known.nobody[0]]), fit, True)
    log_tangent, nobody_tangent = _carried(old, np.stack([known.log_tangent, known.nobody[1]]), fit, False)
    return replace(known, theta=theta, log_tangent=log_tangent, nobody=np.stack([nobody, nobody_tangent]))


def _carried(old: Fit, vectors: NDArray[np.float64], fit: Fit, are_thetas: bool) -> NDArray[np.float64]:
    """Rows (n, d) of parameters of `old` as such of `fit`."""
    rows = [adapted(old, vector, fit.model, fit.frame, are_thetas) for vector in vectors]
    return np.array(rows).reshape(len(rows), fit.model.size)
