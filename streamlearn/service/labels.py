"""Labels: join them to their events, and have them learned.

A label with features of its own is learned at once. One without is joined to the pending query or remembered event of its
id; when that has not come yet, the label waits for it. A second label for an id replaces the first. A null label forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import msgspec
import numpy as np

from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, problem
from streamlearn.learner.learner import Labeled
from streamlearn.learner.split import draws
from streamlearn.service import response, waiting
from streamlearn.service.ledger import row
from streamlearn.service.ports import LABELS, Codec, Example, Label, Pending, Record, Remembered
from streamlearn.service.standing import Standing


@final
class Labels:
    """The label side of the pipeline; what it acts on is in `standing`."""

    def __init__(
        self, standing: Standing, codec: Codec, recall: Callable[[Sequence[str]], dict[str, Remembered]]
    ) -> None:
        self._standing, self._codec, self._recall = standing, codec, recall

    def step(self, run: list[tuple[Record, Sequence[Label | str]]]) -> None:
        """Deal with decoded records in order."""
        recalled = self._recall_for([label for _, found in run for label in found if not isinstance(label, str)])
        for record, found in run:
            for index, label in enumerate(found):
                own = self._codec.one(record, index)  # labels are few
                if isinstance(label, str):
                    self._standing.reject(own, label, "size" if record.oversize else "format")
                else:
                    self._one(own, label, recalled)

    def join(self, id: str) -> None:
        """An event of this id has come: a label that waited for it is learned now, unless the event was rejected."""
        ledger = self._standing.ledger
        entry = ledger.stop_waiting(id) if ledger.fresh(id) is not None else None
        if entry is not None:
            record, label = waiting.read(entry.label, self._codec)
            if isinstance(label, str):  # kept by a version of before, and read in another format now
                self._standing.reject(record, label, "format")
            else:
                self._one(record, label, {})

    def _recall_for(self, labels: list[Label]) -> dict[str, Remembered]:
        """Features of events that only the store holds, in one look-up as far as it can be foreseen."""
        ledger = self._standing.ledger
        ids = {
            label.id
            for label in labels
            if self._asks_the_event(label) and ledger.knows(label.id) and ledger.fresh(label.id) is None
        }
        return self._recall(sorted(ids)) if ids else {}

    def _asks_the_event(self, label: Label) -> bool:
        """Whether its event has to say something: its features, or whose it is."""
        return label.y is not None and (label.x is None or (self._standing.rules.learner.of_users and not label.user))

    def _one(self, record: Record, label: Label, recalled: dict[str, Remembered]) -> None:
        standing = self._standing
        standing.rules.learner.alive()
        if label.y is None:
            self._forget(label.id)
            return
        refusal = problem.refusal(standing.state.problem, label.y)
        if refusal:
            standing.reject(record, refusal, "label")
            return
        found = self._found(record, label, recalled)
        if found is None:
            return
        standing.ledger.stop_waiting(label.id)
        standing.measurements.add("streamlearn_records_total", 1, topic=LABELS, outcome="accepted")
        query = standing.settle_query(label.id)
        if query is not None:
            standing.measurements.add("streamlearn_queries_answered_total", 1)
            standing.answered(query)
        self._learn(label, label.y, *found, query.reason if query else "")

    def _found(self, record: Record, label: Label, recalled: dict[str, Remembered]) -> tuple[Array, str] | None:
        """The example's features (columns,) and user, or None where the label has to wait or was rejected."""
        standing, ledger = self._standing, self._standing.ledger
        if label.x is not None:
            seen = ledger.knows(label.id) or label.id in ledger.labeled
            new_columns, encoded = standing.encode([label.x], learns=not seen)
            if encoded.reasons:
                standing.reject(record, encoded.reasons[0], "features")
                return None
            standing.observe(encoded, new_columns, encoded.rows[:0] if seen else encoded.rows)
            return np.asarray(encoded.rows[0]), self._whose(label, recalled)
        serial, kept = ledger.labeled.get(label.id), standing.state.examples
        if serial is not None:  # what the label before had, be it the event's or its own
            return np.array(kept.X[serial - kept.first]), kept.user[serial - kept.first]
        event = self._event(label.id, recalled)
        if event is not None:
            return np.asarray(columns.widen(standing.state.columns, row(event.x))[0]), event.user or standing.whose(
                label
            )
        if standing.rules.wait == 0:
            standing.reject(record, "no event with this id is known", "unknown id")
            return None
        dropped = ledger.wait_for_event(label.id, waiting.kept(record, label))
        if dropped is not None:
            reason = "too many labels wait for events that have not come"
            standing.reject(waiting.read(dropped.label, self._codec)[0], reason, "unknown id")
        return None

    def _event(self, id: str, recalled: dict[str, Remembered]) -> Remembered | Pending | None:
        """What is kept of the event of this id."""
        event = self._standing.ledger.fresh(id)
        if event is None and self._standing.ledger.knows(id):
            event = recalled.get(id) or self._recall([id]).get(id)
        return event

    def _whose(self, label: Label, recalled: dict[str, Remembered]) -> str:
        """The user of a label with features of its own: as it says, or its event, or the label before."""
        standing, kept = self._standing, self._standing.state.examples
        if label.user or not standing.rules.learner.of_users:
            return standing.whose(label)
        serial = standing.ledger.labeled.get(label.id)
        if serial is not None:
            return kept.user[serial - kept.first]
        event = self._event(label.id, recalled)
        return event.user if event else ""

    def _learn(self, label: Label, y: problem.Label, x: Array, user: str, asked: str) -> None:
        """asked: the reason of the query that it answers; "": it came by itself."""
        standing, settings, audit = self._standing, self._standing.rules.learner, asked == "audit"
        tested = standing.state.progress.count
        serial = standing.ledger.labeled.get(label.id)
        fold = settings.fold(float(draws([label.id], settings.seed).holdout[0])) if settings.holdout else 0
        labeled = Labeled(x, y, label.weight, audit, fold, user)
        if serial is None:
            serial = standing.state.examples.end
            take = learner.keep if standing.learning_paused else learner.step
            standing.state = take(standing.state, settings, labeled)
            standing.measurements.add("streamlearn_labels_total", 1)
        else:
            standing.state = learner.revise(standing.state, settings, serial, labeled, not standing.learning_paused)
        kept = standing.state.examples
        fold = int(kept.fold[serial - kept.first])  # a replacement stays where the first label was
        example = Example(serial, label.id, x.tobytes(), msgspec.json.encode(y), label.weight, fold, audit, user)
        standing.ledger.add_example(example)
        if asked != "score" and standing.state.progress.count > tested:
            excess, now = standing.state.progress.excess, standing.clock
            response.to(standing, standing.drift.label(excess, serial, standing.ledger.count, now))
        standing.ledger.drop_examples(standing.state.examples.first)
        if standing.asking.deviations is not None:
            standing.asking.deviations.touched(user)
        standing.learned()

    def _forget(self, id: str) -> None:
        standing = self._standing
        standing.settle_query(id)
        serial = standing.ledger.forget(id)
        standing.asking.outlook.moved()  # it may be among the recent events that are looked at
        if serial is not None:
            learns = not standing.learning_paused
            standing.state = learner.revise(standing.state, standing.rules.learner, serial, None, learns)
            standing.ledger.drop_examples(standing.state.examples.first)
            standing.learned()
        standing.measurements.add("streamlearn_records_total", 1, topic=LABELS, outcome="accepted")
        standing.measurements.add("streamlearn_forgotten_total", 1)
