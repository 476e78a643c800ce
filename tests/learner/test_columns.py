"""Columns: how features become rows, and how a row of then becomes a row of now."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlearn.core.losses import Array
from streamlearn.learner import columns
from streamlearn.learner.columns import CATEGORIES_MOST, COLUMNS_MOST, Encoded, Features, State

NAN = np.nan
MODERATE = settings(max_examples=100, deadline=None, derandomize=True)
VALUES = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-5, 5), st.booleans(), st.sampled_from(["red", "green", "blue", ""]), st.none()
)
MAPS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4), min_size=1, max_size=12)


def rows(xs: list[Features], state: State | None = None) -> Array:
    return columns.encode(state or State(), xs)[1].rows


def encoded(xs: list[Features], state: State | None = None) -> Encoded:
    return columns.encode(state or State(), xs)[1]


def test_an_array_has_one_column_a_place() -> None:
    state, got = columns.encode(State(), [[1.5, None, True], [0, 2, False]])
    np.testing.assert_array_equal([[1.5, NAN, 1.0], [0.0, 2.0, 0.0]], got.rows)
    assert ["x0", "x1", "x2"] == state.names


def test_a_map_has_a_column_a_number_and_a_column_a_category() -> None:
    state, got = columns.encode(State(), [{"a": 2.5, "c": "red"}, {"c": "blue", "a": None}, {"b": True}, {"c": "red"}])
    assert ["a", "c=red", "c=blue", "b"] == state.names
    expected = [[2.5, 1, 0, NAN], [NAN, 0, 1, NAN], [NAN, NAN, NAN, 1], [NAN, 1, 0, NAN]]
    np.testing.assert_array_equal(np.array(expected, dtype=float), got.rows)


def test_a_name_that_holds_a_number_holds_none_of_its_categories() -> None:
    state, got = columns.encode(State(), [{"a": 1.0}, {"a": "one"}, {"a": 2.0}])
    assert ["a", "a=one"] == state.names
    np.testing.assert_array_equal([[1.0, 0.0], [NAN, 1.0], [2.0, 0.0]], got.rows)


@MODERATE
@given(first=MAPS, then=MAPS)
def test_widening_equals_encoding_anew(first: list[Features], then: list[Features]) -> None:
    old_state, old = columns.encode(State(), first)
    state, _ = columns.encode(old_state, then)
    np.testing.assert_array_equal(rows(first, state), columns.widen(state, old.rows))


@MODERATE
@given(xs=MAPS, cut=st.integers(0, 12))
def test_encoding_in_two_batches_gives_the_same_columns_and_rows(xs: list[Features], cut: int) -> None:
    whole_state, whole = columns.encode(State(), xs)
    first_state, first = columns.encode(State(), xs[:cut])
    state, then = columns.encode(first_state, xs[cut:])
    assert whole_state.columns == state.columns
    np.testing.assert_array_equal(whole.rows, np.concatenate([columns.widen(state, first.rows), then.rows]))


@MODERATE
@given(first=MAPS, then=MAPS)
def test_counts_are_widened_as_counting_widened_rows_would(first: list[Features], then: list[Features]) -> None:
    old_state, old = columns.encode(State(), first)
    state, _ = columns.encode(old_state, then)
    expected = (~np.isnan(columns.widen(state, old.rows))).sum(axis=0)
    np.testing.assert_array_equal(expected, columns.sibling_counts(state, (~np.isnan(old.rows)).sum(axis=0)))


@pytest.mark.parametrize(
    ("xs", "bad", "reason"),
    [
        ([[1, 2], [1, 2, 3]], 1, "x has 3 values instead of 2"),
        ([[1, 2], {"a": 1}], 1, "x is a map of names; the events before had an array"),
        ([{"a": 1}, [1]], 1, "x is an array; the events before had a map of names"),
        ([[1], [0] * (COLUMNS_MOST + 1)], 1, f"x has {COLUMNS_MOST + 1} values, more than {COLUMNS_MOST}"),
        ([[1.0], [1e308]], 1, "x has a number beyond 1e+100"),
        ([{"a": 1.0}, {"a": -1e101, "b": 1.0}], 1, "x has a number beyond 1e+100"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(xs: list[Features], bad: int, reason: str) -> None:
    got = encoded(xs)
    assert {bad: reason} == got.reasons
    assert np.isnan(got.rows[bad]).all()
    assert not np.isnan(got.rows[0]).any()


def test_a_refused_map_adds_no_column() -> None:
    state, _ = columns.encode(State(), [{"a": 1.0}, {"a": -1e101, "b": 1.0}])
    assert ["a"] == state.names


def test_an_array_too_wide_does_not_fix_the_width() -> None:
    state, got = columns.encode(State(), [[0] * (COLUMNS_MOST + 1), [1, 2]])
    assert {0} == got.reasons.keys()
    assert ["x0", "x1"] == state.names


def test_categories_beyond_the_limit_are_ignored_and_counted_and_are_none_of_the_others() -> None:
    state, got = columns.encode(State(), [{"a": f"w{i}"} for i in range(CATEGORIES_MOST + 3)])
    assert CATEGORIES_MOST == len(state.columns)
    assert 3 == got.ignored
    np.testing.assert_array_equal(np.zeros((3, CATEGORIES_MOST)), got.rows[-3:])


def test_columns_beyond_the_limit_are_ignored_and_counted() -> None:
    x: dict[str, columns.Value] = {f"n{i}": float(i) for i in range(COLUMNS_MOST)}
    state, got = columns.encode(State(), [x, {"n0": 1.0, "one more": 2.0, "and": "text"}])
    assert COLUMNS_MOST == len(state.columns)
    assert 2 == got.ignored
    assert 1.0 == got.rows[1, 0]


def test_only_the_configured_names_are_taken() -> None:
    state, got = columns.encode(State(fixed=("b", "a")), [{"a": 1.0, "c": 3.0, "b": 2.0}])
    assert {"a", "b"} == set(state.names)
    assert 0 == got.ignored
    array, _ = columns.encode(State(fixed=("b", "a")), [[1.0, 2.0]])
    assert ["b", "a"] == array.names
    assert {0: "x has 1 values instead of 2"} == encoded([[1.0]], State(fixed=("b", "a"))).reasons


def test_a_map_without_values_is_a_row_of_what_is_missing() -> None:
    np.testing.assert_array_equal([[NAN], [1.0]], rows([{}, {"a": 1.0}]))


def test_where_the_width_is_given_nothing_else_fits_not_even_as_the_first() -> None:
    got = encoded([{"a": 1.0}, [1.0], [1.0, 2.0]], State(width=2))
    expected = {0: "x is a map of names instead of an array of 2", 1: "x has 1 values instead of 2"}
    assert expected == got.reasons
    np.testing.assert_array_equal([1.0, 2.0], got.rows[2])


def test_tokens_have_a_place_each_and_those_behind_the_last_place_are_counted() -> None:
    state, got = columns.encode(State(width=3, vocabulary=10), [[4, 9], [], [0, 1, 2, 3, 4]])
    np.testing.assert_array_equal([[4, 9, -1], [-1, -1, -1], [0, 1, 2]], got.rows)
    assert ({}, 2) == (got.reasons, got.ignored)
    assert ["t0", "t1", "t2"] == state.names


@pytest.mark.parametrize("x", [[10], [-1], [1.5], [None], {"a": 1}, [1, 2, 3, 10]])
def test_what_is_no_token_does_not_fit(x: Features) -> None:
    got = encoded([[1], x], State(width=3, vocabulary=10))
    assert {1: "x is not an array of token ids, whole numbers from 0 to 9"} == got.reasons
    assert np.isnan(got.rows[1]).all()
