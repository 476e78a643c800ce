"""A CSV file as a data set: numeric columns become numbers, other columns texts, empty cells null.

The label column makes values of numbers, unless they are at most ten distinct whole ones: those, and texts, are classes.
Rows without a label are skipped. Every refusal is one line that names the fix.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from streamlearn.errors import ConfigurationError, nearest
from streamlearn.evaluation.rows import ROWS_MOST, Answer, Cell, Dataset, taken

ROWS_LEAST = 50
CLASSES_MOST = 10  # distinct whole numbers that are classes
MISSING = {"", "na", "n/a", "nan", "null", "?"}
DELIMITERS = ",;\t|"


def read(path: Path, label: str | None) -> Dataset:
    """The file's rows; `label` names the column of the answers."""
    header, rows = _table(path)
    if label is None:
        raise ConfigurationError(f"which column of {path} is the label? say --label COLUMN: {_listed(header)}")
    if label not in header:
        folded = {name.casefold(): name for name in header}
        near = folded[nearest(label.casefold(), list(folded))]
        raise ConfigurationError(f"{path} has no column '{label}'; did you mean '{near}'? It has {_listed(header)}")
    at, notes = header.index(label), list[str]()
    answered = [row for row in rows if row[at] is not None]
    if len(answered) < len(rows):
        notes.append(f"{len(rows) - len(answered)} rows without a label skipped")
    if len(answered) < ROWS_LEAST:
        raise ConfigurationError(f"{path} has {len(answered)} rows with a label; at least {ROWS_LEAST} are needed")
    if len(answered) > ROWS_MOST:
        notes.append(f"{ROWS_MOST} rows of {len(answered)} taken, by chance")
        answered = [answered[i] for i in taken(len(answered))]
    ys, values = _answers(path, label, [row[at] or "" for row in answered])
    columns = _columns(header, answered, at, notes)
    if not columns:
        raise ConfigurationError(f"{path} has no column but the label that can be learned from")
    xs = tuple({name: cells[i] for name, cells in columns.items()} for i in range(len(answered)))
    return Dataset(path.stem, xs, ys, values, tuple(notes))


def _table(path: Path) -> tuple[list[str], list[list[str | None]]]:
    """The header, and rows as wide as the header with None where a cell is missing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            lines = [line for line in csv.reader(file, delimiter=delimiter) if line]
    except FileNotFoundError:
        raise ConfigurationError(f"no such file: {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} is not a CSV file in UTF-8: {error}") from None
    if not lines:
        raise ConfigurationError(f"{path} is empty; its first line should name the columns")
    header = [name.strip() or f"column {i + 1}" for i, name in enumerate(lines[0])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path} has two columns named '{twice[0]}'; rename one in its first line")
    width = len(header)
    return header, [[_cell(text) for text in (line + [""] * width)[:width]] for line in lines[1:]]


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text.casefold() in MISSING else text


def _number(text: str) -> float:
    """NaN where it is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _answers(path: Path, label: str, texts: Sequence[str]) -> tuple[tuple[Answer, ...], bool]:
    numbers = [_number(text) for text in texts]
    distinct = len(set(texts))
    if distinct < 2:
        raise ConfigurationError(
            f"column '{label}' of {path} holds nothing but '{texts[0]}': there is nothing to learn"
        )
    if not any(map(math.isnan, numbers)):
        if any(not number.is_integer() for number in numbers) or len(set(numbers)) > CLASSES_MOST:
            return tuple(numbers), True
        return tuple(str(int(number)) for number in numbers), False
    if distinct > len(texts) / 4:
        raise ConfigurationError(
            f"column '{label}' of {path} has {distinct} distinct texts in {len(texts)} rows: no label"
        )
    return tuple(texts), False


def _columns(header: list[str], rows: list[list[str | None]], at: int, notes: list[str]) -> dict[str, list[Cell]]:
    """Name → cells, of the columns that are of use as features."""
    columns: dict[str, list[Cell]] = {}
    for j, name in enumerate(header):
        texts = [row[j] for row in rows]
        known = [text for text in texts if text is not None]
        if j == at or not known:
            continue
        if not any(math.isnan(_number(text)) for text in known):
            columns[name] = [None if text is None else _number(text) for text in texts]
        elif len(set(known)) > len(known) / 2:
            notes.append(f"column '{name}' left out: most of its texts stand there once")
        else:
            columns[name] = list(texts)
    return columns


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
