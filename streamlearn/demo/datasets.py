"""Data for the demo: rows of features with their labels, some bundled, or a CSV file of the user's own."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from streamlearn.demo import csv_file
from streamlearn.demo.rows import Dataset
from streamlearn.errors import ConfigurationError

NAMES = ("phishing", "breast_cancer", "digits", "diabetes")


def load(name: str, label: str | None) -> Dataset:
    """A bundled data set by its name, or the CSV file of that path."""
    if name in NAMES:
        if label is not None:
            raise ConfigurationError(f"--label is for CSV files; {name} has its own labels")
        return _phishing() if name == "phishing" else _of_scikit_learn(name)
    if not name.lower().endswith((".csv", ".tsv", ".txt")) and not Path(name).exists():
        near = difflib.get_close_matches(name, NAMES, 1, 0.0)
        raise ConfigurationError(f"no data set '{name}'; did you mean {near[0]}? ({', '.join(NAMES)}, or a CSV file)")
    return csv_file.read(Path(name), label)


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
