"""Random: the baseline of every comparison. The score is the event's own uniform number, a hash of its id."""

from __future__ import annotations

from typing import final

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import Strategy, View


@final
class Random(Strategy):
    name = "random"

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        return draws
