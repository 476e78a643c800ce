"""A few users of every head, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data
from streamlearn.core.users.groups import Groups, grouped
from tests.core.problems import LOSSES

USERS, COLUMNS = 6, 3


def some(head: str, seed: int = 0, noise: float = 0.3) -> tuple[Linear, Groups]:
    """Six users who deviate from a shared model by more and more, of whom the last has no labels; weights differ."""
    rng = np.random.default_rng(seed)
    counts = [25, 20, 15, 10, 5, 0]
    user = rng.permutation(np.repeat(np.arange(USERS), counts))
    X = np.column_stack([np.ones(len(user)), rng.normal(size=(len(user), COLUMNS - 1))])
    own = rng.normal(size=COLUMNS) + rng.normal(size=(USERS, COLUMNS)) * np.linspace(0.3, 1.5, USERS)[:, None]
    score = (X * own[user]).sum(axis=1) + noise * rng.normal(size=len(user))
    y = {
        "squared": score,
        "logistic": score > 0.0,
        "softmax": np.digitize(score, [-0.7, 0.7]),
        "poisson": np.random.default_rng(seed + 1).poisson(np.exp(0.5 * score)),
    }[head].astype(float)
    model = Linear(LOSSES[head], 3 if head == "softmax" else 1, COLUMNS)
    return model, grouped(Data(X, y, rng.uniform(0.5, 2.0, len(user))), user, USERS)
