"""Columns of numbers as a CSV file, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamlearn.core.losses import Array


def text(columns: Mapping[str, Array]) -> str:
    """A line of names and a line a row, eight digits a number: what is beyond is rounding."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(f"{value + 0.0:.8g}" for value in row) for row in rows)]
    return "\n".join(lines) + "\n"


def write(path: Path, columns: Mapping[str, Array]) -> None:
    """Raises OSError where the file cannot be written."""
    path.write_text(text(columns), encoding="utf-8", newline="\n")
