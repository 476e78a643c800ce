"""streamlearn's estimators beside river's own linear models: quality by progressive validation, and events a second."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from river import active, datasets, evaluate, linear_model, metrics, preprocessing

from streamlearn.river import QuerySampler, StreamlearnClassifier, StreamlearnRegressor


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


def asked(model: Any, rows: list[Any]) -> str:
    right, labels = 0, 0
    for x, y in rows:
        predicted, ask = model.predict_one(x)
        right += predicted == y
        labels += ask
        if ask:
            model.learn_one(x, y)
    return f"accuracy {right / len(rows):.3f}, {labels} labels"


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
    rows = list(datasets.Phishing())
    theirs = linear_model.LogisticRegression()
    print("EntropySampler:", asked(active.EntropySampler(scaled(theirs), seed=1), rows))
    for discount in (30, 100):
        sampler = active.EntropySampler(scaled(theirs.clone()), discount_factor=discount, seed=1)
        print(f"EntropySampler, discount {discount}:", asked(sampler, rows))
    for budget in (0.03, 0.1, 0.2, 0.5):
        for strategy in ("auto", "random"):
            sampler = QuerySampler(StreamlearnClassifier(seed=1), strategy, budget=budget, seed=1)
            print(f"QuerySampler, {strategy}, budget {budget}:", asked(sampler, rows), flush=True)


if __name__ == "__main__":
    main()
