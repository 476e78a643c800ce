"""Where things stand: what events and labels both act on, and the few acts that they share.

The values are the learner's state and the selector's; around them the ledger of ids, the outbox and the counters. One per
pipeline, mutable; everything that changes it is in `events.py` and `labels.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from streamlearn.config import Drift as DriftTold
from streamlearn.config import Models, Users
from streamlearn.core import moments
from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner
from streamlearn.learner.settings import NOBODY, Settings
from streamlearn.learner.split import draws
from streamlearn.learner.state import State
from streamlearn.queries.budget import Budget
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import Strategy
from streamlearn.service.asking import Asking, look
from streamlearn.service.census import Census
from streamlearn.service.deviations import Deviations
from streamlearn.service.drift import Drift
from streamlearn.service.ledger import Ledger, row
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import REJECTED, Asked, Codec, Earlier, Event, Label, Message, Pending, Record
from streamlearn.service.recipe import UNTOLD, Recipe
from streamlearn.service.tally import Tally
from streamlearn.service.transforming import Transforming


@final
@dataclass(frozen=True)
class Announced:
    """What was last put on `models`: when (s since 1970), after how many learned labels, and a checksum of it; 0: nothing.

    slot: that of the last one in chunks.
    """

    time: float = 0.0
    version: int = 0
    mark: int = 0
    slot: int = 0


NOTHING = Announced()
PUT_BACK_S = 60.0  # a clock that goes back by more was put back; by less, it is only kept right


@final
@dataclass(frozen=True)
class Rules:
    """What the pipeline was told, beside the learner's settings. log: key and value of what says which log is read.

    backlog: events that may be unread before some are skipped; 0: none ever is. name: the daemon's; recipe: of the model;
    models: when it is announced, None: never. count_pending: see the configuration.
    rest_below: what a label has to buy, in units of the loss, for events to be asked about by their score.
    shadows: strategies that score and do not act. of_candidates: whether what is read is what scorers pass on.
    drift: what is watched for, and what is done then.
    users: how many of their deviations are kept in memory, and how often one is asked.
    """

    learner: Settings
    budget: Budget
    strategy: str
    expire_s: float
    wait: int
    remember: int
    predictions: bool
    log: tuple[tuple[str, str], ...] = ()
    backlog: int = 0
    name: str = ""
    recipe: Recipe = UNTOLD
    models: Models | None = None
    count_pending: str = "auto"
    rest_below: float = 0.0
    shadows: tuple[str, ...] = ()
    of_candidates: bool = False
    drift: DriftTold = field(default_factory=DriftTold)
    users: Users = NOBODY


@final
class Standing:
    """rules: what was told; state: the learner's; version: of the model, as messages name it; clock: s since 1970."""

    def __init__(self, rules: Rules, state: State, codec: Codec, measurements: Measurements) -> None:
        self.rules, self.state, self.codec, self.measurements = rules, state, codec, measurements
        fair = self.fair if rules.of_candidates else None
        self.ledger = Ledger(rules.remember, rules.wait, fair, rules.users.queries_per_day)
        self.asking = Asking(
            rules.strategy,
            rules.budget,
            rules.learner,
            rules.count_pending,
            rules.rest_below,
            rules.shadows,
            rules.of_candidates,
            Deviations(rules.learner, rules.users.cache) if rules.learner.of_users else None,
        )
        self.census = Census()
        self.drift = Drift(rules.drift, rules.learner.seed)
        self.transforming: Transforming | None = None  # what makes the features, if not the columns alone
        self.outbox: list[Message] = []
        self.version = 0  # labels learned, replacements included
        self.clock = 0.0
        self.rejected = 0
        self.share = 1.0  # of events that are read until the next commit
        self.learning_paused = False
        self.obeyed = 0  # number of the last command
        self.fits: list[Earlier] = []
        self.announced: Announced = NOTHING

    def reject(self, record: Record, reason: str, kind: str) -> None:
        """The data's fault: publish the record with its reason; kind is the metric's label, one of few."""
        self.rejected += 1
        self.outbox.append(Message(REJECTED, record.key, self.codec.rejected(record, reason)))
        self.measurements.add("streamlearn_records_total", 1, topic=record.role, outcome="rejected")
        self.measurements.add("streamlearn_rejected_total", 1, topic=record.role, reason=kind)

    def encode(self, xs: Sequence[columns.Features], learns: bool = True) -> tuple[columns.State, columns.Encoded]:
        """Events as rows, in order; `learns`: where a transformer makes their features, it learns of them first."""
        if self.transforming is None:
            return columns.encode(self.state.columns, xs)
        return self.transforming.encode(self.state.columns, xs, learns)

    def observe(self, encoded: columns.Encoded, new_columns: columns.State, rows: Array) -> None:
        """Feature statistics take in newly seen rows."""
        self.state = learner.observe(self.state, new_columns, rows)
        if encoded.ignored:
            self.measurements.add("streamlearn_columns_ignored_total", encoded.ignored)

    def tallied(self, tally: Tally) -> None:
        """Scorers tell what they have seen: the budget and feature statistics take in what is new of it."""
        earned, features = self.census.tallied(tally, self.state.columns)
        self.asking.earned(earned)
        self.state = replace(self.state, moments=moments.merge(self.state.moments, features))

    def fair(self, ids: Sequence[str]) -> list[bool]:
        """Which events chance has drawn, whatever their score: audits, and more that scorers pass on for this."""
        drawn = draws(ids, self.rules.learner.seed)
        return [bool(each) for each in drawn.audit < self.rules.budget.sample_rate]

    def fair_scores(self, seen: Sight, strategy: Strategy) -> Array:
        """What the strategy says now of the last events that chance has drawn."""
        sample, fit = self.ledger.fair_sample(), self.state.published
        if not sample or fit is None:
            return np.empty(0)
        rows = np.concatenate([columns.widen(self.state.columns, row(entry.x)) for entry in sample])
        drawn = draws([entry.id for entry in sample], self.rules.learner.seed)
        scores: Array = look(seen, fit.frame, [strategy], rows, drawn.random, 0).scores[0]
        return scores

    def whose(self, told: Event | Label | Asked) -> str:
        """The user, where it matters who that is; "": nobody."""
        return told.user if self.rules.learner.of_users else ""

    def learned(self) -> None:
        """The model has moved, or which queries are pending."""
        self.version += 1
        self.asking.outlook.moved()

    def settle_query(self, id: str) -> Pending | None:
        """Take the query of this id, if there is one, from the pending ones."""
        entry = self.ledger.settle_query(id)
        if entry is not None:
            self.asking.settled(1)
        return entry

    def answered(self, query: Pending) -> None:
        """How long that took, by when it was to expire. One that was asked under another `queries.expire_s` is taken to be of
        this one, or not counted; while a store is rebuilt, time goes by the queries."""
        waited_s = self.clock - (query.expires - self.rules.expire_s)
        if waited_s >= 0.0:
            self.measurements.observe("streamlearn_query_answer_seconds", waited_s)

    def tell_time(self, now: float) -> None:
        """What the wall clock says, which may jump. Where it was put back, it was ahead when queries were asked: none of them
        waits longer from here than one that is asked now."""
        if now < self.clock - PUT_BACK_S:
            self.ledger.quotas.hasten(now)
            if self.ledger.hasten(now + self.rules.expire_s):
                self.asking.outlook.moved()
        self.clock = now
        self.expire(now)

    def expire(self, now: float) -> None:
        """Queries that nobody answered in time are pending no longer."""
        for id in [entry.id for entry in self.ledger.pending.values() if entry.expires <= now]:
            self.settle_query(id)
            self.measurements.add("streamlearn_queries_expired_total", 1)
