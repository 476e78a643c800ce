"""Running moments: numpy's answer, to the last bit the same however the rows arrive."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from streamlearn.core import moments
from streamlearn.core.losses import Array


def some_rows(count: int, columns: int = 3, seed: int = 0, missing: float = 0.1) -> Array:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, columns)) * 10.0 ** rng.integers(-3, 4, columns) + rng.normal(size=columns)
    rows[rng.random(rows.shape) < missing] = np.nan
    return np.asarray(rows)


def counted(*batches: Array) -> moments.State:
    state = moments.init(batches[0].shape[1])
    for batch in batches:
        state = moments.step(state, batch)
    return state


def same(a: moments.State, b: moments.State) -> bool:
    """To the last bit, in the state and in the answer."""
    x, y = moments.scaling(a), moments.scaling(b)
    left = (a.count, a.mean, a.square, a.rows, x.shift, x.scale)
    right = (b.count, b.mean, b.square, b.rows, y.shift, y.scale)
    return all(u.tobytes() == v.tobytes() for u, v in zip(left, right, strict=True))


@pytest.mark.parametrize("count", [2, 5, 127, 128, 129, 1000])
def test_mean_and_deviation_are_numpys_without_the_missing(count: int) -> None:
    rows = some_rows(count, missing=0.1 if count > 10 else 0.0)
    scaling = moments.scaling(counted(rows))
    assert_allclose(scaling.shift, np.nanmean(rows, axis=0), rtol=1e-10, atol=1e-14)
    assert_allclose(scaling.scale, np.nanstd(rows, axis=0), rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 300), max_size=6),
    st.integers(1, 5),
    st.integers(0, 1000),
    st.sampled_from(["C", "F"]),
)
def test_any_split_of_the_rows_gives_the_same_bits(cuts: list[int], columns: int, seed: int, layout: str) -> None:
    rows = some_rows(300, columns, seed)
    edges = [0, *sorted(cuts), 300]
    parts = [np.array(rows[a:b], order=layout) for a, b in pairwise(edges)]  # type: ignore[call-overload]
    assert same(counted(rows), counted(*parts))


def test_row_by_row_is_the_same_to_the_last_bit() -> None:
    rows = some_rows(400)
    assert same(counted(rows), counted(*(rows[i : i + 1] for i in range(400))))


def test_a_large_mean_does_not_drown_a_small_deviation() -> None:
    rows = 1e9 + np.random.default_rng(0).normal(size=(1000, 1))
    assert_allclose(moments.scaling(counted(rows)).scale, rows.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-12, 1e-100, 1e100])
def test_a_column_in_tiny_or_huge_units_varies_as_well_as_any_other(unit: float) -> None:
    rows = some_rows(200, missing=0.0)
    assert_allclose(moments.scaling(counted(rows * unit)).scale, rows.std(axis=0) * unit, rtol=1e-10)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e8, 1e-12, np.nan])
def test_a_column_that_does_not_vary_is_left_at_scale_one(value: float) -> None:
    scaling = moments.scaling(counted(np.full((1000, 1), value)))
    assert scaling.scale.tolist() == [1.0]
    assert_allclose(scaling.shift, [0.0 if np.isnan(value) else value], rtol=1e-14)


def test_without_rows_nothing_is_shifted_or_scaled() -> None:
    scaling = moments.scaling(moments.init(2))
    assert scaling.shift.tolist() == [0.0, 0.0]
    assert scaling.scale.tolist() == [1.0, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(1, 200))
def test_a_column_that_comes_later_counts_from_then_on(before: int, after: int) -> None:
    # As if it had been there and missing.
    rows = some_rows(before + after, 4, missing=0.0)
    rows[:before, 2:] = np.nan
    state = counted(rows[:before, :2])
    open_block = np.full((len(state.rows), 4), np.nan)
    open_block[:, :2] = state.rows
    state = moments.step(moments.extend(state, open_block), rows[before:])
    expected = moments.scaling(counted(rows))
    actual = moments.scaling(state)
    assert_allclose(actual.shift, expected.shift, rtol=1e-14)
    assert_allclose(actual.scale, expected.scale, rtol=1e-14)


def test_a_step_leaves_its_input_unchanged_and_keeps_nothing_of_the_callers() -> None:
    rows = some_rows(200)
    state = counted(rows[:100])
    arrays = (state.count, state.mean, state.square, state.rows, rows)
    copies = [array.copy() for array in arrays]
    after = moments.step(state, rows[100:])
    moments.scaling(state)
    for array, copy in zip(arrays, copies, strict=True):
        assert array.tobytes() == copy.tobytes()
    kept = after.rows.copy()
    rows[:] = 0.0
    assert after.rows.tobytes() == kept.tobytes()
