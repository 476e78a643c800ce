"""streamlearn's estimators beside river's own linear models: quality by progressive validation, and events a second."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from river import active, datasets, evaluate, linear_model, metrics, preprocessing

from streamlearn.river import QuerySampler, StreamlearnClassifier, StreamlearnRegressor

SHUFFLES = 8


def scaled(model: Any) -> Any:
    return preprocessing.StandardScaler() | model


def played(dataset: Any, model: Any, metric: Any) -> str:
    found = evaluate.progressive_val_score(dataset, model, metric)
    return ", ".join(f"{type(each).__name__} {each.get():.3f}" for each in found)


def speeds(model: Any, rows: list[Any]) -> str:
    """learn_one and predict_one, in events a second."""
    marks = [time.perf_counter()]
    for x, y in rows:
        model.learn_one(x, y)
    marks.append(time.perf_counter())
    for x, _ in rows:
        model.predict_one(x)
    marks.append(time.perf_counter())
    learning, predicting = (len(rows) / (end - begin) for begin, end in pairwise(marks))
    return f"{learning:,.0f} learned, {predicting:,.0f} predicted a second"


def asked(make: Callable[[int], Any]) -> str:
    """Over shuffles of Phishing, 400 rows aside: accuracy on the way and there, and labels, with standard errors."""
    found = []
    for seed in range(SHUFFLES):
        rows = list(datasets.Phishing())
        random.Random(seed).shuffle(rows)
        aside, rows = rows[:400], rows[400:]
        model, right, labels = make(seed), 0, 0
        for x, y in rows:
            predicted, ask = model.predict_one(x)
            right += predicted == y
            labels += ask
            if ask:
                model.learn_one(x, y)
        found.append((right / len(rows), sum(model.classifier.predict_one(x) == y for x, y in aside) / 400, labels))
    means, errors = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(SHUFFLES)
    return ", ".join(f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True))


def main() -> None:
    pairs: list[tuple[Any, Any, Any, Any]] = [
        (datasets.Phishing(), StreamlearnClassifier(), linear_model.LogisticRegression(), metrics.LogLoss()),
        (datasets.ImageSegments(), StreamlearnClassifier(), linear_model.SoftmaxRegression(), metrics.MacroF1()),
        (
            datasets.TrumpApproval(),
            StreamlearnRegressor(),
            linear_model.LinearRegression(intercept_lr=0.1),
            metrics.R2(),
        ),
    ]
    for dataset, ours, theirs, second in pairs:
        first = metrics.MAE() if isinstance(dataset, datasets.TrumpApproval) else metrics.Accuracy()
        for model in (ours, scaled(theirs)):
            print(f"{type(dataset).__name__}, {model}: {played(dataset, model.clone(), (first + second).clone())}")
            print("   ", speeds(model.clone(), list(dataset)), flush=True)
    logistic = scaled(linear_model.LogisticRegression())
    for discount in (3, 100):
        print(f"EntropySampler, discount {discount}:", asked(partial(entropy, logistic, discount)), flush=True)
    for budget in (0.1, 0.2):
        for strategy in ("auto", "uncertainty", "random"):
            print(f"QuerySampler, {strategy}, budget {budget}:", asked(partial(queries, strategy, budget)), flush=True)


def entropy(model: Any, discount: float, seed: int) -> Any:
    return active.EntropySampler(model.clone(), discount_factor=discount, seed=seed)


def queries(strategy: str, budget: float, seed: int) -> Any:
    return QuerySampler(StreamlearnClassifier(seed=1), strategy, budget=budget, seed=seed)


if __name__ == "__main__":
    main()
