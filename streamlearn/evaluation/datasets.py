"""Data sets by name: some bundled with river and scikit-learn, some made up, or a CSV file of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from streamlearn import errors
from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import bundled, csv_file, grouped, made
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import Plan


class Known(NamedTuple):
    """about: one line; make: the data set of a seed; seeded: whether another seed is other data."""

    about: str
    make: Callable[[int], Dataset]
    seeded: bool = False


def _fixed(about: str, make: Callable[[], Dataset]) -> Known:
    return Known(about, lambda _: make())


KNOWN: dict[str, Known] = {
    "phishing": _fixed("1,250 web sites, 9 features: phishing or not (river)", bundled.phishing),
    "bananas": _fixed("3,000 points of the plane, two classes that no line divides (river)", bundled.bananas),
    "bananas_rff": _fixed("the same in 60 random Fourier features, where a plane does", bundled.bananas_rff),
    "image_segments": _fixed("2,310 patches of photographs, 18 features, 7 classes (river)", bundled.image_segments),
    "shuttle": _fixed("3,000 readings of a space shuttle, 9 features, 7 % anomalies (river)", bundled.shuttle),
    "trump_approval": _fixed("1,001 days in order, 6 features: approval, values (river)", bundled.trump_approval),
    "chick_weights": _fixed("578 weighings of 50 chicks on 4 diets, values (river)", bundled.chick_weights),
    "iris": _fixed("150 flowers, 4 features, 3 classes (scikit-learn)", lambda: bundled.of_scikit_learn("iris")),
    "wine": _fixed("178 wines, 13 features, 3 classes (scikit-learn)", lambda: bundled.of_scikit_learn("wine")),
    "breast_cancer": _fixed(
        "569 tumours, 30 features: malignant or not (scikit-learn)", lambda: bundled.of_scikit_learn("breast_cancer")
    ),
    "digits": _fixed("1,797 digits of 8 × 8 pixels (scikit-learn)", lambda: bundled.of_scikit_learn("digits")),
    "diabetes": _fixed("442 patients, 10 features, values (scikit-learn)", lambda: bundled.of_scikit_learn("diabetes")),
    "friedman": Known("2,000 rows, 10 features, 5 of them noise, values (made)", made.friedman, True),
    "friedman2": Known("2,000 circuits, 4 features: their impedance, values (made)", made.friedman2, True),
    "planes": Known("2,000 rows, 10 features, values on two planes (made)", made.planes, True),
    "mv": Known("2,000 rows, 10 features, 3 of them names, values (made)", made.mv, True),
    "imbalanced": Known("2,000 rows, 10 features, 5 % of them of the second class (made)", made.imbalanced, True),
    "sea": Known("2,000 rows in order, 3 features; the boundary jumps three times (made)", made.sea, True),
    "agrawal": Known("2,000 loans in order, 9 features; the rule changes twice (made)", made.agrawal, True),
    "random_rbf": Known("2,000 rows, 10 features, 4 classes of 20 clusters (made)", made.random_rbf, True),
    "led": Known("2,000 displays of 7 segments and 17 of chance: digits (made)", made.led, True),
    "hyperplane": Known("2,000 rows in order, 10 features; the boundary rotates (made)", made.hyperplane, True),
    "friedman_drift": Known("2,000 rows in order, 10 features, values; three drifts (made)", made.friedman_drift, True),
    "tastes": Known("60 users who like things or not, each by a taste of their own (made)", grouped.tastes, True),
    "personalities": Known("60 users with values that each makes of 12 features (made)", grouped.personalities, True),
    "readers": Known("60 users who call scikit-learn's digits large or not, as each means it", grouped.readers, True),
    "chicks": Known("50 chicks of river's ChickWeights, each a user, values", grouped.chicks, True),
}
NAMES = tuple(KNOWN)


def load(name: str, label: str | None, seed: int = 0) -> Dataset:
    """A data set by its name, or the CSV file of that path. seed: of those that are made up."""
    return _load(name, label, seed if name in KNOWN and KNOWN[name].seeded else 0)


@lru_cache(maxsize=32)
def _load(name: str, label: str | None, seed: int) -> Dataset:
    if name in KNOWN:
        if label is not None:
            raise ConfigurationError(f"--label is for CSV files; {name} has its own labels")
        return KNOWN[name].make(seed)
    if not is_file(name):
        near = errors.nearest(name, NAMES)
        raise ConfigurationError(f"no data set '{name}'; did you mean {near}? ({', '.join(NAMES)}, or a CSV file)")
    return csv_file.read(Path(name), label)


def is_file(name: str) -> bool:
    """Whether a file is meant."""
    if name in KNOWN:
        return False
    try:
        return name.lower().endswith((".csv", ".tsv", ".txt")) or Path(name).exists()
    except OSError:  # too long for a name, or in a folder that may not be looked into
        return False


def same(dataset: Dataset, plan: Plan) -> Dataset:
    """For a pool whose plans are all about one data set."""
    return dataset


def of_plan(label: str | None, plan: Plan) -> Dataset:
    """For a pool whose plans name theirs."""
    return load(plan.dataset, label, plan.seed)
