"""What the metrics say of a pipeline's state after a turn."""

from __future__ import annotations

import numpy as np

from streamlearn.learner import examples
from streamlearn.learner.state import held
from streamlearn.service.control import paused
from streamlearn.service.health import Health
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


def measure(pipeline: Pipeline, health: Health, measurements: Measurements) -> None:
    """Set every gauge that follows from the pipeline's state."""
    state, ledger, selector = pipeline.state, pipeline.ledger, pipeline.standing.asking.selector
    measurements.set("streamlearn_labels_waiting", len(ledger.waiting))
    measurements.set("streamlearn_queries_outstanding", len(ledger.pending))
    measurements.set("streamlearn_query_threshold", selector.threshold)
    budget = pipeline.standing.rules.budget.share * selector.entitled
    measurements.set("streamlearn_events_counted", pipeline.standing.census.events)
    measurements.set("streamlearn_budget_used_ratio", selector.issued / budget if budget else 0.0)
    measurements.set("streamlearn_starved", float(bool(starved(pipeline))))
    asking = pipeline.standing.asking
    measurements.set("streamlearn_resting", float(asking.outlook.resting))
    benefit = asking.outlook.watch(state, ledger)
    if benefit is not None:
        measurements.set("streamlearn_excess_loss", benefit.excess)
        measurements.set("streamlearn_label_benefit", benefit.label)
    tests = int(examples.members(state.examples, held(state, pipeline.standing.rules.learner)).sum())
    measurements.set("streamlearn_examples", len(ledger.labeled) - tests, role="train")
    measurements.set("streamlearn_examples", tests, role="test")
    if asking.deviations is not None:
        measurements.set("streamlearn_users", len(state.examples.by_user), having="labels")
        measurements.set("streamlearn_users", len(asking.deviations), having="deviation")
    measurements.set("streamlearn_log_regularity_gradient", state.tuner.gradient)
    measurements.set("streamlearn_progressive_loss", state.progress.recent)
    measurements.set("streamlearn_stream_loss", state.progress.audit_recent)
    measurements.set("streamlearn_updates_total", state.updates, outcome="taken")
    measurements.set("streamlearn_updates_total", state.skipped, outcome="skipped")
    measurements.set("streamlearn_tangent_restarts_total", state.restarts)
    for what, stopped in paused(pipeline.standing).items():
        measurements.set("streamlearn_paused", float(stopped), what=what)
    fit = state.published
    if fit is not None:
        measurements.set("streamlearn_parameters", fit.model.size)
        measurements.set("streamlearn_regularity", fit.regularity)
        measurements.set("streamlearn_tangent_residual", fit.residual)
        judged = fit.certificate
        for check in ("residual", "lag", "step", "growth", "curvature"):
            measurements.set("streamlearn_tangent_certificate", getattr(judged, check), check=check)
        measurements.set("streamlearn_tangent_trusted", float(judged.trusted))
        measurements.set("streamlearn_theta_norm", float(np.linalg.norm(fit.theta)))
        measurements.set("streamlearn_tangent_norm", float(np.linalg.norm(fit.log_tangent)))
        measurements.set("streamlearn_train_loss", fit.loss)
    if state.failing >= FAILING_MOST:
        health.unready("numbers", f"the last {state.failing} updates were not finite and were skipped")
    else:
        health.ready("numbers")
    reasons = health.readiness()
    for part in ("start", "log", "store", "numbers"):
        measurements.set("streamlearn_ready", float(part not in reasons), part=part)
