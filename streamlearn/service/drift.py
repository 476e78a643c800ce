"""Drift: has the stream changed since the model began to learn from it? Two signals, each watched by a detector of river's.

**loss**: what the labels say. Of each first label the loss before it was learned, ℓ less the least it could be (of values its
root √(2ℓ), in deviations of the labels), as 1 − e^(−ℓ): for classes that is the probability that the model did not give to the
label. Only of labels that were not asked for by a score: audits, and what came without a query. The others are a biased sample,
one that shifts with the threshold and with the model; and where the model was unsure, a label says little of whether it was
wrong. The loss falls while the model learns; that is no drift, so a rise alone is an alarm.

**score**: what the events say, before a label comes. SLD of every event, ‖f′‖²: with the loss's factor, which falls where f
grows, a stream that spreads could look the same. By a model that is held fixed: by the one that is served it would fall with
every label. It is renewed when there are `RENEWAL` times as many labels, and after an alarm. The first `ANCHOR` scores by it
are what later ones are compared with: of each `RUN` of events the mean rank among them, as z, and that as the probability
Φ(z). On a stream that does not change these are independent and alike, whatever the model, the loss and the features are; so
the detectors' constants hold for all. Runs are cut by events' ordinals, however they were polled, and are looked at when a
block of events is complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from streamlearn.config import Drift as Told
from streamlearn.core.losses import Array
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State
from streamlearn.queries.sld import SquaredLossDerivative
from streamlearn.queries.strategy import View
from streamlearn.service.blocks import BLOCK
from streamlearn.service.detectors import EMPTY, NONE, Series, Watch

LOSS, SCORE = SIGNALS = ("loss", "score")
RUN: Final = 8  # events; a block is a whole number of runs
ANCHOR: Final = 512  # scores
RENEWAL: Final = 16
UNLABELED: Final = SquaredLossDerivative("sld-unlabeled", labeled=False)


@final
@dataclass(frozen=True)
class Alarm:
    """signal: loss | score; events: how many there were; since: where the change is likeliest, by the serial of a label or the
    ordinal of an event; time: s since 1970."""

    signal: str
    events: int
    since: int
    time: float


@final
@dataclass(frozen=True)
class Count:
    """Of one signal, how many alarms there were, and the number of events up to which the last one holds."""

    signal: str
    alarms: int = 0
    until: int = 0


@final
@dataclass(frozen=True)
class Kept:
    """What a commit holds. fixed: the model that events are scored by, taken after so many labels; anchor: the first scores
    by it, in order once all are there; block: scores of the block under way (BLOCK,), NaN where there is none; fair: of
    candidates, how many were looked at."""

    anchor: Array
    block: Array
    loss: Series
    score: Series
    detector: str = NONE
    fixed: Fit | None = None
    labels: int = 0
    fair: int = 0
    counts: tuple[Count, ...] = ()
    last: Alarm | None = None


NOTHING: Final = Kept(np.empty(0), np.full(BLOCK, np.nan), EMPTY, EMPTY)


@final
class Drift:
    """Mutable, one a daemon. Alarms that nobody has taken yet are in `news`."""

    def __init__(self, told: Told, seed: int) -> None:
        self.told, self._seed = told, seed
        self.news: list[Alarm] = []
        self._start(NOTHING)

    @property
    def detector(self) -> str:
        return self._kept.detector

    @property
    def last(self) -> Alarm | None:
        return self._kept.last

    @property
    def counts(self) -> Sequence[Count]:
        """Of each signal, as far as any is watched."""
        known = {count.signal: count for count in self._kept.counts}
        return [] if self.detector == NONE else [known.get(signal, Count(signal)) for signal in SIGNALS]

    def until(self, signal: str) -> int:
        """The number of events up to which its last alarm holds."""
        return next((count.until for count in self._kept.counts if count.signal == signal), 0)

    def restore(self, kept: Kept, built: Callable[[Fit], Fit] | None) -> None:
        """Go on where another process was; another detector begins anew. built: a fit with its model, None: for reading."""
        if built is not None and kept.detector != self.told.detector:
            self._start(replace(NOTHING, last=kept.last))
            return
        self._start(kept, kept.detector)
        if kept.fixed is not None and built is not None:
            self._kept = replace(kept, fixed=built(kept.fixed))

    def kept(self) -> Kept:
        if not self._watches:
            return self._kept
        loss, score = (self._watches[signal].kept() for signal in SIGNALS)
        return replace(self._kept, loss=loss, score=score, block=self._block.copy())

    def _start(self, kept: Kept, name: str = "") -> None:
        name = name or self.told.detector
        self._kept = replace(kept, detector=name)
        told = {} if name == NONE else {LOSS: False, SCORE: True}
        self._watches = {signal: Watch(name, self._seed, falls) for signal, falls in told.items()}
        for signal, watch in self._watches.items():
            watch.restore(getattr(kept, signal))
        self._block = kept.block.copy()

    def label(self, loss: float, serial: int, events: int, time: float) -> Alarm | None:
        """A label that no score has asked for had this loss before it was learned."""
        if not self._watches:
            return None
        since = self._watches[LOSS].feed(-math.expm1(-loss), serial)
        return None if since is None else self._alarm(LOSS, events, since, time)

    def saw(self, state: State, rows: Array, ordinal: int) -> None:
        """Events from `ordinal` on, raw rows (n, columns), all of one block."""
        if not self._watches or not len(rows):
            return
        place = ordinal % BLOCK
        if place == 0:
            self._block[:] = np.nan
            self._renew(state)
        fixed = self._kept.fixed
        if fixed is None:
            return
        block, part = np.zeros((BLOCK, rows.shape[1])), slice(place, place + len(rows))
        block[part] = rows
        view = View(fixed.model, fixed.theta, fixed.log_tangent, None, None)
        self._block[part] = UNLABELED.score(view, fixed.frame.design(block), np.zeros(BLOCK))[part]

    def block_ends(self, ordinal: int, events: int, time: float) -> Alarm | None:
        """The block before this ordinal is complete; an alarm, where its runs are not like those before."""
        if not self._watches or self._kept.fixed is None:
            return None
        runs = self._block.reshape(-1, RUN)
        watch, whole = self._watches[SCORE], np.isfinite(runs).all(axis=1)
        anchor = self._kept.anchor
        if len(anchor) < ANCHOR:
            anchor = np.concatenate([anchor, runs[whole].ravel()])[:ANCHOR]
            self._kept = replace(self._kept, anchor=np.sort(anchor) if len(anchor) == ANCHOR else anchor)
            return None
        begins = ordinal - BLOCK + RUN * np.flatnonzero(whole)
        for run, begin in zip(runs[whole], begins.tolist(), strict=True):
            since = watch.feed(_value(run, anchor), begin)
            if since is not None:
                self._forget_fixed()
                return self._alarm(SCORE, events, since, time)
        return None

    def candidates(self, state: State, rows: Array, events: int, time: float) -> Alarm | None:
        """Of what scorers pass on, those that chance has drawn: a fair sample, counted by itself."""
        first, alarm, at = self._kept.fair, None, 0
        while self._watches and at < len(rows):
            ordinal = first + at
            part = rows[at : at + BLOCK - ordinal % BLOCK]
            self.saw(state, part, ordinal)
            at += len(part)
            if (first + at) % BLOCK == 0:
                alarm = self.block_ends(first + at, events, time) or alarm
        self._kept = replace(self._kept, fair=first + at)
        return alarm

    def _renew(self, state: State) -> None:
        fit, kept = state.published, self._kept
        if fit is None or (kept.fixed is not None and state.labels < RENEWAL * kept.labels):
            return
        self._forget_fixed()
        shared = fit.everybody or fit  # by hierarchy a fit of its own does not move with λ
        fixed = replace(fit, theta=shared.theta, log_tangent=shared.log_tangent)
        fixed = replace(fixed, covariance=None, descent=None, prior=None, everybody=None)
        self._kept = replace(self._kept, fixed=fixed, labels=state.labels)

    def _forget_fixed(self) -> None:
        self._watches[SCORE].start_again()
        self._kept = replace(self._kept, fixed=None, labels=0, anchor=np.empty(0))

    def _alarm(self, signal: str, events: int, since: int, time: float) -> Alarm:
        until = -(-(events + self.told.for_events) // BLOCK) * BLOCK  # what is in force changes between blocks
        found = Alarm(signal, events, since, time)
        counts = [
            replace(each, alarms=each.alarms + 1, until=until) if each.signal == signal else each
            for each in self.counts
        ]
        self._kept = replace(self._kept, counts=tuple(counts), last=found)
        self.news.append(found)
        return found


def _value(run: Array, anchor: Array) -> float:
    """Φ(z) of how high these scores (RUN,) rank among the anchor's, which are in order."""
    ranks = (np.searchsorted(anchor, run, "left") + np.searchsorted(anchor, run, "right")) / (2.0 * len(anchor))
    return 0.5 * math.erfc(-math.sqrt(6.0 * RUN) * (float(ranks.mean()) - 0.5))
