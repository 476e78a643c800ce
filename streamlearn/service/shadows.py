"""Strategies in the shadow: what others would have made of the events that one strategy acts on.

Each has its own scores, window and threshold, as if it had spent the budget, on the model that the acting one's questions
have made. Among audits, which are drawn before any score is looked at, that is a fair sample of the stream: by it strategies
can be compared on one's own events before one is switched to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array
from streamlearn.queries import choose, selector
from streamlearn.queries.budget import Budget
from streamlearn.queries.strategy import Strategy

Kept = tuple[tuple[str, str, selector.State], ...]  # name, who acts under it, and its selector's state


@final
class Shadows:
    """names: strategies as configured, `auto` too."""

    def __init__(self, names: Sequence[str], budget: Budget) -> None:
        self.names, self.budget = tuple(names), budget
        self._acting = dict.fromkeys(self.names, "")
        self._states = {name: selector.init() for name in self.names}

    def restore(self, kept: Kept) -> None:
        """Go on where another process was; one that was not there before begins."""
        for name, acting, state in kept:
            if name in self._states:
                self._acting[name], self._states[name] = acting, state

    def kept(self) -> Kept:
        """What a commit holds of them."""
        return tuple((name, self._acting[name], self._states[name]) for name in self.names)

    def strategies(self, loss: str, exact: bool) -> list[Strategy]:
        return [choose.choose(name, loss, exact) for name in self.names]

    def take(self, strategies: Sequence[Strategy]) -> None:
        """These act under their names now; what does so anew has no scores yet."""
        for name, strategy in zip(self.names, strategies, strict=True):
            if strategy.name != self._acting[name]:
                self._states[name] = selector.forget_scores(self._states[name])
                self._acting[name] = strategy.name

    def step(
        self, scores: Array, audit: NDArray[np.bool_], askable: NDArray[np.bool_], paused: bool, resting: bool
    ) -> NDArray[np.bool_]:
        """Deal with events in order; which of them each would have asked about, (strategies, n). scores (strategies, n)."""
        asks = np.zeros(scores.shape, dtype=bool)
        for row, name in enumerate(self.names):
            at = 0
            while at < scores.shape[1]:
                state, info = selector.step(
                    self._states[name], self.budget, scores[row, at:], audit[at:], askable[at:], paused, resting
                )
                at += info.used
                asks[row, at - 1] = info.chosen
                self._states[name] = replace(state, outstanding=0)  # it waits for no answers
        return asks
