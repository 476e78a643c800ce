"""What a fit knows of all users at once: how they differ (personality), or everybody's parameters (gamma-normal, hierarchy).

It is learned when the labels have grown by an eighth since it last was, and with the next fit when an example was forgotten, so
that nothing is left of it. Then it is found from the examples as if nothing had been known. Between, it goes on in the
parameters of every new fit. As part of the fit it is committed, and comes back with it.

What it takes has bounds. Of personalities the deviations of `USERS_MOST` users count, those who have most labels. Where
everybody's parameters are solved for, as many have some of their own as make `NUMBERS_MOST` of them, or `SQUARES_MOST` in their
Hessians, which is 2 s of a slow core; the labels of all others count as those of one user, nobody, and they have θ₀.
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
NUMBERS_MOST, SQUARES_MOST = 10_000, 400_000
GROWTH = 8


def followed(state: State, settings: Settings, old: Fit | None) -> State:
    """The state whose fit follows `old`, with what it knows of all users."""
    fit = state.fit
    kind = settings.users.kind
    if not (kind == "personality" or settings.together) or fit is None or fit is old:
        return state
    if old is None or old.users_kind != kind or state.labels >= old.users_at + old.users_at // GROWTH + 1:
        prior = _prior(state, settings, fit) if kind == "personality" else None
        known = _together(state, settings, fit) if settings.together else None
        new = replace(fit, prior=prior, together=known, users_at=state.labels, users_kind=kind)
    elif fit.frame is old.frame:
        return state
    else:
        known = _together_in(fit, old)
        new = replace(fit, prior=_prior_in(fit, old), together=known, users_at=old.users_at, users_kind=kind)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def outdated(state: State, user: str = "") -> State:
    """An example that it may have been learned from was forgotten, of this user: the next fit learns it.

    Of who has no example any more nothing is left at once, though no fit may come for long.
    """
    fit = state.fit
    if fit is None or (fit.prior is None and fit.together is None):
        return state
    known = fit.together
    if known is not None and user and not len(examples.of_user(state.examples, user)):
        known = known.without(user)
    new = replace(fit, together=known, users_at=0)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def left_out(state: State) -> int:
    """How many users have labels, and for want of room no parameters of their own."""
    fit = state.fit
    if fit is None or fit.together is None:
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
    return min(NUMBERS_MOST // model.size, SQUARES_MOST // model.size**2)


def _who(state: State, rows: NDArray[np.intp]) -> list[str]:
    """Whose these examples are, those first who have most."""
    counts = Counter(state.examples.user[row] for row in rows)
    return sorted((user for user in counts if user), key=lambda user: (-counts[user], user))


def _prior_in(fit: Fit, old: Fit) -> Prior | None:
    return old.prior and Prior(_carried(old, old.prior.directions.T, fit, False).T, old.prior.spread)


def _together_in(fit: Fit, old: Fit) -> Together | None:
    known = old.together
    return known and replace(
        known,
        theta=_carried(old, known.theta[None, :], fit, True)[0],
        log_tangent=_carried(old, known.log_tangent[None, :], fit, False)[0],
        thetas=_carried(old, known.thetas, fit, True),
        tangents=_carried(old, known.tangents, fit, False),
    )


def _carried(old: Fit, vectors: NDArray[np.float64], fit: Fit, are_thetas: bool) -> NDArray[np.float64]:
    """Rows (n, d) of parameters of `old` as such of `fit`."""
    rows = [adapted(old, vector, fit.model, fit.frame, are_thetas) for vector in vectors]
    return np.array(rows).reshape(len(rows), fit.model.size)
