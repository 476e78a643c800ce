"""Replay's order depends on the log alone; its report has the keys that others rely on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from streamlearn import assemble
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.memory import MemoryLog, MemorySource, MemoryStore
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Record
from streamlearn.service.replay import finished, ordered, replay
from streamlearn.service.report import report
from tests.laws import logs


def record(role: str, offset: int, time: float | None = None, bad: bool = False) -> Record:
    value: dict[str, object] = {"id": f"{role[0]}{offset}", "x": [1.0], "y": True}
    if role == EVENTS:
        del value["y"]
    if time is not None:
        value["time"] = time
    return Record(role, 0, offset, offset + 1, None, b"{" if bad else json.dumps(value).encode())


def order(events: list[Record], labels: list[Record]) -> list[str]:
    codec = JsonCodec()
    expected = [f"{entry.role[0]}{entry.offset}" for entry in ordered(labels + events, codec)]
    assert expected == [f"{entry.role[0]}{entry.offset}" for entry in ordered(events + labels, codec)]
    return expected


def test_by_time_where_both_topics_carry_it_and_an_event_goes_before_a_label_of_the_same_moment() -> None:
    events = [record(EVENTS, i, time) for i, time in enumerate([1.0, 2.0, 5.0])]
    labels = [record(LABELS, i, time) for i, time in enumerate([0.5, 2.0, 3.0])]
    assert ["l0", "e0", "e1", "l1", "l2", "e2"] == order(events, labels)


def test_a_topics_own_order_comes_first() -> None:
    events = [record(EVENTS, i, time) for i, time in enumerate([4.0, 1.0, 6.0])]
    labels = [record(LABELS, i, time) for i, time in enumerate([2.0, 5.0])]
    assert ["l0", "e0", "e1", "l1", "e2"] == order(events, labels)


def test_a_record_without_a_time_goes_with_the_one_before_it() -> None:
    events = [record(EVENTS, 0, 1.0), record(EVENTS, 1), record(EVENTS, 2, 3.0)]
    labels = [record(LABELS, 0, 2.0), record(LABELS, 1, bad=True)]
    assert ["e0", "e1", "l0", "l1", "e2"] == order(events, labels)


def test_a_bad_first_line_does_not_hide_the_times_of_the_others() -> None:
    events = [record(EVENTS, 0, bad=True), record(EVENTS, 1, 1.0), record(EVENTS, 2, 3.0)]
    labels = [record(LABELS, 0, 2.0)]
    assert ["e0", "e1", "l0", "e2"] == order(events, labels)


def test_in_proportion_where_a_topic_carries_no_time() -> None:
    events = [record(EVENTS, i, float(i)) for i in range(6)]
    labels = [record(LABELS, i) for i in range(3)]
    assert ["e0", "e1", "l0", "e2", "e3", "l1", "e4", "e5", "l2"] == order(events, labels)
    assert ["l0", "l1", "e0", "l2"] == order(events[:1], labels)


@pytest.mark.parametrize(("events", "labels"), [(0, 0), (3, 0), (0, 2)])
def test_a_topic_may_be_empty(events: int, labels: int) -> None:
    expected = [f"e{i}" for i in range(events)] + [f"l{i}" for i in range(labels)]
    assert expected == order([record(EVENTS, i) for i in range(events)], [record(LABELS, i) for i in range(labels)])


def test_all_that_the_log_holds_is_read() -> None:
    log = MemoryLog()
    for i in range(2500):
        log.append(EVENTS if i % 3 else LABELS, b"{}")
    assert 2500 == len(finished(MemorySource(log, waits=False)))


KEYS = {
    "digest",
    "events",
    "labels",
    "train",
    "test",
    "queries",
    "rejected",
    "train_loss",
    "test_loss",
    "regularity",
    "tangent_residual",
    "theta",
    "tangent",
    "parameter_names",
    "train_ids",
    "test_ids",
}


def result(validation: str, records: list[Record], poll_size: int = 50) -> dict[str, object]:
    store, told = MemoryStore(), logs.configuration(validation=validation)
    pipeline, done = assemble.pipeline(told, store.recall, Measurements()), list[int]()
    replay(pipeline, store, records, poll_size, done.append)
    assert len(records) == (done[-1] if done else 0)
    assert pipeline.state.unfitted == 0
    return report(pipeline)


@pytest.mark.parametrize("validation", ["progressive", "holdout", "rotating", "leave-one-out"])
def test_the_report_has_the_keys_that_are_promised_and_is_json(validation: str) -> None:
    for records in ([], logs.stream(60)):
        got = result(validation, records)
        assert got.keys() >= KEYS
        assert got == json.loads(json.dumps(got, allow_nan=False))


def test_the_report_of_a_stream_says_what_was_done() -> None:
    records = logs.stream(90)
    got = result("progressive", records)
    labels = sum(entry.role == LABELS for entry in records)
    assert (90, labels, labels) == (got["events"], got["labels"], got["train"])
    assert ["intercept", "x0", "x1", "x2", "x3"] == got["parameter_names"]
    assert len(got["theta"]) == len(got["tangent"]) == 5  # type: ignore[arg-type]
    assert [] == got["test_ids"]
    assert got["test"] == labels - 1  # but the first, which met no model, were scored before they were learned
    assert len(got["train_ids"]) == labels  # type: ignore[arg-type]


@pytest.mark.parametrize("validation", ["holdout", "rotating"])
def test_the_report_says_who_is_held_out(validation: str) -> None:
    got = result(validation, logs.stream(90))
    train, test = got["train_ids"], got["test_ids"]
    assert isinstance(train, list)
    assert isinstance(test, list)
    assert (len(train), len(test)) == (got["train"], got["test"])
    assert test
    assert not {*train} & {*test}


@pytest.mark.parametrize("poll_size", [1, 7, 1000])
def test_the_poll_size_changes_nothing(poll_size: int) -> None:
    records = ordered(logs.log(5, 100), JsonCodec())
    assert result("progressive", records) == result("progressive", records, poll_size)


def test_the_tangent_is_by_lambda_and_belongs_to_the_reported_lambda() -> None:
    store, told = MemoryStore(), logs.configuration()
    pipeline = assemble.pipeline(told, store.recall, Measurements())
    replay(pipeline, store, logs.stream(60), 50, lambda done: None)
    got, fit = report(pipeline), pipeline.state.published
    assert fit is not None
    assert fit.regularity == got["regularity"]
    np.testing.assert_allclose(np.array(got["tangent"]) * fit.regularity, fit.log_tangent, rtol=1e-14)
