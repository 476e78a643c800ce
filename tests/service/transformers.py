"""Transformers as users have them in a module of their own."""

from __future__ import annotations

from typing import Any

from river import compose, feature_extraction, preprocessing, stats
from river.feature_extraction import TargetAgg

scaled = compose.SelectType(int, float) | preprocessing.StandardScaler()
words = feature_extraction.TFIDF(on="body")
by_label = TargetAgg(by="a", how=stats.Mean())
not_saved = compose.FuncTransformer(lambda x: x)
no_transformer = 7


def categories() -> Any:
    """Which are kept in a set, whose order is another in every process."""
    return compose.SelectType(str) | preprocessing.OneHotEncoder()


def divided(x: dict[str, float]) -> dict[str, float]:
    return {"ratio": x["a"] / x["b"]}


def backwards(x: dict[str, float]) -> dict[str, float]:
    return dict(sorted(x.items(), reverse=True))


turned = compose.FuncTransformer(backwards)
ratio = compose.FuncTransformer(divided)
