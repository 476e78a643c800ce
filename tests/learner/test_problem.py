"""The problem is learned from the labels, decided once, and only ever grows."""

from __future__ import annotations

from functools import reduce

import pytest

from streamlearn.learner import problem
from streamlearn.learner.problem import Label, State


def heard(labels: list[Label], state: State | None = None) -> State:
    for label in labels:
        assert problem.refusal(state or problem.init("", ()), label) == ""
        state = problem.step(state or problem.init("", ()), label)
    assert state is not None
    return state


def test_strings_are_classes_and_two_have_one_output() -> None:
    state = heard(["yes", "no", "yes"])
    assert ("logistic", ("no", "yes"), 1) == (state.loss, state.classes, state.outputs)
    assert [0.0, 1.0] == [problem.target(state, label) for label in ("no", "yes")]


def test_one_string_alone_leaves_nothing_to_tell_apart() -> None:
    state = heard(["yes", "yes"])
    assert not state.trainable
    assert heard(["no"], state).trainable


@pytest.mark.parametrize("label", [True, False])
def test_a_booleans_other_class_is_known_before_it_is_seen(label: bool) -> None:
    state = heard([label])
    assert ("logistic", (False, True), True) == (state.loss, state.classes, state.trainable)


def test_whole_numbers_are_open_for_twenty_labels_and_then_classes() -> None:
    labels: list[Label] = [i % 3 for i in range(20)]
    before = heard(labels[:19])
    assert ("", False) == (before.loss, before.trainable)
    after = heard(labels)
    assert ("softmax", (0, 1, 2), 3) == (after.loss, after.classes, after.outputs)


def test_ten_distinct_whole_numbers_are_classes_and_eleven_are_values() -> None:
    assert ("softmax", 10) == (heard([i % 10 for i in range(20)]).loss, heard([i % 10 for i in range(20)]).outputs)
    assert "squared" == heard([*range(11)]).loss
    assert "" == heard([*range(10)]).loss


@pytest.mark.parametrize("labels", [[0.5], [1, 2, 2.5], [1.0, 1e-3]])
def test_a_fraction_decides_for_values_at_once(labels: list[Label]) -> None:
    state = heard(labels)
    assert ("squared", (), 1, True) == (state.loss, state.classes, state.outputs, state.trainable)
    assert 7.0 == problem.target(state, 7)


def test_it_is_decided_once() -> None:
    values = heard([0.5])
    assert values == heard([1, 2, 3] * 10, values)
    assert "label is string; this problem's labels are numbers" == problem.refusal(values, "red")
    assert "label is boolean; this problem's labels are numbers" == problem.refusal(values, True)
    classes = heard([0, 1] * 10)
    assert "label is a fraction; this problem's labels are classes" == problem.refusal(classes, 0.5)


def test_one_and_one_point_zero_are_the_same_label_and_true_is_another() -> None:
    state = heard([1, 0] * 10)
    assert problem.target(state, 1) == problem.target(state, 1.0) == 1.0
    assert state == heard([1.0, 0.0] * 10)
    assert "label is boolean; this problem's classes are numbers" == problem.refusal(state, True)
    booleans = heard([True])
    assert "label is number; this problem's classes are booleans" == problem.refusal(booleans, 1)
    mixed = heard([1, True])
    assert problem.target(mixed, 1) != problem.target(mixed, True)


def test_a_new_class_adds_an_output_behind_the_others() -> None:
    state = heard(["b", "c", "a"])
    assert ("softmax", ("b", "c", "a"), 3) == (state.loss, state.classes, state.outputs)


def test_configured_classes_stay_as_they_are() -> None:
    state = problem.init("", ("b", "a"))
    assert ("logistic", ("b", "a"), True) == (state.loss, state.classes, state.trainable)
    assert "label is not one of the configured classes" == problem.refusal(state, "c")
    assert state == heard(["a", "b", "a"], state)
    assert "softmax" == problem.init("", (1, 2, 3)).loss
    assert 1.0 == problem.target(problem.init("", (1, 2.0, 3)), 2)


def test_the_logistic_loss_has_two_classes() -> None:
    state = heard(["a", "b"], problem.init("logistic", ()))
    assert "label is a third class; model.loss = logistic has two" == problem.refusal(state, "c")


def test_the_softmax_loss_has_an_output_a_class_also_for_two() -> None:
    state = heard(["a", "b"], problem.init("softmax", ()))
    assert ("softmax", 2) == (state.loss, state.outputs)


def test_a_configured_squared_loss_takes_whole_numbers_as_values_at_once() -> None:
    state = heard([1], problem.init("squared", ()))
    assert ("squared", 1.0) == (state.loss, problem.target(state, 1))


def test_classes_are_bounded_in_number() -> None:
    state = reduce(problem.step, [f"c{i}" for i in range(problem.CLASSES_MOST)], problem.init("", ()))
    assert f"label would be class number {problem.CLASSES_MOST + 1}" == problem.refusal(state, "one more")
    assert "" == problem.refusal(state, "c0")


@pytest.mark.parametrize("loss", ["", "squared", "softmax"])
def test_a_number_whose_square_is_not_finite_is_refused(loss: str) -> None:
    assert "label is beyond 1e+100" == problem.refusal(problem.init(loss, ()), -1e300)


def test_a_prediction_reads_as_the_labels_do() -> None:
    assert 2.5 == problem.prediction(heard([0.5]), 2.5)
    assert "yes" == problem.prediction(heard(["yes", "no"]), 1)
