"""A network's learner: where λ starts, and how a quiet stream is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlearn.config import Configuration, Model, Training
from streamlearn.edges import networks
from streamlearn.learner import learner, settings, stochastic
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from tests.learner import streams

pytest.importorskip("torch")


def told(kind: str = "mlp", precision: float = 0.0, rate: float = 0.0) -> Settings:
    plain = Configuration()
    configuration = replace(
        plain,
        model=Model(kind=kind, hidden=(4,) if kind == "mlp" else ()),
        training=Training(solver="sgdf", learning_rate=rate),
        regularity=replace(plain.regularity, initial_precision=precision),
    )
    architecture = networks.architecture(configuration) if kind == "mlp" else None
    return settings.from_configuration(configuration, architecture=architecture)


def taught(as_told: Settings, count: int = 30) -> State:
    return streams.learned(streams.start(as_told), as_told, streams.labels("logistic", count))


def rates(as_told: Settings) -> list[float]:
    """The step size before settling, of three rounds of it, and after another label."""
    here = taught(as_told)
    found = [here]
    for _ in range(3):
        found.append(learner.settle(replace(found[-1], unfitted=1), as_told))
    found.append(learner.step(found[-1], as_told, streams.labels("logistic", 31)[-1]))
    assert all(each.fit is not None for each in found)
    return [each.fit.rate for each in found if each.fit is not None]


def test_where_the_configuration_leaves_it_open_a_network_starts_with_less_regularity_than_a_linear_model() -> None:
    assert (told("linear").initial_precision, told("mlp").initial_precision) == (10.0, 1.0)
    assert (told("linear", 3.0).initial_precision, told("mlp", 3.0).initial_precision) == (3.0, 3.0)


def test_a_networks_step_falls_with_the_root_of_the_rounds_of_settling_and_is_whole_again_with_a_label() -> None:
    expected = [0.1, 0.1, 0.1 / np.sqrt(2.0), 0.1 / np.sqrt(3.0), 0.1]
    assert rates(told("mlp", rate=0.1)) == pytest.approx(expected, rel=1e-12)


def test_a_linear_models_step_stays_while_it_settles() -> None:
    assert rates(told("linear", rate=0.1)) == [0.1] * 5


def test_a_network_is_settled_once_its_residual_is_below_a_fifth_and_not_before() -> None:
    as_told = told("mlp")
    here, seen = taught(as_told), []
    while here.unfitted:
        here = learner.settle(here, as_told)
        assert here.fit is not None
        seen.append(here.fit.residual < stochastic.SOLVED_NETWORK)
    assert seen == [False] * (len(seen) - 1) + [True]
