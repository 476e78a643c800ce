"""Which strategy acts."""

from __future__ import annotations

import pytest

from streamlearn.queries.choose import STRATEGIES, choose


@pytest.mark.parametrize(
    ("loss", "exact", "expected"),
    [
        ("logistic", True, "uncertainty"),
        ("logistic", False, "uncertainty"),
        ("softmax", True, "uncertainty"),
        ("softmax", False, "uncertainty"),
        ("squared", True, "leverage"),
        ("squared", False, "sld"),
        ("", True, "uncertainty"),
    ],
)
def test_auto_goes_by_the_problem(loss: str, exact: bool, expected: str) -> None:
    assert expected == choose("auto", loss, exact).name


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("loss", ["", "squared", "logistic", "softmax"])
def test_a_named_strategy_acts_where_it_can(name: str, loss: str) -> None:
    assert name == choose(name, loss, True).name
    expected = "sld" if name == "leverage" and loss else name
    assert expected == choose(name, loss, False).name
