"""Columns: how the features of an event become a row of numbers. Nothing has to be said first; it is learned.

An array has one column a place, its width fixed by the first event. A map has one column a name that holds numbers (true
and false are 1 and 0), and one column a category of a name that holds strings: 1 where it is that category, 0 where it is
another. Null and absent are NaN, which later counts as the running mean. New names and categories add columns at the end,
up to a limit; past that they are ignored and counted. Where absent names are zeros, as in river, they are 0, also before they
were ever there, and null alone is NaN.

A row that was encoded before a column existed is widened by `widen` to exactly what encoding it now would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from streamlearn.core.losses import Array

Value = float | bool | str | None
Features = Sequence[float | bool | None] | Mapping[str, Value]
COLUMNS_MOST, CATEGORIES_MOST = 4096, 64
# Sums of the squares of larger values are not finite: one of them would spoil its column for good.
LARGEST = 1e100
NO_TOKEN = -1.0
TOO_LARGE = f"x has a number beyond {LARGEST:g}"


@final
@dataclass(frozen=True)
class State:
    """kind: `array`, `map` or "" before the first event; columns: (name, category or None) each.

    fixed: names given by the configuration (empty: all are taken); width: of arrays, the only events then (0: not given).
    vocabulary: arrays are of token ids below it, as many as `width` of which are kept (0: they are of numbers).
    zeros: whether a name that is absent from a map is 0.
    """

    kind: str = ""
    columns: tuple[tuple[str, str | None], ...] = ()
    fixed: tuple[str, ...] = ()
    width: int = 0
    vocabulary: int = 0
    zeros: bool = False

    @property
    def names(self) -> list[str]:
        return [name if category is None else f"{name}={category}" for name, category in self.columns]

    @property
    def absent(self) -> float:
        """What a name that is not there counts as, in a row."""
        return 0.0 if self.zeros else np.nan


@final
@dataclass
class Encoded:
    """rows: (n, columns); reasons: index → why that event is rejected (its row is NaN); ignored: values without a column."""

    rows: Array
    reasons: dict[int, str] = field(default_factory=dict)
    ignored: int = 0


def encode(state: State, xs: Sequence[Features]) -> tuple[State, Encoded]:
    """Encode events in order; what an event adds to the columns is there for all that follow."""
    if state.vocabulary:
        return _encode_tokens(state, xs)
    reasons: dict[int, str] = {}
    for i, x in enumerate(xs):
        kind = "map" if isinstance(x, Mapping) else "array"
        if kind == "array" and not 0 < len(x) <= COLUMNS_MOST:  # nor is the width of a stream fixed by such a one
            reasons[i] = f"x has {len(x)} values, more than {COLUMNS_MOST}" if x else "x has no values"
            continue
        if state.width and (kind == "map" or len(x) != state.width):
            given = "is a map of names instead of an array of" if kind == "map" else f"has {len(x)} values instead of"
            reasons[i] = f"x {given} {state.width}"
            continue
        if state.kind == "":
            state = replace(state, kind=kind, columns=_first_columns(state, x))
        if kind != state.kind:
            article = {"map": "a map of names", "array": "an array"}
            reasons[i] = f"x is {article[kind]}; the events before had {article[state.kind]}"
        elif kind == "array" and len(x) != len(state.columns):
            reasons[i] = f"x has {len(x)} values instead of {len(state.columns)}"
    if state.kind == "array":
        blank = (None,) * len(state.columns)
        rows = np.array([blank if i in reasons else x for i, x in enumerate(xs)], dtype=float)
        rows = rows.reshape(len(xs), len(state.columns))
        for i in np.flatnonzero((np.abs(rows) > LARGEST).any(axis=1)).tolist():
            reasons[i], rows[i] = TOO_LARGE, np.nan
        return state, Encoded(rows, reasons)
    return _encode_maps(state, xs, reasons)


def _encode_tokens(state: State, xs: Sequence[Features]) -> tuple[State, Encoded]:
    """One column a place, −1 where there is no token; tokens past the last place are ignored and counted."""
    if state.kind == "":
        state = replace(state, kind="array", columns=tuple((f"t{i}", None) for i in range(state.width)))
    rows, reasons, ignored = np.full((len(xs), state.width), NO_TOKEN), dict[int, str](), 0
    for i, x in enumerate(xs):
        ids = np.array([np.nan]) if isinstance(x, Mapping) else np.array(x, dtype=float)
        if not bool(((ids >= 0) & (ids < state.vocabulary) & (ids == np.floor(ids))).all()):
            reasons[i] = f"x is not an array of token ids, whole numbers from 0 to {state.vocabulary - 1}"
            continue
        kept = ids[: state.width]
        rows[i, : len(kept)], ignored = kept, ignored + len(ids) - len(kept)
    for i in reasons:
        rows[i] = np.nan
    return state, Encoded(rows, reasons, ignored)


def widen(state: State, rows: Array) -> Array:
    """Rows (n, fewer columns) as encoding their events now would give them."""
    have = rows.shape[1]
    if have == len(state.columns):
        return rows
    wide = np.full((len(rows), len(state.columns)), state.absent)
    wide[:, :have] = rows
    if state.zeros:
        return wide
    for j in range(have, len(state.columns)):
        name, category = state.columns[j]
        if category is not None:
            # A name that held anything did not hold this category, which nobody had seen; a name that held nothing is NaN.
            for i in range(have):
                if state.columns[i][0] == name:
                    known = ~np.isnan(rows[:, i])
                    wide[known, j] = 0.0
    return wide


def sibling_counts(state: State, counts: Array) -> Array:
    """Counts of non-missing values (fewer columns,) widened likewise: a new category was 0 wherever its name held anything."""
    wide = np.zeros(len(state.columns))
    wide[: len(counts)] = counts
    if state.zeros:  # a column that never held null was counted in every row
        wide[len(counts) :] = counts.max(initial=0.0)
        return wide
    for j in range(len(counts), len(state.columns)):
        name, category = state.columns[j]
        if category is not None:
            same = [i for i in range(len(counts)) if state.columns[i][0] == name]
            categories = [i for i in same if state.columns[i][1] is not None]
            wide[j] = max((counts[i] for i in categories or same), default=0.0)
    return wide


def _first_columns(state: State, x: Features) -> tuple[tuple[str, str | None], ...]:
    if isinstance(x, Mapping):
        return ()
    names = state.fixed or tuple(f"x{i}" for i in range(len(x)))
    return tuple((name, None) for name in names)


def _encode_maps(state: State, xs: Sequence[Features], reasons: dict[int, str]) -> tuple[State, Encoded]:
    index = {column: j for j, column in enumerate(state.columns)}
    categories: dict[str, list[int]] = {}
    for (name, category), j in index.items():
        if category is not None:
            categories.setdefault(name, []).append(j)
    wanted, ignored = set(state.fixed), 0
    entries: list[tuple[int, int, float]] = []
    texts: list[tuple[int, str, int]] = []  # (row, name, the category's column or −1)
    nulls: list[tuple[int, str]] = []
    for i, x in enumerate(xs):
        if i in reasons or not isinstance(x, Mapping):
            continue
        if any(isinstance(value, (int, float)) and abs(value) > LARGEST for value in x.values()):
            reasons[i] = TOO_LARGE
            continue
        for name, value in x.items():
            if value is None or (wanted and name not in wanted):
                nulls.append((i, name))
                continue
            column = (name, value if isinstance(value, str) else None)
            j = index.get(column, -1)
            if j < 0:
                full = isinstance(value, str) and len(categories.get(name, ())) >= CATEGORIES_MOST
                if full or len(index) >= COLUMNS_MOST:
                    ignored += 1
                else:
                    j = index[column] = len(index)
                    if isinstance(value, str):
                        categories.setdefault(name, []).append(j)
            if isinstance(value, str):
                texts.append((i, name, j))
            elif j >= 0:
                entries.append((i, j, float(value)))
    state = replace(state, columns=tuple(index))
    rows = np.full((len(xs), len(index)), state.absent)
    rows[list(reasons)] = np.nan
    for i, name in nulls if state.zeros else ():
        rows[i, [known == name for known, _ in index]] = np.nan
    for i, name, j in texts:
        rows[i, categories.get(name, [])] = 0.0
        if j >= 0:
            rows[i, j] = 1.0
    if entries:
        at, columns, values = zip(*entries, strict=True)
        rows[list(at), list(columns)] = values
    _numbers_are_no_category(rows, entries, state.columns, categories)
    return state, Encoded(rows, reasons, ignored)


def _numbers_are_no_category(
    rows: Array,
    entries: list[tuple[int, int, float]],
    columns: tuple[tuple[str, str | None], ...],
    categories: dict[str, list[int]],
) -> None:
    """A name that holds a number holds none of its categories, also those that the same batch brought later."""
    mixed = {
        j: categories[name] for j, (name, category) in enumerate(columns) if category is None and name in categories
    }
    for i, j, _ in entries:
        if j in mixed:
            rows[i, mixed[j]] = 0.0
