"""Progressive validation: plain means, fading means, and those of audit labels alone."""

from __future__ import annotations

import math
from functools import reduce

import pytest

from streamlearn.learner import progress
from streamlearn.learner.progress import State
from streamlearn.learner.score import FADE


def after(losses: list[float], audit: int) -> State:
    """Every `audit`-th label answers an audit query."""
    return reduce(
        lambda state, i: progress.step(state, losses[i], losses[i], i % audit == 0), range(len(losses)), State()
    )


def test_the_mean_is_of_all_labels_and_the_streams_of_audits() -> None:
    losses = [float(i) for i in range(40)]
    state = after(losses, 4)
    assert (40, sum(losses), sum(losses) / 40) == (state.count, state.total, state.mean)
    assert (10, sum(losses[::4])) == (state.audits, state.audit_total)


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_not_counted(loss: float) -> None:
    state = after([1.0, 2.0], 1)
    assert state == progress.step(state, loss, 0.0, True)


def test_before_the_first_label_there_is_no_mean() -> None:
    assert State().mean is None


def test_the_recent_mean_is_plain_for_a_hundred_labels_and_then_fades() -> None:
    losses = [float(i % 7) for i in range(100)]
    state = after(losses, 1)
    assert sum(losses) / 100 == pytest.approx(state.recent)
    assert state.recent == pytest.approx(state.audit_recent)
    later = progress.step(state, 50.0, 0.0, False)
    assert state.recent + (1.0 - FADE) * (50.0 - state.recent) == pytest.approx(later.recent)
    assert state.audit_recent == later.audit_recent
