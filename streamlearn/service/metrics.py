"""What can be watched: one table of all metrics, and a store of their values.

The table is the contract: dashboards and alerts are written against it, so a name or label that is not in it is our own
fault and asserted. Values are plain numbers here; `edges/prometheus.py` is the only place that knows a format. Names
follow Prometheus: base units, `_total` for counters, and labels whose values are few, never an id.

A counter may be `set` as well as added to, where its total is kept in the store: then it goes on after a restart. A
histogram has buckets that are fixed in the table, so it costs the same however much it has seen; it begins at 0 with each
process. An age is stated by when it began, and reckoned when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from threading import Lock
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from streamlearn.service.ports import EVENTS, LABELS

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
INPUTS = (EVENTS, LABELS)
COMMIT_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
ANSWER_S = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0, 604_800.0)
RATIOS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 5.0, 10.0)
SERIES_MOST = 10_000  # of one metric: more means that something unbounded has become a label


@final
@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # of a histogram: upper bounds, each included, the last one (infinity) left out
    known: tuple[tuple[str, ...], ...] = ()  # of a counter with labels: values that are there from the start


METRICS: tuple[Metric, ...] = (
    Metric(
        "streamlearn_records_total",
        COUNTER,
        "Events and labels read, by what became of them.",
        ("topic", "outcome"),
        known=tuple(product(INPUTS, ("accepted", "rejected"))),
    ),
    Metric(
        "streamlearn_rejected_total",
        COUNTER,
        "Events and labels rejected, by reason.",
        ("topic", "reason"),
        known=(
            *product(INPUTS, ("format", "size", "features")),
            ("events", "duplicate"),
            ("labels", "label"),
            ("labels", "unknown id"),
        ),
    ),
    Metric("streamlearn_lag", GAUGE, "Unread: records (Kafka) or bytes (embedded log).", ("topic", "partition")),
    Metric(
        "streamlearn_lag_seconds",
        GAUGE,
        "Age of the last record read while there is more to read, else 0; embedded log: how long there has been more.",
        ("topic", "partition"),
    ),
    Metric(
        "streamlearn_lost_total",
        COUNTER,
        "Records that the log no longer held when they were to be read, at most.",
        ("topic",),
        known=tuple((each,) for each in INPUTS),
    ),
    Metric("streamlearn_event_share", GAUGE, "Share of events that is read; the others are skipped."),
    Metric("streamlearn_skipped_total", COUNTER, "Records of events skipped, since more came than can be scored."),
    Metric("streamlearn_events_total", COUNTER, "Distinct valid events."),
    Metric("streamlearn_labels_total", COUNTER, "Labels taken into the labeled set."),
    Metric("streamlearn_forgotten_total", COUNTER, "Examples forgotten on request."),
    Metric("streamlearn_labels_waiting", GAUGE, "Labels that wait for their event."),
    Metric("streamlearn_examples", GAUGE, "Labeled examples kept, by role: train or test.", ("role",)),
    Metric(
        "streamlearn_effective_examples",
        GAUGE,
        "Labeled examples of equal weight that would say as much: the square of the summed weights over their summed squares.",
    ),
    Metric("streamlearn_users", GAUGE, "Users who have labels, and those whose deviation is in memory.", ("having",)),
    Metric("streamlearn_parameters", GAUGE, "Parameters of the model."),
    Metric("streamlearn_columns_ignored_total", COUNTER, "Columns and categories beyond the bound, left out."),
    Metric("streamlearn_regularity", GAUGE, "The regularity, lambda."),
    Metric("streamlearn_log_regularity_gradient", GAUGE, "The last gradient of the test loss by log lambda."),
    Metric("streamlearn_tangent_residual", GAUGE, "How far the tangent is from solving its equation, relative."),
    Metric(
        "streamlearn_tangent_certificate",
        GAUGE,
        "What is known of the tangent: residual, lag, step over the critical one, growth, curvature.",
        ("check",),
    ),
    Metric("streamlearn_tangent_trusted", GAUGE, "1 while the tangent passes every check, else 0."),
    Metric("streamlearn_theta_norm", GAUGE, "Euclidean norm of the parameters."),
    Metric("streamlearn_tangent_norm", GAUGE, "Euclidean norm of the tangent."),
    Metric("streamlearn_complexity", GAUGE, "R of the parameters, what the regularity penalises."),
    Metric("streamlearn_train_loss", GAUGE, "Mean loss on the labeled set."),
    Metric("streamlearn_progressive_loss", GAUGE, "Mean loss on labels before they were learned."),
    Metric(
        "streamlearn_progressive_score",
        GAUGE,
        "Score on labels before they were learned, lately: balanced accuracy of classes, R2 of values.",
    ),
    Metric("streamlearn_stream_loss", GAUGE, "The same from audit labels only: an unbiased estimate of the stream's."),
    Metric("streamlearn_updates_total", COUNTER, "Updates of the model, by outcome.", ("outcome",)),
    Metric("streamlearn_tangent_restarts_total", COUNTER, "Tangents that exploded and were started again."),
    Metric("streamlearn_events_counted", GAUGE, "With topics.candidates: events that scorers have counted, each once."),
    Metric(
        "streamlearn_queries_issued_total",
        COUNTER,
        "Queries issued, by reason: score or audit.",
        ("reason",),
        known=(("score",), ("audit",)),
    ),
    Metric("streamlearn_queries_answered_total", COUNTER, "Queries answered by a label."),
    Metric(
        "streamlearn_query_answer_seconds", HISTOGRAM, "Time from a query to the label that answers it.", (), ANSWER_S
    ),
    Metric("streamlearn_queries_expired_total", COUNTER, "Queries given up unanswered."),
    Metric("streamlearn_queries_outstanding", GAUGE, "Queries not yet answered."),
    Metric("streamlearn_query_threshold", GAUGE, "The score from which an event is asked about."),
    Metric(
        "streamlearn_score_ratio",
        HISTOGRAM,
        "Scores of events over the score from which events were asked about just then.",
        (),
        RATIOS,
    ),
    Metric("streamlearn_budget_used_ratio", GAUGE, "Queries issued over queries allowed so far."),
    Metric(
        "streamlearn_starved", GAUGE, "1 while no event can be chosen by its score: no model yet, or the cap reached."
    ),
    Metric(
        "streamlearn_excess_loss",
        GAUGE,
        "Expected excess of the stream's mean loss over the best of this model, for want of labels.",
    ),
    Metric(
        "streamlearn_label_benefit",
        GAUGE,
        "Expected fall of the stream's mean loss by the label of one more event, taken by chance.",
    ),
    Metric("streamlearn_resting", GAUGE, "1 while a label buys less than queries.rest_below: only audits are asked."),
    Metric("streamlearn_paused", GAUGE, "1 while an operator has paused this: asking or learning.", ("what",)),
    Metric(
        "streamlearn_drift_alarms_total",
        COUNTER,
        "Alarms of drift, by signal: loss of labels or scores of events.",
        ("signal", "detector"),
    ),
    Metric(
        "streamlearn_drift_active",
        GAUGE,
        "1 for drift.for_events events after an alarm, while the response is in force.",
        ("signal",),
    ),
    Metric("streamlearn_models_total", COUNTER, "Models published."),
    Metric("streamlearn_model_bytes", GAUGE, "Size of the last of them."),
    Metric("streamlearn_model_version", GAUGE, "Of a scorer: version of the model that it scores by."),
    Metric("streamlearn_model_age_seconds", GAUGE, "Of a scorer: how long ago that model was taken."),
    Metric("streamlearn_stopped", GAUGE, "Of a scorer: 1 while it reads no event, for its model is too old."),
    Metric(
        "streamlearn_candidates_total",
        COUNTER,
        "Of a scorer: events passed on, by reason: score, audit or sample.",
        ("reason",),
        known=(("score",), ("audit",), ("sample",)),
    ),
    Metric("streamlearn_commits_total", COUNTER, "Commits since the start of the process."),
    Metric("streamlearn_commit_number", GAUGE, "Number of the last commit."),
    Metric(
        "streamlearn_commit_duration_seconds", HISTOGRAM, "How long commits took, publishing included.", (), COMMIT_S
    ),
    Metric("streamlearn_commit_bytes", GAUGE, "What the last commit wrote: state, changes and messages."),
    Metric(
        "streamlearn_commit_age_seconds", GAUGE, "Time since the last commit, or the start. A quiet stream has none."
    ),
    Metric("streamlearn_loop_age_seconds", GAUGE, "Time since the loop's last turn, or its last step in a long one."),
    Metric("streamlearn_ready", GAUGE, "1 where this part is ready, else 0.", ("part",)),
    Metric("streamlearn_process_start_time_seconds", GAUGE, "When the process began, in seconds since 1970."),
    Metric("streamlearn_build_info", GAUGE, "Always 1; versions are the labels.", ("version", "python")),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}

Values = dict[tuple[str, ...], float]  # label values, in the table's order → value


class Distribution(NamedTuple):
    """What a histogram has seen: how many in each bucket, the last one without a bound, and their sum."""

    counts: tuple[int, ...]
    total: float


Distributions = dict[tuple[str, ...], Distribution]


@final
class Measurements:
    """The current value of every metric; one per daemon, shared by its threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        # Counters are there from the start, as far as labels are known, so that a first increase can be seen as one.
        self._values: dict[str, Values] = {
            metric.name: dict.fromkeys(metric.known if metric.labels else ((),), 0.0) if metric.kind == COUNTER else {}
            for metric in METRICS
            if metric.kind != HISTOGRAM
        }
        self._distributions: dict[str, Distributions] = {
            metric.name: {} if metric.labels else {(): Distribution((0,) * (len(metric.buckets) + 1), 0.0)}
            for metric in METRICS
            if metric.kind == HISTOGRAM
        }
        self._since: dict[str, Values] = {}

    def set(self, name: str, value: float, /, **labels: str | int) -> None:
        """State the value of a gauge, or the total of a counter that is kept elsewhere."""
        series = _series(name, labels)
        assert BY_NAME[name].kind != HISTOGRAM, f"{name} is a histogram: let it observe"
        with self._lock:
            self._since.get(name, {}).pop(series, None)
            self._put(name, series, float(value))

    def since(self, name: str, moment: float, /, **labels: str | int) -> None:
        """State from which moment on (monotonic time) a gauge counts seconds."""
        series = _series(name, labels)
        assert BY_NAME[name].kind == GAUGE, f"{name} is no gauge"
        with self._lock:
            self._since.setdefault(name, {})[series] = moment

    def age(self, now_monotonic: float) -> None:
        """Bring up to date the gauges that count seconds."""
        with self._lock:
            for name, moments in self._since.items():
                for series, moment in moments.items():
                    self._put(name, series, max(0.0, now_monotonic - moment))

    def add(self, name: str, amount: float, /, **labels: str | int) -> None:
        """Add to a counter."""
        series = _series(name, labels)
        assert BY_NAME[name].kind == COUNTER, f"{name} is no counter: set it"
        assert amount >= 0, f"{name} cannot fall"
        with self._lock:
            self._put(name, series, self._values[name].get(series, 0.0) + amount)

    def observe(self, name: str, values: ArrayLike, /, **labels: str | int) -> None:
        """Give a histogram one value or many; those that are not finite are left out."""
        series, metric = _series(name, labels), BY_NAME[name]
        assert metric.kind == HISTOGRAM, f"{name} is no histogram"
        seen = np.atleast_1d(np.asarray(values, dtype=float))
        seen = seen[np.isfinite(seen)]
        new = np.bincount(np.searchsorted(metric.buckets, seen), minlength=len(metric.buckets) + 1).tolist()
        with self._lock:
            before = self._distributions[name].get(series, Distribution((0,) * len(new), 0.0))
            counts = tuple(a + b for a, b in zip(before.counts, new, strict=True))
            self._distributions[name][series] = Distribution(counts, before.total + float(seen.sum()))
            assert len(self._distributions[name]) <= SERIES_MOST, f"{name} has too many label values"

    def snapshot(self) -> dict[str, Values]:
        """All values at one moment, by metric in the table's order, but for histograms; a copy."""
        with self._lock:
            return {name: dict(values) for name, values in self._values.items()}

    def distributions(self) -> dict[str, Distributions]:
        """The same of histograms."""
        with self._lock:
            return {name: dict(found) for name, found in self._distributions.items()}

    def _put(self, name: str, series: tuple[str, ...], value: float) -> None:
        self._values[name][series] = value
        assert len(self._values[name]) <= SERIES_MOST, f"{name} has too many label values"


def _series(name: str, labels: Mapping[str, str | int]) -> tuple[str, ...]:
    metric = BY_NAME.get(name)
    assert metric is not None, f"{name} is not in the table of metrics"
    assert set(labels) == set(metric.labels), f"{name} has the labels {metric.labels}, not {tuple(labels)}"
    return tuple(str(labels[label]) for label in metric.labels)
