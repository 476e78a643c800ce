"""Periodic: no event is better than another, so one is asked about whenever the budget has earned it.

The control that needs no luck: what a strategy gains over it is not owed to how evenly it spends.
"""

from __future__ import annotations

from typing import final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import Strategy, View


@final
class Periodic(Strategy):
    name = "periodic"

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        return np.zeros(len(X))
