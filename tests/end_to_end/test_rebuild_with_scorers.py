"""A store that is lost, of a daemon that reads what scorers pass on: built again from candidates, queries and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamlearn import assemble, settings
from streamlearn.core import moments
from streamlearn.edges.system import SystemClock
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from tests.end_to_end.daemon_process import until
from tests.end_to_end.test_scorers import World
from tests.recovery.test_rebuild import EXACT, held, theta

pytestmark = pytest.mark.kafka
BUDGET = 0.1


def test_a_store_built_from_what_scorers_passed_on_is_that_of_before(kafka: str, prefix: str, tmp_path: Path) -> None:
    here = World(kafka, prefix, "confluent", tmp_path, *EXACT, f"queries.budget={BUDGET}", "queries.outstanding=1000")
    here.learn(40)
    scorer = here.scorer("only").wait_ready()
    try:
        for count in (400, 800, 1200):
            here.happen(400)
            here.take_in(count)
            answered = len(here.read("labels")) - 40
            for each in here.read("queries")[answered:]:
                here.answer(each["id"])
            here.producer.flush()
            until(lambda: here.daemon.turn() == 0, "all labels")
        assert 0 == scorer.drain()
        until(lambda: here.daemon.turn() == 0, "what was told last")
        here.daemon.drain()
    finally:
        scorer.kill()
    before, asked = here.daemon.pipeline, here.read("queries")
    here.daemon.close()
    (tmp_path / "store.db").unlink()
    told = settings.read(None, {}, here.own)
    assemble.rebuild(told, Health(), Measurements(), lambda _: False, SystemClock())
    here.open()
    until(lambda: here.daemon.turn() == 0, "what waits for a cut to fill")
    after = here.daemon.pipeline
    assert held(before) == held(after)
    assert 1200 == before.standing.census.events == after.standing.census.events
    features = [moments.closed(each.state.moments) for each in (before, after)]
    np.testing.assert_allclose(features[1].count, features[0].count)
    np.testing.assert_allclose(features[1].mean, features[0].mean, rtol=1e-9)
    np.testing.assert_allclose(theta(after), theta(before), rtol=1e-7, atol=1e-9)
    again = here.scorer("again").wait_ready()
    try:
        here.happen(400)
        here.take_in(1600)
    finally:
        again.kill()
    ids = [each["id"] for each in here.read("queries")]
    assert len(set(ids)) == len(ids)
    assert 0 < len(ids) - len(asked) <= BUDGET * 400 + 1
