"""What the metrics say of a pipeline's state after a turn."""

from __future__ import annotations

from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.learner import examples, score
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State, held, newest, objective, weights_of
from streamlearn.service.control import paused
from streamlearn.service.health import NUMBERS, Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.pipeline import Pipeline

FAILING_MOST = 3  # updates in a row that were not finite, before the daemon calls itself unready


def starved(pipeline: Pipeline) -> str:
    """Why no event can be chosen by its score; empty where one can."""
    state, selector = pipeline.state, pipeline.standing.asking.selector
    if selector.seen and selector.outstanding >= pipeline.standing.rules.budget.outstanding_most:
        return f"{selector.outstanding} queries are not answered, as many as queries.outstanding allows"
    if selector.seen and state.published is None:
        return "there is no model yet: it takes labels of two classes, or values"
    return ""


@final
class Observer:
    """States every gauge that follows from the pipeline's state; what follows from the fit alone, once for each."""

    def __init__(self, pipeline: Pipeline, health: Health, measurements: Measurements) -> None:
        self._pipeline, self._health, self._measurements = pipeline, health, measurements
        self._fit: Fit | None = None
        self._broken = ""  # what of the fit is no number

    def measure(self) -> None:
        """After a turn."""
        self._queries()
        self._learning(self._pipeline.state)
        fit = self._pipeline.state.published
        if fit is None:
            self._broken = ""
        elif fit is not self._fit:
            self._model(self._pipeline.state, fit)
        self._fit = fit
        self._numbers()

    def _queries(self) -> None:
        standing, told = self._pipeline.standing, self._measurements
        asking, selector, ledger = standing.asking, standing.asking.selector, standing.ledger
        told.set("streamlearn_labels_waiting", len(ledger.waiting))
        told.set("streamlearn_queries_outstanding", len(ledger.pending))
        told.set("streamlearn_query_threshold", selector.threshold)
        budget = standing.rules.budget.share * selector.entitled
        told.set("streamlearn_events_counted", standing.census.events)
        told.set("streamlearn_budget_used_ratio", selector.issued / budget if budget else 0.0)
        told.set("streamlearn_starved", float(bool(starved(self._pipeline))))
        told.set("streamlearn_resting", float(asking.outlook.resting))
        benefit = asking.outlook.watch(standing.state, ledger)
        if benefit is not None:
            told.set("streamlearn_excess_loss", benefit.excess)
            told.set("streamlearn_label_benefit", benefit.label)
        for what, stopped in paused(standing).items():
            told.set("streamlearn_paused", float(stopped), what=what)
        for each in standing.drift.counts:
            told.set(
                "streamlearn_drift_alarms_total", each.alarms, signal=each.signal, detector=standing.drift.detector
            )
            told.set("streamlearn_drift_active", float(ledger.count < each.until), signal=each.signal)

    def _learning(self, state: State) -> None:
        told, settings = self._measurements, self._pipeline.standing.rules.learner
        tests = int(examples.members(state.examples, held(state, settings)).sum())
        told.set("streamlearn_examples", len(self._pipeline.ledger.labeled) - tests, role="train")
        told.set("streamlearn_examples", tests, role="test")
        told.set(
            "streamlearn_effective_examples", effective(weights_of(state, settings, "all")[newest(state, settings)])
        )
        deviations = self._pipeline.standing.asking.deviations
        if deviations is not None:
            told.set("streamlearn_users", len(state.examples.by_user), having="labels")
            told.set("streamlearn_users", len(deviations), having="deviation")
        told.set("streamlearn_log_regularity_gradient", state.tuner.gradient)
        if state.progress.count:
            told.set("streamlearn_progressive_loss", state.progress.recent)
        if state.progress.audits:
            told.set("streamlearn_stream_loss", state.progress.audit_recent)
        scored = score.score(state.progress.score)
        if scored is not None:
            told.set("streamlearn_progressive_score", scored)
        told.set("streamlearn_updates_total", state.updates, outcome="taken")
        told.set("streamlearn_updates_total", state.skipped, outcome="skipped")
        told.set("streamlearn_tangent_restarts_total", state.restarts)

    def _model(self, state: State, fit: Fit) -> None:
        told, judged, settings = self._measurements, fit.certificate, self._pipeline.standing.rules.learner
        with np.errstate(over="ignore", invalid="ignore"):
            theta, tangent = float(np.linalg.norm(fit.theta)), float(np.linalg.norm(fit.log_tangent))
        told.set("streamlearn_parameters", fit.model.size)
        told.set("streamlearn_regularity", fit.regularity)
        of_all = fit.everybody
        complexity = objective(state, settings, fit.model, fit.frame).complexity(fit.theta)
        told.set("streamlearn_complexity", of_all.complexity if of_all else complexity)
        told.set("streamlearn_tangent_residual", fit.residual)
        for check in ("residual", "lag", "step", "growth", "curvature"):
            told.set("streamlearn_tangent_certificate", getattr(judged, check), check=check)
        told.set("streamlearn_tangent_trusted", float(judged.trusted))
        told.set("streamlearn_theta_norm", theta)
        told.set("streamlearn_tangent_norm", tangent)
        told.set("streamlearn_train_loss", fit.loss)
        named = {"theta": theta, "its tangent": tangent, "lambda": fit.regularity}
        self._broken = " and ".join(name for name, size in named.items() if not np.isfinite(size))

    def _numbers(self) -> None:
        """No fit that is not finite is taken, but a store may hold anything, and a norm may overflow."""
        failing = self._pipeline.state.failing
        if self._broken:
            self._health.unready(NUMBERS, f"of the model in use {self._broken} is not finite, or its square is not")
        elif failing >= FAILING_MOST:
            self._health.unready(NUMBERS, f"the last {failing} updates were not finite and were skipped")
        else:
            self._health.ready(NUMBERS)
        reasons = self._health.readiness()
        for part in self._health.parts:
            self._measurements.set("streamlearn_ready", float(part not in reasons), part=part)


def effective(weights: Array) -> float:
    """The number of examples of equal weight that would say as much (Kish): (Σw)²/Σw²."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0
