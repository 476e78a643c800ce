"""Areas, labels needed and intervals against closed forms and against what others compute."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from streamlearn.evaluation.report.curves import along, labels_needed, margin, verdict
from streamlearn.evaluation.trial import Point


def line(begin: int, end: int, score: float, slope: float) -> tuple[Point, ...]:
    """A curve with a point every ten labels: score + slope · labels, and the loss minus that."""
    labels = [*range(begin, end, 10), end]
    scores = [score + slope * n for n in labels]
    return tuple(Point(5 * n, n, -s, s, 1.0, 0.0) for n, s in zip(labels, scores, strict=True))


def test_the_area_between_straight_lines_is_the_difference_in_the_middle_of_what_they_share() -> None:
    ours, theirs = line(4, 90, 0.2, 0.01), line(10, 70, 0.1, 0.004)
    middle = (10 + 70) / 2
    expected = 0.1 + 0.006 * middle
    assert along(ours, theirs) == pytest.approx((-expected, expected))
    assert along(theirs, ours) == pytest.approx((expected, -expected))
    assert along(ours, ours) == (0.0, 0.0)


def test_the_area_does_not_care_how_many_labels_a_strategy_came_to() -> None:
    longer, shorter = line(10, 200, 0.0, 0.002), line(10, 60, 0.0, 0.002)
    assert along(longer, shorter) == pytest.approx((0.0, 0.0))


def test_labels_needed_are_where_the_mean_curve_first_reaches_what_the_other_ends_with() -> None:
    random = [line(10, 110, 0.0, 0.01)] * 2  # ends with 1.1
    assert labels_needed([line(10, 110, 0.0, 0.02)], random) == pytest.approx(0.5)
    # Curves of slopes 0.04 and 0.02 have a mean of slope 0.03.
    assert labels_needed([line(10, 110, 0.0, 0.04), line(10, 90, 0.0, 0.02)], random) == pytest.approx(1.0 / 3.0)
    assert labels_needed(random, random) == pytest.approx(1.0)
    assert math.isinf(labels_needed([line(10, 110, 0.0, 0.009)], random))
    assert labels_needed([line(20, 110, 2.0, 0.0)], random) == pytest.approx(20 / 110)  # from its first model on


def test_the_margin_is_student_s_and_wider_for_several_at_once() -> None:
    values = np.array([1.0, 1.4, 0.7, 1.1, 0.8])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert margin(values) == pytest.approx((high - low) / 2.0)
    low, high = stats.t.interval(0.99, 4, loc=values.mean(), scale=stats.sem(values))
    assert margin(values, comparisons=5) == pytest.approx((high - low) / 2.0)
    assert math.isinf(margin(np.array([1.0])))
    assert [verdict(values, True), verdict(values, True, 1000)] == ["ahead", "even"]
