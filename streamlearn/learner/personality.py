"""How users differ, which a fit carries: learned from the deviations of those who have most labels, now and then.

It is learned when the labels have grown by an eighth since it last was, and with the next fit when an example was replaced, or
forgotten, so that nothing is left of it. Then all deviations are found anew, each from its user's newest examples, as if
nothing were known of how users differ. Between, it goes on in the parameters of every new fit. As part of the fit it is committed, and
comes back with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from streamlearn.core.users import personality
from streamlearn.core.users.deviation import Prior
from streamlearn.learner import deviation
from streamlearn.learner.fit import Fit, adapted
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

USERS_MOST, EXAMPLES_MOST = 200, 100  # that it is learned from, and of each
GROWTH = 8


def followed(state: State, settings: Settings, old: Fit | None) -> State:
    """The state whose fit follows `old`, with how users differ."""
    fit = state.fit
    if settings.users.kind != "personality" or fit is None or fit is old:
        return state
    if old is None or state.labels >= old.prior_at + old.prior_at // GROWTH + 1:
        new = replace(fit, prior=_learned(state, settings, fit), prior_at=state.labels)
    elif fit.prior is None and old.prior is not None:
        new = replace(fit, prior=_carried(old, old.prior, fit), prior_at=old.prior_at)
    else:
        new = replace(fit, prior_at=old.prior_at)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def outdated(state: State) -> State:
    """An example that it may be learned from is not what it was: the next fit learns it."""
    fit = state.fit
    if fit is None or fit.prior is None:
        return state
    new = replace(fit, prior_at=0)
    return replace(state, fit=new, published=new if state.published is fit else state.published)


def _learned(state: State, settings: Settings, fit: Fit) -> Prior | None:
    found, weights = [], []
    for user in _who(state):
        rows = deviation.learned(state, fit, user)[-EXAMPLES_MOST:]
        own = deviation.solved(state, settings, fit, rows, None) if len(rows) else None
        if own is not None:
            found.append(own.delta)
            weights.append(float(state.examples.weight[rows].sum()))
    return personality.prior(np.array(found), np.array(weights), settings.users.directions) if found else None


def _who(state: State) -> list[str]:
    """Those who have most labels."""
    kept = state.examples
    there = kept.weight[: len(kept)] > 0.0
    counts = Counter(user for user, is_there in zip(kept.user, there, strict=False) if user and is_there)
    return sorted(counts, key=lambda user: (-counts[user], user))[:USERS_MOST]


def _carried(old: Fit, prior: Prior, fit: Fit) -> Prior:
    columns = [adapted(old, column, fit.model, fit.frame, False) for column in prior.directions.T]
    return Prior(np.array(columns).reshape(len(columns), fit.model.size).T, prior.spread)
