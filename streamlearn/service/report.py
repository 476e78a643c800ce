"""The report: what a pipeline has come to, as one JSON object. `replay` prints it for a log, `inspect` for a store."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from streamlearn.core.models.model import in_words
from streamlearn.learner import examples
from streamlearn.learner.fit import Fit
from streamlearn.learner.state import State, held
from streamlearn.service import restore
from streamlearn.service.pipeline import Pipeline


def report(pipeline: Pipeline) -> dict[str, object]:
    """Losses are means in the labels' own units. `theta` and `tangent` = dθ/dλ belong to `regularity` = λ."""
    state, ledger, kept = pipeline.state, pipeline.ledger, pipeline.state.examples
    tests = examples.members(kept, held(state, pipeline.standing.rules.learner))
    roles = {id: bool(tests[serial - kept.first]) for id, serial in ledger.labeled.items()}
    holdout = any(roles.values())
    fit = state.published
    lam = fit.regularity if fit else None
    return {
        "digest": restore.digest(pipeline),
        "events": ledger.count,
        "labels": state.labels,
        "train": sum(not test for test in roles.values()),
        "test": sum(roles.values()) if holdout else state.progress.count,
        "queries": pipeline.standing.asking.selector.issued,
        "audits": pipeline.standing.asking.selector.audits,
        "rejected": pipeline.standing.rejected,
        "train_loss": _finite(state.fit.loss if state.fit else None),
        "test_loss": _finite(state.test_loss if holdout else state.progress.mean),
        "stream_loss": state.progress.audit_total / state.progress.audits if state.progress.audits else None,
        "regularity": lam,
        "tangent_residual": _finite(fit.residual if fit else None),
        "tangent_failures": list(fit.certificate.failures) if fit else None,
        "drift": drift_of(pipeline),
        "loss": state.problem.loss,
        "classes": list(state.problem.classes),
        "theta": fit.theta.tolist() if fit else None,
        "tangent": (fit.log_tangent / lam).tolist() if fit and lam else None,
        "parameter_names": parameter_names(state, fit) if fit else None,
        "train_ids": [id for id, test in roles.items() if not test],
        "test_ids": [id for id, test in roles.items() if test],
    }


def drift_of(pipeline: Pipeline) -> dict[str, object]:
    """Alarms by signal, and the last one."""
    drift = pipeline.standing.drift
    last = drift.last and {
        "signal": drift.last.signal,
        "events": drift.last.events,
        "since": drift.last.since,
        "time": datetime.fromtimestamp(drift.last.time, UTC).isoformat(timespec="seconds"),
    }
    return {"detector": drift.detector, "alarms": {each.signal: each.alarms for each in drift.counts}, "last": last}


def _finite(value: float | None) -> float | None:
    """JSON has no word for what is not finite."""
    return value if value is not None and math.isfinite(value) else None


def parameter_names(state: State, fit: Fit) -> list[str]:
    """Names in the order of theta; with one output a class, `class:column`. Of a network, names of its parts, with shapes."""
    if fit.model.kind != "linear":
        return in_words(fit.model.blocks)
    columns = ["intercept", *state.columns.names[: fit.model.columns - 1]]
    if fit.model.outputs_count == 1:
        return columns
    return [f"{label}:{column}" for label in state.problem.classes for column in columns]
