"""The figures' numbers against numpy, and what the paper says of them."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.figures import curves
from streamlearn.figures.curves import Numbers
from tests.figures import truth

SCORES = ("sld", "si", "ssi", "sti", "si-doubly-unlabeled", "ssi-doubly-unlabeled", "sti-doubly-unlabeled")


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return curves.numbers()


def scaled(score: truth.Array) -> truth.Array:
    return score / np.sqrt(np.mean(score**2))


def test_the_points_have_the_responses_residuals_and_losses_of_the_textbook(numbers: Numbers) -> None:
    response = truth.responses(truth.X_POINTS, numbers.regularity)
    np.testing.assert_allclose(numbers.points["response"], response, rtol=1e-9)
    np.testing.assert_allclose(numbers.points["residual"], response - truth.Y_POINTS, rtol=1e-7)
    np.testing.assert_allclose(numbers.points["left_out_loss"], truth.left_out(numbers.regularity), rtol=1e-7)
    assert numbers.error == pytest.approx(truth.left_out(numbers.regularity).mean())


def test_one_point_has_by_far_the_largest_residual(numbers: Numbers) -> None:
    residuals = np.abs(numbers.points["residual"])
    assert numbers.dominant == 4
    assert residuals[4] > 1.8 * np.delete(residuals, 4).max()


def test_the_tangent_response_is_the_derivative_of_the_response_by_the_regularity(numbers: Numbers) -> None:
    x, regularity, small = numbers.figure1["x"], numbers.regularity, 1e-4 * numbers.regularity
    change = truth.responses(x, regularity + small) - truth.responses(x, regularity - small)
    expected = change / (2.0 * small)
    actual = numbers.figure1["tangent_response"]
    np.testing.assert_allclose(actual, expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(numbers.figure1["tangent_response_squared"], actual**2)


def test_the_difference_is_that_of_two_models_over_that_of_their_regularities(numbers: Numbers) -> None:
    x, low, high = numbers.figure1["x"], numbers.regularity, numbers.higher
    f, above = truth.responses(x, low), truth.responses(x, high)
    np.testing.assert_allclose(numbers.figure1["response"], f, atol=1e-10)
    np.testing.assert_allclose(numbers.figure1["response_at_higher"], above, atol=1e-10)
    expected = ((above - f) / (high - low)) ** 2
    np.testing.assert_allclose(numbers.figure1["difference_squared"], expected, atol=1e-8 * expected.max())


def test_figure_1_shows_what_the_paper_says(numbers: Numbers) -> None:
    own = numbers.figure1
    squared, gap = own["tangent_response_squared"], np.abs(own["x"]) < 0.5
    assert gap[np.argmax(squared)]
    assert own["difference_squared"].max() < squared.max()
    assert (
        min(own["tangent_response"].max(), -own["tangent_response"].min()) > 0.3 * np.abs(own["tangent_response"]).max()
    )


def test_leave_one_out_is_by_refits_and_leverage_is_the_same(numbers: Numbers) -> None:
    own = numbers.figure2
    expected = [truth.left_out(regularity).mean() for regularity in own["regularity"]]
    np.testing.assert_allclose(own["left_out"], expected, rtol=1e-6)
    np.testing.assert_allclose(own["leverage"], expected, rtol=1e-6)


def test_the_first_order_is_too_optimistic_and_would_drive_the_regularity_to_zero(numbers: Numbers) -> None:
    own = numbers.figure2
    assert (own["first_order"] < own["left_out"]).all()
    assert np.argmin(own["first_order"]) == 0


def test_leave_one_out_has_its_minimum_inside_and_a_local_one(numbers: Numbers) -> None:
    error, regularity = numbers.figure2["left_out"], numbers.figure2["regularity"]
    best, local = curves.local_minima(error)
    assert best == np.argmin(error)
    assert regularity[best - 1] < numbers.regularity < regularity[best + 1]
    assert numbers.error <= error[best]
    assert error[best] < 0.3 * min(error[0], error[-1])
    assert error[local] < error[local - 10 : local].max()


def test_local_minima_are_lower_than_both_neighbours() -> None:
    assert curves.local_minima(np.array([0.0, 2.0, 1.0, 3.0, 3.0, -1.0, 5.0])) == [2, 5]


def test_scores_are_those_of_the_influences_written_out(numbers: Numbers) -> None:
    x = numbers.figure3["x"]
    labeled, plain = (truth.influences(x, numbers.regularity, known) for known in (True, False))
    expected = {
        "sld": numbers.figure1["tangent_response_squared"],
        "si": labeled[:, 4] ** 2,
        "ssi": (labeled**2).sum(axis=1),
        "sti": labeled.sum(axis=1) ** 2,
        "si-doubly-unlabeled": plain[:, 4] ** 2,
        "ssi-doubly-unlabeled": (plain**2).sum(axis=1),
        "sti-doubly-unlabeled": plain.sum(axis=1) ** 2,
    }
    assert tuple(numbers.figure3) == ("x", *SCORES)
    for name, score in expected.items():
        np.testing.assert_allclose(numbers.figure3[name], scaled(score), atol=1e-9, err_msg=name)


def test_the_labeled_total_influence_is_the_squared_loss_derivative(numbers: Numbers) -> None:
    np.testing.assert_allclose(numbers.figure3["sti"], numbers.figure3["sld"], atol=1e-8)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_the_same_root_mean_square(name: str, numbers: Numbers) -> None:
    assert np.sqrt(np.mean(numbers.figure3[name] ** 2)) == pytest.approx(1.0, abs=1e-12)


def test_the_labeled_sums_lean_on_the_point_of_the_largest_residual(numbers: Numbers) -> None:
    own = numbers.figure3
    for labeled, share_least, share_most in ((True, 0.45, 1.0), (False, 0.0, 0.2)):
        squares = truth.influences(own["x"], numbers.regularity, labeled) ** 2
        shares = squares.sum(axis=0) / squares.sum()
        assert share_least < shares[4] < share_most
        assert (np.argmax(shares) == 4) == labeled
    labeled, unlabeled = (np.corrcoef(own["si"], own[name])[0, 1] for name in ("ssi", "ssi-doubly-unlabeled"))
    assert labeled > unlabeled


def test_unlabeled_sums_range_less_and_stay_away_from_zero(numbers: Numbers) -> None:
    own = numbers.figure3
    for name in ("ssi", "sti"):
        labeled, unlabeled = own[name], own[f"{name}-doubly-unlabeled"]
        assert labeled.min() < 0.01
        assert unlabeled.min() > 0.3
        assert np.ptp(unlabeled) < np.ptp(labeled)
