"""Labels meet their events by id: before them, after them, twice, with features of their own, or never."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamlearn import assemble
from streamlearn.config import Configuration, Labels, Queries
from streamlearn.edges.memory import MemoryStore
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import EVENTS, LABELS, REJECTED, Commit, Record

Line = tuple[str, dict[str, object] | None]


def event(id: str, x: object = (1.0, 2.0)) -> Line:
    return EVENTS, {"id": id, "x": x}


def label(id: str, y: object = True, **more: object) -> Line:
    return LABELS, {"id": id, "y": y, **more}


class Desk:
    """A pipeline over a memory store; `read` is one poll and one commit."""

    def __init__(self, wait: int = 5, remember: int = 100, keep: int = 0, outstanding: int = 100) -> None:
        told = Configuration()
        told = replace(
            told,
            labels=Labels(wait=wait, remember=remember),
            queries=Queries(budget=1.0, outstanding=outstanding, expire_s=1e6),
            training=replace(told.training, keep=keep),
        )
        self.store, self.measurements, self._read = MemoryStore(), Measurements(), 0
        self.pipeline: Pipeline = assemble.pipeline(told, self.store.recall, self.measurements)
        self.rejected: list[tuple[str, str]] = []

    def read(self, *lines: Line) -> None:
        records = []
        for role, value in lines:
            self._read += 1
            data = None if value is None else json.dumps(value).encode()
            records.append(Record(role, 0, self._read - 1, self._read, None, data))
        self.pipeline.step(records, None)
        number = self.store.load().number + 1
        self.store.commit(Commit(number, {}, b"", self.pipeline.ledger.take_changes(), {}, ()))
        for message in self.pipeline.take_outbox():
            if message.role == REJECTED:
                value = json.loads(message.value)
                self.rejected.append((json.loads(value["value"])["id"], value["reason"]))

    @property
    def examples(self) -> dict[str, list[float]]:
        """Id → features, as trained on."""
        kept = self.pipeline.state.examples
        return {id: kept.X[serial - kept.first].tolist() for id, serial in self.pipeline.ledger.labeled.items()}

    def answers(self) -> Sequence[object]:
        kept = self.pipeline.state.examples
        return kept.y[: len(kept)]


def test_a_label_is_joined_to_its_event_in_the_same_poll_or_a_later_one() -> None:
    for polls in ([[event("a"), label("a")]], [[event("a")], [label("a")]], [[event("a")], [event("b")], [label("a")]]):
        desk = Desk()
        for lines in polls:
            desk.read(*lines)
        assert {"a": [1.0, 2.0]} == desk.examples
        assert [] == desk.rejected


def test_a_label_waits_for_its_event_which_then_is_not_asked_about() -> None:
    desk = Desk()
    desk.read(label("a"))
    assert ["a"] == list(desk.pipeline.ledger.waiting)
    desk.read(event("a"), event("b"))
    assert {"a": [1.0, 2.0]} == desk.examples
    assert ["b"] == list(desk.pipeline.ledger.pending)
    assert {} == desk.pipeline.ledger.waiting


def test_a_label_that_waited_too_long_is_rejected_with_the_reason() -> None:
    desk = Desk(wait=2)
    desk.read(label("a"), event("1"), event("2"))
    assert [] == desk.rejected
    desk.read(event("3"), event("a"))
    assert [("a", "no event with this id came in time")] == desk.rejected
    assert {} == desk.examples
    assert "a" in desk.pipeline.ledger.pending  # so it is an event like any other


def test_only_so_many_labels_wait() -> None:
    desk = Desk(wait=2)
    desk.read(label("a"), label("b"), label("c"))
    assert [("a", "too many labels wait for events that have not come")] == desk.rejected
    assert ["b", "c"] == list(desk.pipeline.ledger.waiting)


def test_where_labels_do_not_wait_one_without_an_event_is_rejected() -> None:
    desk = Desk(wait=0)
    desk.read(label("a"))
    assert [("a", "no event with this id is known")] == desk.rejected


def test_a_label_keeps_waiting_when_its_event_is_rejected() -> None:
    desk = Desk(wait=3)
    desk.read(event("1"), label("a"), event("a", [1.0, 2.0, 3.0]), event("2"), event("3"))
    assert {"a": 1} == {id: entry.ordinal for id, entry in desk.pipeline.ledger.waiting.items()}
    desk.read(event("a"))
    assert {"a": [1.0, 2.0]} == desk.examples


def test_a_label_with_features_needs_no_event() -> None:
    desk = Desk()
    desk.read(label("a", x=[3.0, 4.0]))
    assert {"a": [3.0, 4.0]} == desk.examples
    assert 1.0 == desk.pipeline.state.moments.rows[:, 0].size
    desk.read(event("a"))
    assert {} == desk.pipeline.ledger.pending


def test_a_second_label_replaces_the_first_and_keeps_its_features() -> None:
    for cut in (1, 2, 3):
        desk = Desk()
        lines = [event("a"), label("a", "no", x=[7.0, 8.0]), label("a", "yes"), event("b")]
        desk.read(*lines[:cut])
        desk.read(*lines[cut:])
        assert {"a": [7.0, 8.0]} == desk.examples
        assert ["yes"] == desk.answers()
        assert 1 == desk.pipeline.state.labels


def test_a_null_label_forgets_the_example_and_its_event() -> None:
    desk = Desk()
    desk.read(event("a"), event("b"), label("a", "no"), label("b", "yes"))
    desk.read(label("a", None))
    assert {"b": [1.0, 2.0]} == desk.examples
    assert not desk.pipeline.ledger.knows("a")
    desk.read(label("a", "no"))
    assert ["a"] == list(desk.pipeline.ledger.waiting)
    desk.read(event("a", [5.0, 6.0]))
    assert {"b": [1.0, 2.0], "a": [5.0, 6.0]} == desk.examples
    assert 3 == desk.pipeline.state.labels


def test_a_null_label_withdraws_a_query_and_a_label_that_waits() -> None:
    desk = Desk()
    desk.read(event("a"), label("w"), label("a", None), label("w", None))
    assert ({}, {}) == (desk.pipeline.ledger.pending, desk.pipeline.ledger.waiting)
    assert 0 == desk.pipeline.standing.asking.selector.outstanding


def test_an_answer_settles_its_query() -> None:
    desk = Desk(outstanding=2)
    desk.read(event("a"), event("b"), event("c"))
    assert ["a", "b"] == list(desk.pipeline.ledger.pending)
    desk.read(label("b"))
    assert ["a"] == list(desk.pipeline.ledger.pending)
    assert 1 == desk.pipeline.standing.asking.selector.outstanding
    assert {(): 1.0} == desk.measurements.snapshot()["streamlearn_queries_answered_total"]


def test_a_label_that_does_not_fit_is_rejected_and_leaves_the_query_open() -> None:
    desk = Desk()
    desk.read(event("a"), event("b"), label("b", "yes"), label("a", 0.5))
    assert [("a", "label is a fraction; this problem's labels are classes")] == desk.rejected
    assert ["a"] == list(desk.pipeline.ledger.pending)


def test_features_of_before_a_column_was_added_are_widened() -> None:
    desk = Desk()
    desk.read(event("a", {"n": 1.0, "c": "red"}))
    desk.read(event("b", {"n": 2.0, "c": "blue", "m": 1}))
    desk.read(label("a", "yes"))
    np.testing.assert_array_equal([1.0, 1.0, 0.0, np.nan], desk.examples["a"])


def test_an_example_that_is_no_longer_kept_comes_back_as_a_new_one() -> None:
    desk = Desk(keep=2)
    desk.read(*(event(id) for id in "abc"), *(label(id, id) for id in "abc"))
    assert ["b", "c"] == list(desk.examples)
    desk.read(label("a", "a"))
    assert ["c", "a"] == list(desk.examples)
    assert 4 == desk.pipeline.state.labels
