"""Data for the demo: rows of features with their labels, some bundled, or a CSV file of the user's own.

A data set is classes (labels are texts) or values (labels are numbers). `split` makes a stream of it: the rows shuffled by
a seed, the first 30 % set aside as an evaluation set that the daemon never sees.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from streamlearn.errors import ConfigurationError

Cell = float | str | None
Features = Sequence[float] | Mapping[str, Cell]
Answer = float | str

NAMES = ("phishing", "breast_cancer", "digits", "diabetes")
EVALUATION_SHARE = 0.3


@final
@dataclass(frozen=True)
class Dataset:
    """xs, ys: a row each; values: labels are numbers and not classes; notes: what a user should know, a line each."""

    name: str
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]
    values: bool
    notes: tuple[str, ...] = ()

    @property
    def score_name(self) -> str:
        return "R²" if self.values else "accuracy"

    @property
    def cells(self) -> int:
        """Rows times features."""
        return sum(map(len, self.xs))


@final
@dataclass(frozen=True)
class Part:
    """Some rows of a data set, in an order: ids are row numbers as text."""

    ids: tuple[str, ...]
    xs: tuple[Features, ...]
    ys: tuple[Answer, ...]


def load(name: str, label: str | None) -> Dataset:
    """A bundled data set by its name, or the CSV file of that path."""
    if name in NAMES:
        if label is not None:
            raise ConfigurationError(f"--label is for CSV files; {name} has its own labels")
        return _phishing() if name == "phishing" else _of_scikit_learn(name)
    if not name.lower().endswith((".csv", ".tsv", ".txt")) and not Path(name).exists():
        near = difflib.get_close_matches(name, NAMES, 1, 0.0)
        raise ConfigurationError(f"no data set '{name}'; did you mean {near[0]}? ({', '.join(NAMES)}, or a CSV file)")
    from streamlearn.demo import csv_file

    return csv_file.read(Path(name), label)


def split(dataset: Dataset, seed: int) -> tuple[Part, Part]:
    """(the stream, the evaluation set) of this seed."""
    order = np.random.default_rng([seed, len(dataset.ys)]).permutation(len(dataset.ys))
    aside = round(EVALUATION_SHARE * len(order))
    return _part(dataset, order[aside:].tolist()), _part(dataset, order[:aside].tolist())


def _part(dataset: Dataset, rows: list[int]) -> Part:
    return Part(tuple(f"row-{i}" for i in rows), tuple(dataset.xs[i] for i in rows), tuple(dataset.ys[i] for i in rows))


def _phishing() -> Dataset:
    from river.datasets import Phishing  # a heavy import, needed only here

    rows = list(Phishing())
    xs = tuple({name: float(value) for name, value in x.items()} for x, _ in rows)
    return Dataset("phishing", xs, tuple("phishing" if y else "legitimate" for _, y in rows), values=False)


def _of_scikit_learn(name: str) -> Dataset:
    from sklearn import datasets  # a heavy import, needed only here

    loaders: dict[str, Any] = {
        "breast_cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
        "diabetes": datasets.load_diabetes,
    }
    bunch = loaders[name]()
    if name == "digits":  # pixels have places, not names
        return Dataset(
            name, tuple(row.tolist() for row in bunch.data), tuple(str(y) for y in bunch.target), values=False
        )
    columns = [str(column) for column in bunch.feature_names]
    xs = tuple(dict(zip(columns, row.tolist(), strict=True)) for row in bunch.data)
    if name == "diabetes":
        return Dataset(name, xs, tuple(float(y) for y in bunch.target), values=True)
    return Dataset(name, xs, tuple(str(bunch.target_names[y]) for y in bunch.target), values=False)
