"""Arms: the strategies that are compared, variants of one by other settings, and the controls that differ by chance alone.

A variant is spelled NAME:KEY=VALUE,KEY=VALUE and stands in tables as it is spelled. Random queries take part always, since
all is measured against them; and so do the null controls: random queries of other draws, and where there is such a strategy
queries that are asked periodically. What those differ by from random queries is noise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from streamlearn import errors
from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import trial
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import RANDOM, Plan
from streamlearn.limits import STRATEGIES
from streamlearn.queries import names

CONTROL: Final = "random again"
NULLS: Final = (CONTROL, "periodic")
CONTROL_SALT: Final = 1_000_003
ALL: Final = tuple(name for name in names.NAMES if name != "margin")  # which is uncertainty
BETWEEN: Final = re.compile(r",(?![^\[]*\])")  # commas, but for those in a list
PLAYED: Final = {  # keys that are not to be set, and where what they say is said
    "queries.budget": "--budgets",
    "queries.strategy": "--strategies",
}
EDGES: Final = ("log", "kafka", "topics", "store", "http", "name")


@final
@dataclass(frozen=True)
class Arm:
    """name: as in tables; strategy: as configured; settings: KEY=VALUE; needs: what it asks of a data set, None: nothing."""

    name: str
    strategy: str
    settings: tuple[str, ...] = ()
    salt: int = 0
    needs: Callable[[Dataset], bool] | None = None

    def suits(self, dataset: Dataset) -> bool:
        """Whether the strategy means something there: those that tell classes apart do not for values."""
        if self.needs is not None and not self.needs(dataset):
            return False
        return not (dataset.values and self.strategy in names.OF_CLASSES)

    def plan(self, dataset: str, seed: int, budget: float, delay: int) -> Plan:
        return Plan(self.strategy, seed, budget, delay, self.salt, dataset, self.settings)


def parsed(text: str, settings: Sequence[str]) -> list[Arm]:
    """Random queries first, the arms that the text lists, then the null controls; each with these settings of all."""
    for setting in settings:
        if _key(setting) == "queries.seed":
            raise ConfigurationError(
                "--set queries.seed: every trial has its own; say --seeds, or set it in one strategy"
            )
    arms = [Arm(RANDOM, RANDOM)]
    for word in BETWEEN.split(text):
        head = word.partition("=")[0]
        if ":" not in head and "=" in word:
            if len(arms) == 1 or not arms[-1].settings:
                raise ConfigurationError(f"--strategies: '{word}' belongs to no strategy; write NAME:{word}")
            last = arms.pop()
            arms.append(Arm(f"{last.name},{word.strip()}", last.strategy, (*last.settings, word.strip())))
        else:
            arms += [_arm(each) for each in (ALL if word.strip() == "all" else (word.strip(),))]
    arms += [Arm(CONTROL, RANDOM, salt=CONTROL_SALT)]
    arms += [Arm(name, name) for name in NULLS if name in names.NAMES]
    unique = {arm.name: Arm(arm.name, arm.strategy, (*settings, *arm.settings), arm.salt) for arm in arms}
    for arm in unique.values():
        _check(arm)
    return list(unique.values())


def _arm(word: str) -> Arm:
    name, colon, setting = word.partition(":")
    if name not in STRATEGIES:
        raise ConfigurationError(
            f"no strategy '{name}'; did you mean {errors.nearest(name, STRATEGIES)}? ({', '.join(STRATEGIES)})"
        )
    if colon and "=" not in setting:
        raise ConfigurationError(f"--strategies: '{word}' is not of the form NAME:KEY=VALUE")
    return Arm(word, name, (setting,) if colon else ())


def _check(arm: Arm) -> None:
    """What the daemon would refuse is refused here, before anything is played."""
    for setting in arm.settings:
        key = _key(setting)
        if key in PLAYED:
            raise ConfigurationError(f"{key} is what is compared: say it with {PLAYED[key]}")
        if key.partition(".")[0] in EDGES:
            raise ConfigurationError(f"{key} is not to be set: every trial has its own embedded log")
    trial.configuration(arm.plan("", 0, 0.1, 0), values=False, folder=Path("folder"))


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()
