"""Our way of asking in river's hands: its budget, what chance decides, and what an answer is."""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import pytest
from river import datasets, evaluate, feature_extraction, linear_model, metrics, preprocessing

from streamlearn.errors import ConfigurationError
from streamlearn.queries.names import NAMES
from streamlearn.river import QuerySampler, StreamlearnClassifier

PHISHING = list(datasets.Phishing())


def asks(model: QuerySampler, rows: list[Any], delay: int = 0) -> list[bool]:
    """Which events it asked about, where each answer comes `delay` events later."""
    found = list[bool]()
    for i, (x, _) in enumerate(rows):
        found.append(model.predict_one(x)[1])
        if i >= delay and found[i - delay]:
            model.learn_one(*rows[i - delay])
    return found


@pytest.mark.parametrize("budget", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("strategy", ["auto", "sld", "random"])
def test_the_budget_holds_after_every_event_and_is_spent(budget: float, strategy: str) -> None:
    count = 0
    for n, ask in enumerate(
        asks(QuerySampler(StreamlearnClassifier(), strategy, budget, seed=2), PHISHING[:400], 7), 1
    ):
        count += ask
        assert count <= math.ceil(budget * n)
        assert budget * n - count < max(5.0, 2.0 * math.sqrt(budget * n))


def test_the_seed_decides_all_that_chance_does_also_through_a_pickle() -> None:
    def fresh(seed: int) -> QuerySampler:
        return QuerySampler(preprocessing.StandardScaler() | StreamlearnClassifier(seed=1), seed=seed)

    rows = PHISHING[:300]
    first, second, other = (asks(fresh(seed), rows, 5) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    halfway = fresh(1)
    begun = asks(halfway, rows[:150])
    again = pickle.loads(pickle.dumps(halfway))
    assert begun + asks(again, rows[150:]) == asks(fresh(1), rows)
    assert asks(again.clone(), rows) == asks(fresh(1), rows)


def test_river_evaluates_it_as_its_own_samplers() -> None:
    scaled = preprocessing.StandardScaler() | StreamlearnClassifier(seed=1)
    told = io.StringIO()
    model = QuerySampler(scaled, budget=0.1, seed=1)
    metric = evaluate.progressive_val_score(PHISHING, model, metrics.Accuracy(), delay=20, print_every=1250, file=told)
    assert metric.get() > 0.85
    used = int(told.getvalue().split("– ")[1].split()[0])
    assert 115 <= used <= 125


def test_at_equal_labels_it_learns_more_than_by_chance() -> None:
    def loss(strategy: str, seed: int) -> float:
        model = QuerySampler(StreamlearnClassifier(seed=1), strategy, budget=0.1, seed=seed)
        asks(model, PHISHING)
        right = [model.classifier.predict_one(x) == y for x, y in PHISHING]
        return 1.0 - sum(right) / len(right)

    ours, chance = ([loss(strategy, seed) for seed in range(3)] for strategy in ("auto", "random"))
    assert sum(ours) < sum(chance)


def test_it_ends_a_pipeline_too_and_takes_text() -> None:
    words = ["you", "won", "prize", "see", "me", "soon", "later", "today"]
    texts = [(" ".join(words[(3 * i + j * j) % 8] for j in range(1 + i % 4))) for i in range(300)]
    rows = [({"body": text}, "prize" in text or "won" in text) for text in texts]
    model = feature_extraction.BagOfWords(on="body") | QuerySampler(StreamlearnClassifier(), budget=0.2, seed=1)
    right = []
    for x, y in rows:
        predicted, ask = model.predict_one(x)
        right.append(predicted == y)
        if ask:
            model.learn_one(x, y)
    assert sum(right[200:]) >= 97


def test_an_unanswered_query_counts_until_its_x_is_learned_or_it_is_given_up() -> None:
    model = QuerySampler(StreamlearnClassifier(), "leverage", budget=1.0, audit_share=0.0, outstanding=3, seed=1)
    for x, y in PHISHING[:60]:
        model.learn_one(x, y)
    x, y = PHISHING[100]
    scores = []
    for _ in range(5):
        assert model.predict_one(x)[1]
        scores.append(model.score)
    assert scores[0] > scores[1] > scores[2] > scores[3]  # each sees those before it as answered
    assert scores[3] == pytest.approx(scores[4])  # of five the two oldest are given up
    model.learn_one(*PHISHING[101])  # nobody asked for it
    assert 3 == model.unanswered
    for left in (2, 1, 0, 0):
        model.learn_one({**x}, y)
        assert left == model.unanswered


def test_every_strategy_of_the_daemon_asks() -> None:
    for strategy in NAMES:
        count = sum(asks(QuerySampler(StreamlearnClassifier(), strategy, budget=0.2, seed=1), PHISHING[:60]))
        assert 8 <= count <= 12, strategy


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="asks for a StreamlearnClassifier, alone or ending a pipeline"):
        QuerySampler(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    with pytest.raises(ConfigurationError, match=r"queries\.budget = 1.5 is not a number above 0 and at most 1"):
        QuerySampler(StreamlearnClassifier(), budget=1.5)
    with pytest.raises(ConfigurationError, match=r'queries\.strategy = "curious" is not'):
        QuerySampler(StreamlearnClassifier(), strategy="curious")
