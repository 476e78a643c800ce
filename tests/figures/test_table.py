"""Columns as text."""

from __future__ import annotations

import csv
import io

import numpy as np

from streamlearn.figures import table


def test_what_is_written_is_read_back_to_eight_digits() -> None:
    columns = {"x": np.array([-1.0, 0.1, 2.0]), "score": np.array([1.0 / 3.0, 1e-12, 123456.789])}
    rows = list(csv.reader(io.StringIO(table.text(columns))))
    assert rows[0] == ["x", "score"]
    np.testing.assert_allclose(np.array(rows[1:], dtype=float).T, list(columns.values()), rtol=5e-8)


def test_zero_has_no_sign() -> None:
    assert table.text({"x": np.array([-0.0])}) == "x\n0\n"
