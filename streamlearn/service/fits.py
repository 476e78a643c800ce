"""Earlier fits, to go back to: at most `KEPT_MOST`, dense where they are recent and ever sparser with age.

Age is counted in labels. A fit is kept when the labels have grown by a sixty-fourth since the last one that was; when there
are too many, the one goes whose neighbours are closest to each other in the logarithm of age. The oldest and the newest stay.
One whose labels have been forgotten since goes at once: what was learned of them is not to come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from streamlearn.learner import exact, tuner
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.service import snapshot
from streamlearn.service.ports import Changes, Earlier

KEPT_MOST, BYTES_MOST = 16, 64 << 20
GROWTH = 64


@final
@dataclass(frozen=True)
class Kept:
    """What going back changes; see `learner.state.State`."""

    fit: Fit | None
    published: Fit | None
    tuner: tuner.State


def note(kept: list[Earlier], state: State, number: int, time: float, changes: Changes) -> list[Earlier]:
    """The fits to keep from commit `number` on; what changes is added to `changes`."""
    before = {entry.number for entry in kept}
    kept = [entry for entry in kept if not any(serial < entry.labels for serial in _forgotten(changes, state))]
    labels, last = state.labels, kept[-1].labels if kept else -1
    if state.published is not None and labels - last >= max(1, labels // GROWTH):
        value = snapshot.pack(Kept(state.fit, state.published, state.tuner))
        kept = _thinned([*kept, Earlier(number, labels, time, value)])
        changes.fits_added += [entry for entry in kept if entry.number == number]
    changes.fits_removed += sorted(before - {entry.number for entry in kept})
    return kept


def _forgotten(changes: Changes, state: State) -> list[int]:
    """Serials that were removed though they are among the examples still kept."""
    return [serial for serial in changes.examples_removed if serial >= state.examples.first]


def _thinned(kept: list[Earlier]) -> list[Earlier]:
    while len(kept) > KEPT_MOST or (len(kept) > 2 and sum(len(entry.value) for entry in kept) > BYTES_MOST):
        ages = [math.log(kept[-1].labels - entry.labels + 1) for entry in kept]
        goes = min(range(1, len(kept) - 1), key=lambda i: ages[i - 1] - ages[i + 1])
        kept = kept[:goes] + kept[goes + 1 :]
    return kept


def read(entry: Earlier) -> Kept:
    kept: Kept = snapshot.unpack(Kept, entry.value)
    return kept


def as_of(kept: list[Earlier], number: int) -> Earlier | None:
    """The newest that is not later than commit `number`."""
    return next((entry for entry in reversed(kept) if entry.number <= number), None)


def back(state: State, settings: Settings, kept: Kept) -> State:
    """θ, θ̇ and λ as they were, with all labels of today; they count as learned, so that a quiet stream changes nothing."""

    def placed(fit: Fit | None, which: str) -> Fit | None:
        if fit is None:
            return None
        fit = replace(
            fit, model=settings.architecture.model(fit.model.loss, fit.model.outputs_count, fit.model.columns)
        )
        # Users may have been of another kind then: the next fit learns anew what it knows of all of them.
        fit = replace(fit, end=state.examples.end, users_at=0)
        return exact.with_covariance(fit, state, settings, which) if fit.solver == "newton" else fit

    fit = placed(kept.fit, "train")
    published = placed(kept.published, "all") if settings.holdout else fit
    return replace(state, fit=fit, published=published, tuner=kept.tuner, unfitted=0, settled=0)
