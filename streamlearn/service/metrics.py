"""What can be watched: one table of all metrics, and a store of their values.

The table is the contract: dashboards and alerts are written against it, so a name or label that is not in it is our own
fault and asserted. Values are plain numbers here; `edges/prometheus.py` is the only place that knows a format. Names
follow Prometheus: base units, `_total` for counters, and labels whose values are few, never an id.

A counter may be `set` as well as added to, where its total is kept in the store: then it goes on after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import final

COUNTER, GAUGE = "counter", "gauge"
SERIES_MOST = 10_000  # of one metric: more means that something unbounded has become a label


@final
@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric(
        "streamlearn_records_total", COUNTER, "Events and labels read, by what became of them.", ("topic", "outcome")
    ),
    Metric("streamlearn_rejected_total", COUNTER, "Events and labels rejected, by reason.", ("topic", "reason")),
    Metric("streamlearn_lag", GAUGE, "Unread: records (Kafka) or bytes (embedded log).", ("topic", "partition")),
    Metric(
        "streamlearn_lost_total",
        COUNTER,
        "Records that the log no longer held when they were to be read, at most.",
        ("topic",),
    ),
    Metric("streamlearn_event_share", GAUGE, "Share of events that is read; the others are skipped."),
    Metric("streamlearn_skipped_total", COUNTER, "Records of events skipped, since more came than can be scored."),
    Metric("streamlearn_events_total", COUNTER, "Distinct valid events."),
    Metric("streamlearn_labels_total", COUNTER, "Labels taken into the labeled set."),
    Metric("streamlearn_forgotten_total", COUNTER, "Examples forgotten on request."),
    Metric("streamlearn_labels_waiting", GAUGE, "Labels that wait for their event."),
    Metric("streamlearn_examples", GAUGE, "Labeled examples kept, by role: train or test.", ("role",)),
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
    Metric("streamlearn_train_loss", GAUGE, "Mean loss on the labeled set."),
    Metric("streamlearn_progressive_loss", GAUGE, "Mean loss on labels before they were learned."),
    Metric("streamlearn_stream_loss", GAUGE, "The same from audit labels only: an unbiased estimate of the stream's."),
    Metric("streamlearn_updates_total", COUNTER, "Updates of the model, by outcome.", ("outcome",)),
    Metric("streamlearn_tangent_restarts_total", COUNTER, "Tangents that exploded and were started again."),
    Metric("streamlearn_events_counted", GAUGE, "With topics.candidates: events that scorers have counted, each once."),
    Metric("streamlearn_queries_issued_total", COUNTER, "Queries issued, by reason: score or audit.", ("reason",)),
    Metric("streamlearn_queries_answered_total", COUNTER, "Queries answered by a label."),
    Metric("streamlearn_queries_expired_total", COUNTER, "Queries given up unanswered."),
    Metric("streamlearn_queries_outstanding", GAUGE, "Queries not yet answered."),
    Metric("streamlearn_query_threshold", GAUGE, "The score from which an event is asked about."),
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
    Metric("streamlearn_models_total", COUNTER, "Models published."),
    Metric("streamlearn_model_bytes", GAUGE, "Size of the last of them."),
    Metric("streamlearn_model_version", GAUGE, "Of a scorer: version of the model that it scores by."),
    Metric("streamlearn_model_age_seconds", GAUGE, "Of a scorer: how long ago that model was taken."),
    Metric(
        "streamlearn_candidates_total",
        COUNTER,
        "Of a scorer: events passed on, by reason: score or audit.",
        ("reason",),
    ),
    Metric("streamlearn_commits_total", COUNTER, "Commits since the start of the process."),
    Metric("streamlearn_commit_number", GAUGE, "Number of the last commit."),
    Metric("streamlearn_commit_duration_seconds", GAUGE, "How long the last commit took."),
    Metric("streamlearn_loop_age_seconds", GAUGE, "Time since the loop's last turn."),
    Metric("streamlearn_ready", GAUGE, "1 where this part is ready, else 0.", ("part",)),
    Metric("streamlearn_build_info", GAUGE, "Always 1; the version is the label.", ("version",)),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}

Values = dict[tuple[str, ...], float]  # label values, in the table's order → value


@final
class Measurements:
    """The current value of every metric; one per daemon, shared by its threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        # A counter without labels is there from the start, so that its first increase can be seen as one.
        self._values: dict[str, Values] = {
            metric.name: {(): 0.0} if metric.kind == COUNTER and not metric.labels else {} for metric in METRICS
        }

    def set(self, name: str, value: float, /, **labels: str | int) -> None:
        """State the value of a gauge, or the total of a counter that is kept elsewhere."""
        series = _series(name, labels)
        with self._lock:
            self._values[name][series] = float(value)
            assert len(self._values[name]) <= SERIES_MOST, f"{name} has too many label values"

    def add(self, name: str, amount: float, /, **labels: str | int) -> None:
        """Add to a counter."""
        series = _series(name, labels)
        assert BY_NAME[name].kind == COUNTER, f"{name} is no counter: set it"
        assert amount >= 0, f"{name} cannot fall"
        with self._lock:
            self._values[name][series] = self._values[name].get(series, 0.0) + amount
            assert len(self._values[name]) <= SERIES_MOST, f"{name} has too many label values"

    def snapshot(self) -> dict[str, Values]:
        """All values at one moment, by metric in the table's order; a copy."""
        with self._lock:
            return {name: dict(values) for name, values in self._values.items()}


def _series(name: str, labels: Mapping[str, str | int]) -> tuple[str, ...]:
    metric = BY_NAME.get(name)
    assert metric is not None, f"{name} is not in the table of metrics"
    assert set(labels) == set(metric.labels), f"{name} has the labels {metric.labels}, not {tuple(labels)}"
    return tuple(str(labels[label]) for label in metric.labels)
