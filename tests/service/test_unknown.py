"""What is not known of a user in the daemon: whom it would ask first."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.config import Users
from streamlearn.learner import columns
from streamlearn.service.asking import Segment
from streamlearn.service.ports import Pending
from tests.service.test_users import answered, run, told, x


@pytest.mark.parametrize("strategy", ["leverage", "v-optimality"])
@pytest.mark.parametrize("kind", ["deviation", "personality"])
def test_who_is_new_is_asked_first_and_who_is_asked_is_less_of_a_question(kind: str, strategy: str) -> None:
    """The same event of one with many labels, one who is new, and one who is new and asked about it already."""
    configuration = told(Users(kind), strategy, "squared", budget=0.05)
    trial = run(configuration, answered(90, ["ann", "ben", "eve"], of_values=True))
    state, asking = trial.pipeline.state, trial.pipeline.standing.asking
    _, encoded = columns.encode(state.columns, [x(1)])
    features = encoded.rows[0].tobytes()
    trial.pipeline.ledger.ask(Pending("asked", 89, features, "score", 1e12, "kim"))
    asking.outlook.moved()
    users = ["ann", "zoe", "kim", ""]
    flags, zeros = np.zeros(4, dtype=bool), np.zeros(4)
    segment = Segment(np.repeat(encoded.rows, 4, axis=0), 90, flags, flags, zeros, users=users)
    ann, zoe, kim, nobody = asking.score(state, trial.pipeline.ledger, segment, 0, 4).scores
    assert nobody < ann < zoe
    assert kim < 0.9 * zoe
    expired = trial.pipeline.ledger.settle_query("asked")
    assert expired is not None
    asking.outlook.moved()
    again = asking.score(state, trial.pipeline.ledger, segment, 0, 4).scores
    assert again[1] == pytest.approx(again[2], rel=1e-12), "not asked any more"
