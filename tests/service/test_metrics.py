"""The table keeps Prometheus' conventions, and the store keeps to the table."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

from streamlearn.service.metrics import BY_NAME, COUNTER, GAUGE, HISTOGRAM, METRICS, SERIES_MOST, Measurements


def test_names_are_distinct_and_follow_the_conventions() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"streamlearn_[a-z_]+", metric.name)
        assert metric.kind in (COUNTER, GAUGE, HISTOGRAM)
        assert (metric.kind == HISTOGRAM) == bool(metric.buckets)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert "le" not in metric.labels
        assert all(len(series) == len(metric.labels) for series in metric.known)
        assert metric.kind == COUNTER or not metric.known
        assert (metric.kind == COUNTER) == metric.name.endswith("_total")
        assert metric.help.endswith(".")


def test_values_are_kept_by_label() -> None:
    measured = Measurements()
    measured.set("streamlearn_lag", 3, partition=0, topic="events")
    measured.set("streamlearn_lag", 4, topic="events", partition="0")
    measured.add("streamlearn_rejected_total", 2, topic="events", reason="nan")
    measured.add("streamlearn_rejected_total", 1, topic="events", reason="nan")
    snapshot = measured.snapshot()
    assert snapshot["streamlearn_lag"] == {("events", "0"): 4.0}
    assert {series: value for series, value in snapshot["streamlearn_rejected_total"].items() if value} == {
        ("events", "nan"): 3.0
    }


def test_counters_without_labels_begin_at_zero_and_gauges_are_absent() -> None:
    snapshot = Measurements().snapshot()
    assert list(snapshot) == [metric.name for metric in METRICS if metric.kind != HISTOGRAM]
    assert snapshot["streamlearn_events_total"] == {(): 0.0}
    assert snapshot["streamlearn_regularity"] == {}
    assert snapshot["streamlearn_queries_issued_total"] == {("score",): 0.0, ("audit",): 0.0}


def test_a_snapshot_does_not_change() -> None:
    measured = Measurements()
    before = measured.snapshot()
    measured.add("streamlearn_events_total", 1)
    assert before["streamlearn_events_total"] == {(): 0.0}


def test_what_is_not_in_the_table_is_our_own_fault() -> None:
    measured = Measurements()
    with pytest.raises(AssertionError, match="not in the table"):
        measured.set("streamlearn_nothing", 1)
    with pytest.raises(AssertionError, match="has the labels"):
        measured.add("streamlearn_events_total", 1, topic="events")
    with pytest.raises(AssertionError, match="has the labels"):
        measured.set("streamlearn_lag", 1, topic="events")
    with pytest.raises(AssertionError, match="no counter"):
        measured.add("streamlearn_regularity", 1)
    with pytest.raises(AssertionError, match="let it observe"):
        measured.set("streamlearn_score_ratio", 1)
    with pytest.raises(AssertionError, match="no histogram"):
        measured.observe("streamlearn_regularity", 1)
    with pytest.raises(AssertionError, match="cannot fall"):
        measured.add("streamlearn_events_total", -1)


def test_an_unbounded_label_is_our_own_fault() -> None:
    measured = Measurements()
    for number in range(SERIES_MOST):
        measured.set("streamlearn_lag", 0, topic="events", partition=number)
    with pytest.raises(AssertionError, match="too many label values"):
        measured.set("streamlearn_lag", 0, topic="labels", partition=0)


def test_a_histogram_counts_by_bucket_with_bounds_included() -> None:
    measured, name = Measurements(), "streamlearn_score_ratio"
    bounds = np.array(BY_NAME[name].buckets)
    seen = np.random.default_rng(0).exponential(2.0, 1000)
    measured.observe(name, bounds)
    measured.observe(name, seen)
    measured.observe(name, 1e9)
    measured.observe(name, [np.nan, np.inf, -np.inf])
    measured.observe(name, [])
    found, all_ = measured.distributions()[name][()], np.concatenate([bounds, seen, [1e9]])
    assert np.cumsum(found.counts).tolist() == [(all_ <= bound).sum() for bound in [*bounds, np.inf]]
    assert found.total == pytest.approx(all_.sum())


def test_an_age_grows_until_it_is_set() -> None:
    measured, name = Measurements(), "streamlearn_lag_seconds"
    measured.since(name, 100.0, topic="events", partition=0)
    measured.since(name, 100.0, topic="events", partition=1)
    measured.set(name, 0, topic="events", partition=1)
    for now, age in ((104.0, 4.0), (110.0, 10.0), (99.0, 0.0)):
        measured.age(now)
        assert measured.snapshot()[name] == {("events", "0"): age, ("events", "1"): 0.0}


def test_no_addition_is_lost_between_threads() -> None:
    measured = Measurements()

    def work() -> None:
        for _ in range(2000):
            measured.add("streamlearn_events_total", 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert measured.snapshot()["streamlearn_events_total"] == {(): 8000.0}
