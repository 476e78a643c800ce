"""An interrupt of a pool waits until no lock of the pool's is held, and leaves things as they were."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial

import pytest

from streamlearn.evaluation import datasets, pool
from streamlearn.evaluation.pool import News
from streamlearn.evaluation.trial import RANDOM, Plan


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_raised_between_two_looks(number: signal.Signals) -> None:
    before, looks = signal.getsignal(number), []

    def show(running: Sequence[News], done: int) -> None:
        os.kill(os.getpid(), number)
        looks.append(done)  # it would not come to this, were it raised at once

    plans = [Plan(RANDOM, seed, 0.3, 20) for seed in range(100)]
    with pytest.raises(KeyboardInterrupt):
        pool.run(partial(datasets.same, datasets.load("iris", None)), plans, show, processes=1)
    assert len(looks) == 1
    assert signal.getsignal(number) == before
