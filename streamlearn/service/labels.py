"""Labels: join them to their events, and have them learned.

A label with features of its own is learned at once. One without is joined to the pending query or remembered event of its
id; when that has not come yet, the label waits for it. A second label for an id replaces the first. A null label forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import msgspec
import numpy as np

from streamlearn.core.losses import Array
from streamlearn.learner import columns, learner, problem
from streamlearn.learner.learner import Labeled
from streamlearn.learner.split import draws
from streamlearn.service.ledger import row
from streamlearn.service.ports import LABELS, Codec, Example, Label, Record, Remembered

if TYPE_CHECKING:
    from streamlearn.service.pipeline import Pipeline


@final
class Labels:
    """The label side of the pipeline; state lives in the pipeline's ledger and learner."""

    def __init__(
        self, pipeline: Pipeline, codec: Codec, recall: Callable[[Sequence[str]], dict[str, Remembered]]
    ) -> None:
        self._pipeline, self._codec, self._recall = pipeline, codec, recall

    def step(self, run: list[Record]) -> None:
        """Deal with labels in order."""
        decoded = [(record, self._codec.label(record)) for record in run]
        recalled = self._recall_for([label for _, label in decoded if not isinstance(label, str)])
        for record, label in decoded:
            if isinstance(label, str):
                self._pipeline.reject(record, label, "size" if record.oversize else "format")
            else:
                self._one(record, label, recalled)

    def join(self, id: str) -> None:
        """An event of this id has come: a label that waited for it is learned now."""
        entry = self._pipeline.ledger.stop_waiting(id)
        if entry is not None:
            record = self._codec.waited(entry.label)
            label = self._codec.label(record)
            assert not isinstance(label, str), "it was decoded when it was read"
            self._one(record, label, {})

    def _recall_for(self, labels: list[Label]) -> dict[str, Remembered]:
        """Features of events that only the store holds, in one look-up."""
        ledger = self._pipeline.ledger
        ids = {
            label.id
            for label in labels
            if label.x is None and label.y is not None and ledger.knows(label.id) and ledger.fresh(label.id) is None
        }
        return self._recall(sorted(ids)) if ids else {}

    def _one(self, record: Record, label: Label, recalled: dict[str, Remembered]) -> None:
        pipeline = self._pipeline
        if label.y is None:
            self._forget(label.id)
            return
        refusal = problem.refusal(pipeline.state.problem, label.y)
        if refusal:
            pipeline.reject(record, refusal, "label")
            return
        x = self._features(record, label, recalled)
        if x is None:
            return
        pipeline.ledger.stop_waiting(label.id)
        pipeline.measurements.add("streamlearn_records_total", 1, topic=LABELS, outcome="accepted")
        query = pipeline.settle_query(label.id)
        if query is not None:
            pipeline.measurements.add("streamlearn_queries_answered_total", 1)
        self._learn(label, label.y, x, query is not None and query.reason == "audit")

    def _features(self, record: Record, label: Label, recalled: dict[str, Remembered]) -> Array | None:
        """The example's features (columns,), or None where the label has to wait or was rejected."""
        pipeline, ledger = self._pipeline, self._pipeline.ledger
        if label.x is not None:
            new_columns, encoded = columns.encode(pipeline.state.columns, [label.x])
            if encoded.reasons:
                pipeline.reject(record, encoded.reasons[0], "features")
                return None
            seen = ledger.knows(label.id) or label.id in ledger.labeled
            pipeline.observe(encoded, new_columns, encoded.rows[:0] if seen else encoded.rows)
            return np.asarray(encoded.rows[0])
        features = ledger.fresh(label.id)
        if features is None and ledger.knows(label.id) and label.id in recalled:
            features = recalled[label.id].x
        if features is not None:
            return np.asarray(columns.widen(pipeline.state.columns, row(features))[0])
        serial = ledger.labeled.get(label.id)
        kept = pipeline.state.examples
        if serial is not None and serial >= kept.first:
            return np.array(kept.X[serial - kept.first])
        if pipeline.rules.wait == 0:
            pipeline.reject(record, "no event with this id is known", "unknown id")
            return None
        dropped = ledger.wait_for_event(label.id, self._codec.waiting(record))
        if dropped is not None:
            reason = "too many labels wait for events that have not come"
            pipeline.reject(self._codec.waited(dropped.label), reason, "unknown id")
        return None

    def _learn(self, label: Label, y: problem.Label, x: Array, audit: bool) -> None:
        pipeline, settings = self._pipeline, self._pipeline.rules.learner
        serial = pipeline.ledger.labeled.get(label.id)
        held_out = settings.holdout and bool(draws([label.id], settings.seed).holdout[0] < settings.test_share)
        labeled = Labeled(x, y, label.weight, audit, held_out)
        if serial is None:
            serial = pipeline.state.examples.end
            pipeline.state = learner.step(pipeline.state, settings, labeled)
            pipeline.measurements.add("streamlearn_labels_total", 1)
        else:
            pipeline.state = learner.revise(pipeline.state, settings, serial, labeled)
        role = "test" if held_out else "train"
        example = Example(serial, label.id, x.tobytes(), msgspec.json.encode(y), label.weight, role, audit)
        pipeline.ledger.add_example(example)
        pipeline.ledger.drop_examples(pipeline.state.examples.first)
        pipeline.learned()

    def _forget(self, id: str) -> None:
        pipeline = self._pipeline
        pipeline.settle_query(id)
        serial = pipeline.ledger.forget(id)
        if serial is not None:
            pipeline.state = learner.revise(pipeline.state, pipeline.rules.learner, serial, None)
            pipeline.learned()
        pipeline.measurements.add("streamlearn_records_total", 1, topic=LABELS, outcome="accepted")
        pipeline.measurements.add("streamlearn_forgotten_total", 1)
