"""Which strategy acts."""

from __future__ import annotations

import pytest

from streamlearn.queries import names
from streamlearn.queries.choose import STRATEGIES, choose


@pytest.mark.parametrize(
    ("loss", "exact", "expected"),
    [
        ("logistic", True, "uncertainty"),
        ("logistic", False, "uncertainty"),
        ("softmax", True, "uncertainty"),
        ("softmax", False, "uncertainty"),
        ("squared", True, "v-optimality"),
        ("squared", False, "sld"),
        ("poisson", True, "v-optimality"),
        ("poisson", False, "sld"),
        ("", True, "uncertainty"),
    ],
)
def test_auto_goes_by_the_problem(loss: str, exact: bool, expected: str) -> None:
    assert expected == choose("auto", loss, exact).name


@pytest.mark.parametrize(
    ("loss", "exact", "expected"),
    [
        ("logistic", True, "decisive"),
        ("logistic", False, "uncertainty"),
        ("softmax", True, "decisive"),
        ("squared", True, "v-optimality"),
        ("", True, "uncertainty"),
    ],
)
def test_where_it_is_known_how_users_differ_classes_are_asked_for_by_what_is_not_known_of_them(
    loss: str, exact: bool, expected: str
) -> None:
    assert expected == choose("auto", loss, exact, of_personalities=True).name


OF_CLASSES = {
    "uncertainty",
    "margin",
    "entropy",
    "least-confidence",
    "decisive",
    "informed",
    "informed-boundary",
    "flip",
}
OF_TANGENTS = {"sld", "sld-unlabeled", "sld-residual", "gradient-length", "random", "periodic"}
OF_INVERSES = {"leverage", "decisive", "v-optimality", "committee", "informed", "informed-boundary"} | {
    f"{influence}{form}" for influence in ("si", "ssi", "sti") for form in ("", "-unlabeled", "-doubly-unlabeled")
}


def test_these_are_all() -> None:
    assert OF_CLASSES | OF_TANGENTS | OF_INVERSES == set(STRATEGIES)
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("loss", ["", "squared", "logistic", "softmax", "poisson"])
def test_a_named_strategy_acts_where_it_can_and_else_the_squared_loss_derivative(name: str, loss: str) -> None:
    refused = name in OF_CLASSES and loss in ("squared", "poisson")
    assert ("sld" if refused else name) == choose(name, loss, True).name
    refused |= name in OF_INVERSES and loss != ""
    assert ("sld" if refused else name) == choose(name, loss, False).name


def test_the_names_that_the_command_line_knows_are_those_of_the_strategies() -> None:
    assert set(names.NAMES) == set(STRATEGIES)
    assert set(names.OF_CLASSES) == {name for name, strategy in STRATEGIES.items() if strategy.needs_classes}
