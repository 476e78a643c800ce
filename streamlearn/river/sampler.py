"""The daemon's way of asking, as an active learner of river: a strategy, a budget that holds after every event, audits.

What decides is the daemon's own code (`service/asking.py`): the score of each event is compared with a running quantile of the
last ones, a share of the budget goes to events drawn by chance before any score is looked at, and queries that are still
unanswered count as labels. A query is answered by `learn_one` of an equal x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

import numpy as np
from river import active, base, compose

from streamlearn import settings
from streamlearn.learner.split import draws
from streamlearn.queries.budget import Budget
from streamlearn.river.estimators import StreamlearnClassifier
from streamlearn.river.online import X
from streamlearn.service.asking import Asking, Segment
from streamlearn.service.ledger import NEWEST_KEPT, Ledger
from streamlearn.service.ports import Pending

Key = frozenset[tuple[Any, str]]  # of an x; NaN is NaN there


@final
class QuerySampler(active.base.ActiveLearningClassifier):
    """Asks for the labels that would teach a `StreamlearnClassifier` most, within a budget.

    After n events at most ⌈budget · n⌉ labels were asked for, and all along hardly fewer.

    Parameters
    ----------
    classifier
        A `StreamlearnClassifier`, or a pipeline that ends in one.
    strategy
        The score of an event: "auto", "uncertainty", "leverage", "sld", ..., as `queries.strategy` of the daemon.
    budget
        The share of events that are asked about.
    audit_share
        Of the budget, for events drawn by chance: among labels of chosen events alone λ would be learned too low.
    outstanding
        How many unanswered queries count as labels; beyond, the oldest are given up.
    seed
        Of what is drawn by chance.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> from streamlearn.river import QuerySampler, StreamlearnClassifier
    >>> model = QuerySampler(preprocessing.StandardScaler() | StreamlearnClassifier(), "uncertainty", seed=1)
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy(), print_every=1250)
    [1,250] Accuracy: 86.71% – 124 samples used
    Accuracy: 86.71%
    """

    def __init__(
        self,
        classifier: base.Classifier,
        strategy: str = "auto",
        budget: float = 0.1,
        audit_share: float = 0.2,
        outstanding: int = 100,
        seed: int | None = None,
    ) -> None:
        super().__init__(classifier, seed)
        self.strategy, self.budget, self.audit_share, self.outstanding = strategy, budget, audit_share, outstanding
        told = settings.given(
            {
                "queries.strategy": strategy,
                "queries.budget": budget,
                "queries.audit_share": audit_share,
                "queries.outstanding": outstanding,
                "queries.seed": self._rng.getrandbits(63) if seed is None else seed,
            },
            type(self).__name__,
        ).queries
        # The cap is kept here, by giving up the oldest: nobody's answer has to be waited for.
        self._rules = Budget(told.budget, told.audit_share, outstanding_most=outstanding + 1)
        learner = _last(classifier).online.settings
        self._asking = Asking(strategy, self._rules, learner, told.count_pending, told.rest_below)
        self._ledger, self._chance = Ledger(remember=NEWEST_KEPT, wait=0), told.seed
        self._asked: dict[str, Key] = {}  # unanswered queries, the oldest first
        self._learned = 0  # examples that the classifier had when it was last looked at
        self._score = math.nan

    @property
    def score(self) -> float:
        """That of the last event: higher, the more a label of it would teach; NaN where that cannot be said yet."""
        return self._score

    @property
    def unanswered(self) -> int:
        """How many queries count as labels, since their answers have not come."""
        return len(self._asked)

    def learn_one(self, x: X, y: base.typing.ClfTarget, **kwargs: Any) -> None:
        """Learn one labeled example; where its label was asked for, that query is answered."""
        self.classifier.learn_one(x, y, **kwargs)
        key = _key(x)
        answered = next((id for id, asked in self._asked.items() if asked == key), None)
        if answered is not None:
            self._settle(answered)

    def _ask_for_label(self, x: X, y_pred: object) -> bool:
        online, ledger = _last(self.classifier).online, self._ledger
        row = online.meet(self.classifier.transform_one(x) if isinstance(self.classifier, compose.Pipeline) else x)
        if online.state.examples.end != self._learned:
            self._asking.outlook.moved()
            self._learned = online.state.examples.end
        ordinal = ledger.count
        id = str(ordinal)
        drawn = draws([id], self._chance)
        ledger.add_events([id], row)
        audit = drawn.audit < self._rules.audit_rate
        segment = Segment(row, ordinal, audit, np.ones(1, dtype=bool), drawn.random)
        scored = self._asking.score(online.state, ledger, segment, 0, 1)
        self._score = float(scored.scores[0])
        info = self._asking.select(segment, scored, 0, 1)
        if info.chosen:
            ledger.ask(Pending(id, ordinal, row[0].tobytes(), info.reason, math.inf))
            self._asked[id] = _key(x)
            self._asking.outlook.count(online.state, row)
            if len(self._asked) > self.outstanding:
                self._settle(next(iter(self._asked)))
        ledger.take_changes()  # there is no store to write them to
        return info.chosen

    def _settle(self, id: str) -> None:
        """This query is answered, or given up."""
        del self._asked[id]
        self._ledger.settle_query(id)
        self._asking.settled(1)

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"classifier": StreamlearnClassifier(seed=1)}


def _last(classifier: base.Classifier) -> StreamlearnClassifier:
    """What asks and learns, alone or at the end of a pipeline."""
    last = classifier[-1] if isinstance(classifier, compose.Pipeline) else classifier
    if not isinstance(last, StreamlearnClassifier):
        raise ValueError(f"QuerySampler asks for a StreamlearnClassifier, alone or ending a pipeline; this is a {last}")
    return last


def _key(x: X) -> Key:
    return frozenset((name, repr(value)) for name, value in x.items())
