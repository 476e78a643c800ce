"""Scores that rest on a tangent are flagged while its certificate fails; others never are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from streamlearn import assemble
from streamlearn.config import Configuration, Queries, Regularity, Topics, Training
from streamlearn.edges.memory import MemoryStore
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import PREDICTIONS, QUERIES
from tests.laws.logs import stream


def published(strategy: str, solver: str, regularity: Regularity | None = None) -> dict[str, list[dict[str, Any]]]:
    """Queries and predictions of a run over 150 events, by topic."""
    told = replace(
        Configuration(),
        training=Training(solver=solver),
        regularity=regularity or Regularity(),
        queries=Queries(strategy=strategy, budget=0.3),
        topics=Topics(predictions="predictions"),
    )
    pipeline = assemble.pipeline(told, MemoryStore().recall, Measurements())
    pipeline.step(stream(150), None)
    messages = pipeline.take_outbox()
    return {role: [json.loads(m.value) for m in messages if m.role == role] for role in (QUERIES, PREDICTIONS)}


@pytest.mark.parametrize(("strategy", "solver"), [("sld", "newton"), ("uncertainty", "sgdf"), ("random", "sgdf")])
def test_scores_by_an_exact_tangent_or_by_none_are_trusted(strategy: str, solver: str) -> None:
    said = published(strategy, solver)
    assert len(said[QUERIES]) > 20
    assert all(message["trusted"] is True for messages in said.values() for message in messages)


def test_scores_by_a_tangent_that_lags_are_flagged_in_queries_and_predictions() -> None:
    # A weakest direction of curvature 1e-5 takes millions of steps; with the λ that is learned it takes a few.
    lagging, converged = (
        published("sld", "sgdf", each) for each in (Regularity(learn=False, fixed=1e-5), Regularity())
    )
    for role in (QUERIES, PREDICTIONS):
        scored = [message for message in lagging[role] if message["score"] is not None]
        assert scored
        assert not any(message["trusted"] for message in scored)
        unscored = [message for message in lagging[role] if message["score"] is None]
        assert all(message["trusted"] for message in unscored)  # nothing is claimed
        assert converged[role][-1]["trusted"]
