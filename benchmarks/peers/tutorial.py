"""The table of scikit-activeml's stream tutorial, made anew: its strategies do here what their authors say they do.

5,000 blobs of 30 centres in two classes after 10 labeled ones, a budget of 0.1, ParzenWindowClassifier refitted on the last
1,000 events, labeled or not; mean accuracy on each event before it may be asked for. A minute or
two a strategy: name some to run those.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from skactiveml import stream
from skactiveml.classifier import ParzenWindowClassifier
from skactiveml.utils import call_func
from sklearn.datasets import make_blobs

FIRST, LENGTH, WINDOW, CENTRES = 10, 5000, 1000, 30
PUBLISHED: Final = {
    "StreamRandomSampling": 0.764,
    "Split": 0.742,
    "StreamDensityBasedAL": 0.773,
    "CognitiveDualQueryStrategyRanVarUn": 0.783,
    "StreamProbabilisticAL": 0.797,
}


def strategies(seed: Callable[[], int]) -> dict[str, Any]:
    """In the tutorial's order, which the seeds depend on."""
    options = {"CognitiveDualQueryStrategyRanVarUn": {"force_full_budget": True}}
    return {name: getattr(stream, name)(random_state=seed(), **options.get(name, {})) for name in PUBLISHED}


def played(strategy: Any, X: Any, y: Any, length: int) -> tuple[float, int]:
    """(accuracy, queries) over the first events of the stream."""
    classifier = ParzenWindowClassifier(classes=[0, 1])
    xs, ys = deque(X[:FIRST], maxlen=WINDOW), deque(y[:FIRST].astype(float), maxlen=WINDOW)
    right, queries = 0, 0
    for x, label in zip(X[FIRST : FIRST + length], y[FIRST : FIRST + length], strict=True):
        classifier.fit(np.array(xs), np.array(ys))
        candidates = x[None, :]
        right += classifier.predict(candidates)[0] == label
        queried, utilities = call_func(
            strategy.query, candidates=candidates, clf=classifier, fit_clf=False, return_utilities=True
        )
        call_func(
            strategy.update,
            candidates=candidates,
            queried_indices=queried,
            budget_manager_param_dict={"utilities": utilities},
        )
        queries += len(queried)
        xs.append(x)
        ys.append(label if len(queried) else np.nan)
    return right / length, queries


def main(names: list[str]) -> None:
    state = np.random.RandomState(0)  # the tutorial's generator

    def seed() -> int:
        return state.randint(2**31 - 1)

    X, centres = make_blobs(n_samples=FIRST + LENGTH, centers=CENTRES, random_state=seed(), shuffle=True)
    print("| strategy | published | here | queries |\n| --- | --- | --- | --- |")
    for name, strategy in strategies(seed).items():
        if not names or name in names:
            accuracy, queries = played(strategy, X, centres % 2, LENGTH)
            print(f"| {name} | {PUBLISHED[name]} | {accuracy:.4f} | {queries} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
