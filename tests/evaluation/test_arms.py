"""Strategies and variants as they are spelled; what cannot be meant is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import arms, trial
from streamlearn.evaluation.arms import CONTROL, NULLS
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import RANDOM
from streamlearn.queries import names


def test_random_and_the_null_controls_take_part_whatever_is_asked_for() -> None:
    found = [arm.name for arm in arms.parsed("sld", ())]
    assert found == [RANDOM, "sld", CONTROL, *(name for name in NULLS if name in names.NAMES)]
    assert [arm.name for arm in arms.parsed("random,sld,sld", ())] == found
    assert set(names.NAMES) - {"margin"} <= {arm.name for arm in arms.parsed("all", ())}


def test_variants_stand_side_by_side() -> None:
    text = "sld,sld:queries.audit_share=0.5,queries.seed=3,flip,auto:model.kind=mlp,model.hidden=[4,4]"
    found = {arm.name: arm for arm in arms.parsed(text, ("training.keep=50",))}
    assert found["sld"].settings == ("training.keep=50",)
    variant = found["sld:queries.audit_share=0.5,queries.seed=3"]
    assert (variant.strategy, variant.settings[1:]) == ("sld", ("queries.audit_share=0.5", "queries.seed=3"))
    told = trial.configuration(variant.plan("iris", 7, 0.2, 0), values=False, folder=Path("here"))
    queries = told.queries
    assert (queries.strategy, queries.budget, queries.seed, queries.audit_share) == ("sld", 0.2, 3, 0.5)
    assert (told.training.keep, told.log.path) == (50, "here")
    hidden = found["auto:model.kind=mlp,model.hidden=[4,4]"].plan("iris", 7, 0.2, 0)
    assert trial.configuration(hidden, values=False, folder=Path("here")).model.hidden == (4, 4)


def test_the_control_is_random_with_other_draws_and_the_same_stream() -> None:
    by_name = {arm.name: arm.plan("iris", 3, 0.1, 20) for arm in arms.parsed("auto", ())}
    random, control = by_name[RANDOM], by_name[CONTROL]
    assert (control.arm, control.seed, control.budget, control.delay) == (RANDOM, 3, 0.1, 20)
    assert control.salt != random.salt == 0


def test_what_tells_classes_apart_does_not_suit_values() -> None:
    values, classes = (Dataset("made", ([1.0],), (1.0,), values=told) for told in (True, False))
    suits = {arm.name: (arm.suits(values), arm.suits(classes)) for arm in arms.parsed("auto,flip,sld", ())}
    assert (suits["flip"], suits["auto"], suits["sld"]) == ((False, True), (True, True), (True, True))


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("uncertanty", (), "no strategy 'uncertanty'; did you mean uncertainty?"),
        ("sld:fast", (), "'sld:fast' is not of the form NAME:KEY=VALUE"),
        ("sld,queries.seed=3", (), "'queries.seed=3' belongs to no strategy; write NAME:queries.seed=3"),
        ("sld:queries.sed=3", (), "queries.sed is not a key; did you mean queries.seed?"),
        ("sld:queries.audit_share=2", (), "queries.audit_share = 2"),
        ("sld:queries.budget=1", (), "queries.budget is what is compared: say it with --budgets"),
        ("sld", ("queries.strategy=flip",), "queries.strategy is what is compared: say it with --strategies"),
        ("sld", ("log.path=here",), "log.path is not to be set"),
        ("sld", ("queries.seed=3",), "--set queries.seed: every trial has its own"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        arms.parsed(text, settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
