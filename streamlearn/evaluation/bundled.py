"""Data sets that come with river and scikit-learn; nothing is downloaded.

Both libraries are heavy imports, made where a data set is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from streamlearn.evaluation.rows import Answer, Cell, Dataset, Features, taken

FOURIER_FEATURES: Final = 60
FOURIER_WIDTH: Final = 0.7  # of the Gaussian kernel that they stand for, in standard deviations


def phishing() -> Dataset:
    from river.datasets import Phishing

    rows = [(_numbers(x), "phishing" if y else "legitimate") for x, y in Phishing()]
    return _dataset("phishing", rows, values=False)


def bananas() -> Dataset:
    from river.datasets import Bananas

    return _dataset("bananas", [(_numbers(x), str(y)) for x, y in Bananas()], values=False)


def bananas_rff() -> Dataset:
    """cos(wᵀx + b), w normal and b uniform: scalar products near those of the Gaussian kernel (Rahimi and Recht, 2007)."""
    plain = bananas()
    X = np.array([list(x.values()) for x in plain.xs if isinstance(x, dict)])
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    generator = np.random.default_rng(0)
    w = generator.normal(scale=1.0 / FOURIER_WIDTH, size=(2, FOURIER_FEATURES))
    b = generator.uniform(0.0, 2.0 * np.pi, FOURIER_FEATURES)
    return Dataset("bananas_rff", tuple(row.tolist() for row in np.cos(X @ w + b)), plain.ys, values=False)


def image_segments() -> Dataset:
    from river.datasets import ImageSegments

    return _dataset("image_segments", [(_numbers(x), str(y)) for x, y in ImageSegments()], values=False)


def shuttle() -> Dataset:
    from river.datasets import Shuttle

    rows = [(_numbers(x), "anomaly" if y else "normal") for x, y in Shuttle()]
    return _dataset("shuttle", rows, values=False, imbalanced=True)


def trump_approval() -> Dataset:
    from river.datasets import TrumpApproval

    return _dataset("trump_approval", [(_numbers(x), float(y)) for x, y in TrumpApproval()], values=True, ordered=True)


def chick_weights() -> Dataset:
    from river.datasets import ChickWeights

    def cells(x: Any) -> Features:
        return {"time": float(x["time"]), "chick": f"chick {x['chick']}", "diet": f"diet {x['diet']}"}

    return _dataset("chick_weights", [(cells(x), float(y)) for x, y in ChickWeights()], values=True)


def of_scikit_learn(name: str) -> Dataset:
    """iris, wine, breast_cancer, digits or diabetes."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":  # pixels have places, not names
        return Dataset(
            name, tuple(row.tolist() for row in bunch.data), tuple(str(y) for y in bunch.target), values=False
        )
    columns = [str(column) for column in bunch.feature_names]
    xs = tuple(dict(zip(columns, row.tolist(), strict=True)) for row in bunch.data)
    if name == "diabetes":
        return Dataset(name, xs, tuple(float(y) for y in bunch.target), values=True)
    return Dataset(name, xs, tuple(str(bunch.target_names[y]) for y in bunch.target), values=False)


def _numbers(x: Any) -> dict[str, Cell]:
    return {str(name): float(value) for name, value in x.items() if not isinstance(value, str)}


def _dataset(
    name: str,
    rows: Iterable[tuple[Features, Answer]],
    values: bool,
    ordered: bool = False,
    imbalanced: bool = False,
) -> Dataset:
    rows = list(rows)
    rows = [rows[i] for i in taken(len(rows))]
    xs, ys = zip(*rows, strict=True)
    return Dataset(name, xs, ys, values, ordered=ordered, imbalanced=imbalanced)
