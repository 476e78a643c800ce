"""Data sets that are made up, by river and scikit-learn: another seed is other data of the same kind.

Those with a drift (`sea`, `agrawal`, `hyperplane`, `friedman_drift`) stand in the order of time. Both libraries are heavy
imports, made where a data set is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from streamlearn.evaluation.rows import Answer, Cell, Dataset

ROWS: Final = 2000
SEA_VARIANTS: Final = (0, 2, 3, 1)  # sums of two features against 8, 7, 9.5 and 9
AGRAWAL_RULES: Final = (6, 7, 8)  # those that are linear in salary, commission, loan and education
RARE: Final = 0.05
NOISE: Final = 0.05


def friedman(seed: int) -> Dataset:
    from river.datasets import synth

    return _values("friedman", synth.Friedman(seed=seed).take(ROWS), ordered=False)


def friedman_drift(seed: int) -> Dataset:
    """Locally and abruptly: more of the space follows another function after each quarter."""
    from river.datasets import synth

    quarter = ROWS // 4
    stream = synth.FriedmanDrift("lea", position=(quarter, 2 * quarter, 3 * quarter), seed=seed)
    return _values("friedman_drift", stream.take(ROWS), ordered=True)


def friedman2(seed: int) -> Dataset:
    """The impedance of a circuit: a smooth function far from linear, with noise of a quarter of its spread."""
    from sklearn.datasets import make_friedman2

    X, y = make_friedman2(ROWS, noise=100.0, random_state=seed)
    return Dataset("friedman2", tuple(row.tolist() for row in X), tuple(y.tolist()), values=True)


def planes(seed: int) -> Dataset:
    from river.datasets import synth

    return _values("planes", synth.Planes2D(seed=seed).take(ROWS), ordered=False)


def mv(seed: int) -> Dataset:
    """Some of the features are names, and depend on each other."""
    from river.datasets import synth

    return _values("mv", synth.Mv(seed=seed).take(ROWS), ordered=False)


def imbalanced(seed: int) -> Dataset:
    from sklearn.datasets import make_classification

    X, y = make_classification(
        ROWS, 10, n_informative=5, n_redundant=2, weights=[1.0 - RARE], flip_y=0.0, random_state=seed
    )
    xs = tuple(row.tolist() for row in X)
    return Dataset("imbalanced", xs, tuple("rare" if one else "usual" for one in y), values=False, imbalanced=True)


def random_rbf(seed: int) -> Dataset:
    """Gaussian clusters, each of one class: no line divides them quite."""
    from river.datasets import synth

    stream = synth.RandomRBF(seed_model=seed, seed_sample=seed, n_classes=4, n_features=10, n_centroids=20)
    return _named("random_rbf", stream.take(ROWS))


def led(seed: int) -> Dataset:
    """Each segment is wrong with a chance of 10 %."""
    from river.datasets import synth

    return _named("led", synth.LED(seed=seed, noise_percentage=0.1, irrelevant_features=True).take(ROWS))


def sea(seed: int) -> Dataset:
    from river.datasets import synth

    parts = [
        synth.SEA(variant, noise=NOISE, seed=seed * len(SEA_VARIANTS) + i).take(ROWS // len(SEA_VARIANTS))
        for i, variant in enumerate(SEA_VARIANTS)
    ]
    return _classes("sea", (row for part in parts for row in part))


def agrawal(seed: int) -> Dataset:
    """The make of the car and the place are names."""
    from river.datasets import synth

    parts = [
        synth.Agrawal(rule, seed=seed * len(AGRAWAL_RULES) + i).take(ROWS // len(AGRAWAL_RULES))
        for i, rule in enumerate(AGRAWAL_RULES)
    ]
    return _classes("agrawal", (row for part in parts for row in part), names=("car", "zipcode"))


def hyperplane(seed: int) -> Dataset:
    from river.datasets import synth

    stream = synth.Hyperplane(seed=seed, n_features=10, n_drift_features=10, mag_change=0.002, noise_percentage=NOISE)
    return _classes("hyperplane", stream.take(ROWS))


def _values(name: str, rows: Iterable[tuple[Any, Any]], ordered: bool) -> Dataset:
    xs, ys = zip(*((_cells(x, ()), float(y)) for x, y in rows), strict=True)
    return Dataset(name, xs, ys, values=True, ordered=ordered)


def _classes(name: str, rows: Iterable[tuple[Any, Any]], names: tuple[str, ...] = ()) -> Dataset:
    xs, ys = zip(*((_cells(x, names), _class(y)) for x, y in rows), strict=True)
    return Dataset(name, xs, ys, values=False, ordered=True)


def _named(name: str, rows: Iterable[tuple[Any, Any]]) -> Dataset:
    xs, ys = zip(*((_cells(x, ()), f"class {y}") for x, y in rows), strict=True)
    return Dataset(name, xs, ys, values=False)


def _class(y: Any) -> Answer:
    return "yes" if y else "no"


def _cells(x: Any, names: tuple[str, ...]) -> dict[str, Cell]:
    return {
        name if isinstance(name, str) else f"x{name}": str(value)
        if name in names or isinstance(value, str)
        else float(value)
        for name, value in x.items()
    }
