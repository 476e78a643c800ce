"""The labeled set: a value that shares its arrays with its successors and is never changed by them."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.learner import examples
from streamlearn.learner.examples import State

WIDTH = 3


def added(state: State, count: int, start: int = 0) -> State:
    for i in range(start, start + count):
        state = examples.append(state, np.full(WIDTH, float(i)), i, float(i), 1.0 + i, i % 4 == 3)
    return state


def contents(state: State) -> list[object]:
    n = len(state)
    parts = (state.X, state.target, state.weight, state.fold)
    return [state.first, state.end, list(state.y[:n]), *(part[:n].tolist() for part in parts)]


def test_appending_keeps_order_and_contents_while_arrays_grow() -> None:
    state = added(examples.init(WIDTH), 300)
    assert (0, 300, 300) == (state.first, state.end, len(state))
    np.testing.assert_array_equal(np.arange(300.0), state.X[:300, 1])
    assert [*range(300)] == state.y
    np.testing.assert_array_equal(np.arange(300) % 4 == 3, state.fold[:300])


def test_appending_shares_what_is_there() -> None:
    state = added(examples.init(WIDTH), 10)
    assert np.shares_memory(state.X, added(state, 1).X)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65])
def test_two_successors_of_one_state_do_not_see_each_other(count: int) -> None:
    state = added(examples.init(WIDTH), count)
    before = contents(state)
    left, right = added(state, 2, start=100), added(state, 3, start=200)
    assert before == contents(state)
    assert [*range(count), 100, 101] == left.y
    assert [*range(count), 200, 201, 202] == right.y
    np.testing.assert_array_equal([100.0, 101.0], left.target[count : count + 2])
    np.testing.assert_array_equal([200.0, 201.0, 202.0], right.X[count : count + 3, 0])


def test_replacing_changes_one_place_of_the_new_state_only() -> None:
    state = added(examples.init(WIDTH), 10)
    before = contents(state)
    after = examples.replaced(state, 4, np.full(WIDTH, -1.0), "new", 0.5, 2.5)
    assert before == contents(state)
    assert ("new", 0.5, 2.5) == (after.y[4], after.target[4], after.weight[4])
    np.testing.assert_array_equal([3.0, -1.0, 5.0], after.X[3:6, 0])


def test_a_forgotten_example_keeps_its_place_and_nothing_else() -> None:
    state = added(examples.init(WIDTH), 10)
    after = examples.replaced(state, 3, np.zeros(WIDTH), 0, 0.0, 0.0)
    assert (10, 0, 0.0, 0.0, 0) == (len(after), after.y[3], after.target[3], after.weight[3], after.fold[3])
    np.testing.assert_array_equal(np.zeros(WIDTH), after.X[3])


def test_only_the_newest_are_kept_and_serials_go_on() -> None:
    state = added(examples.init(WIDTH), 10)
    kept = examples.newest(state, 4)
    assert (6, 10, [6, 7, 8, 9]) == (kept.first, kept.end, kept.y)
    longer = added(kept, 1, start=10)
    assert (6, 11, 10.0) == (longer.first, longer.end, longer.X[4, 0])
    assert (0, 10) == (state.first, state.end)
    changed = examples.replaced(longer, 7, np.full(WIDTH, -1.0), "new", 0.0, 1.0)
    assert [6, "new", 8, 9, 10] == changed.y


@pytest.mark.parametrize("keep", [0, 10, 11])
def test_all_are_kept_where_nothing_is_to_be_dropped(keep: int) -> None:
    state = added(examples.init(WIDTH), 10)
    assert state is examples.newest(state, keep)


def test_more_columns_and_other_targets_leave_the_older_state_alone() -> None:
    state = added(examples.init(WIDTH), 10)
    before = contents(state)
    wide = examples.widened(state, np.ones((10, WIDTH + 2)))
    other = examples.retargeted(state, np.full(10, 7.0))
    wide = examples.append(wide, np.zeros(WIDTH + 2), "x", 0.0, 1.0, False)
    other = added(other, 1)
    assert before == contents(state)
    assert (11, WIDTH + 2) == (len(wide), wide.X.shape[1])
    np.testing.assert_array_equal(np.full(10, 7.0), other.target[:10])


def test_serials_may_start_anywhere() -> None:
    state = added(examples.init(WIDTH, 5), 2)
    assert (5, 7, 2) == (state.first, state.end, len(state))


def test_many_that_are_forgotten_at_once_are_as_forgotten_as_one_by_one() -> None:
    state = examples.init(WIDTH)
    for i in range(90):
        state = examples.append(state, np.full(WIDTH, float(i)), i, float(i), 1.0, i % 4, ["ann", "ben", ""][i % 3])
    state = examples.newest(state, 80)
    before, rows = contents(state), examples.of_user(state, "ann")
    one_by_one = state
    for row in rows:
        one_by_one = examples.replaced(one_by_one, state.first + row, np.zeros(WIDTH), 0, 0.0, 0.0)
    at_once = examples.without(state, rows)
    assert before == contents(state)
    assert contents(one_by_one) == contents(at_once)
    assert one_by_one.user[:80] == at_once.user[:80]
    assert one_by_one.by_user == at_once.by_user
    assert "ann" not in at_once.by_user
