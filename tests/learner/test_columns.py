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


def test_tokens_have_one_column_a_place_and_nothing_after_the_last() -> None:
    state, got = columns.encode(State(width=4, vocabulary=10), [[3, 0, 9], [], [1, 1, 1, 1]])
    assert ["t0", "t1", "t2", "t3"] == state.names
    np.testing.assert_array_equal([[3, 0, 9, -1], [-1, -1, -1, -1], [1, 1, 1, 1]], got.rows)
    assert {} == got.reasons
    assert 0 == got.ignored


def test_tokens_past_the_last_place_are_cut_and_counted() -> None:
    _, got = columns.encode(State(width=2, vocabulary=10), [[1, 2, 3, 4], [5], [6, 7, 8]])
    np.testing.assert_array_equal([[1, 2], [5, -1], [6, 7]], got.rows)
    assert 3 == got.ignored


@pytest.mark.parametrize(
    "x",
    [[1, 10], [-1, 2], [1.5], [None, 1], [1e300], {"a": 1}, {}, [1, 2, 3, 10]],
    ids=["beyond the vocabulary", "negative", "fraction", "null", "huge", "map", "empty map", "beyond in what is cut"],
)
def test_what_is_no_array_of_token_ids_is_refused_with_the_reason(x: Features) -> None:
    state, got = columns.encode(State(width=3, vocabulary=10), [x, [4, 9]])
    assert {0: "x is not an array of token ids, whole numbers from 0 to 9"} == got.reasons
    np.testing.assert_array_equal([[NAN, NAN, NAN], [4, 9, -1]], got.rows)
    assert 0 == got.ignored
    assert 3 == len(state.columns)


@MODERATE
@given(xs=st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8), cut=st.integers(0, 8))
def test_tokens_in_two_batches_are_the_same_as_in_one_and_add_no_columns(xs: list[Features], cut: int) -> None:
    start = State(width=4, vocabulary=10)
    whole_state, whole = columns.encode(start, xs)
    first_state, first = columns.encode(start, xs[:cut])
    state, then = columns.encode(first_state, xs[cut:])
    assert whole_state.columns == state.columns
    np.testing.assert_array_equal(whole.rows, np.concatenate([first.rows, then.rows]))
    assert whole.ignored == first.ignored + then.ignored
    for x, row in zip(xs, whole.rows, strict=True):
        assert list(x)[:4] == row[row != columns.NO_TOKEN].tolist()


def test_where_the_width_was_given_no_array_of_another_is_taken_be_it_the_first() -> None:
    state, got = columns.encode(State(width=3), [[1, 2], [1, 2, 3], [1, 2, 3, 4], [4, None, 6]])
    assert {0: "x has 2 values instead of 3", 2: "x has 4 values instead of 3"} == got.reasons
    np.testing.assert_array_equal([[NAN] * 3, [1, 2, 3], [NAN] * 3, [4, NAN, 6]], got.rows)
    assert ["x0", "x1", "x2"] == state.names


def test_arrays_of_another_width_alone_fix_nothing() -> None:
    state, got = columns.encode(State(width=3), [[1, 2], [1]])
    assert {0, 1} == got.reasons.keys()
    assert [] == state.names
    assert (2, 0) == got.rows.shape
    np.testing.assert_array_equal([[7, 8, 9]], rows([[7, 8, 9]], state))


def test_where_the_width_is_given_nothing_else_fits_not_even_as_the_first() -> None:
    got = encoded([{"a": 1.0}, [1.0], [1.0, 2.0]], State(width=2))
    expected = {0: "x is a map of names instead of an array of 2", 1: "x has 1 values instead of 2"}
    assert expected == got.reasons
    np.testing.assert_array_equal([1.0, 2.0], got.rows[2])
