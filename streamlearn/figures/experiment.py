"""The experiment that the paper postponed (end of section 3.3): every query score as an active learner, side by side.

On the paper's polynomial, which asks one question at a time out of a pool (`learner.py`), and on real data through the whole
daemon (the demo's trials: events in order, answers late, a budget). What is read off is the area between a learning curve
and the one of random queries on the same stream, over the numbers of labels that both have. A second random, of other draws,
is the control: what it differs by is noise.

A strategy is left out where it would be another one: margin is uncertainty, those of classes have no meaning for values. On
digits those that need H⁻¹ are, for the time that 650 parameters take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from streamlearn.evaluation import datasets, pool
from streamlearn.evaluation.arms import CONTROL, CONTROL_SALT
from streamlearn.evaluation.pool import News
from streamlearn.evaluation.report import summary
from streamlearn.evaluation.report.curves import Curve
from streamlearn.evaluation.report.readings import Trials, read
from streamlearn.evaluation.trial import RANDOM, Plan
from streamlearn.figures import comparison_drawing, learner
from streamlearn.queries.choose import STRATEGIES

POLYNOMIAL: Final = "polynomial"
POLYNOMIALS: Final = 5  # for every seed: one takes a tenth of the time that a stream takes, and varies more
REAL: Final = ("breast_cancer", "phishing", "diabetes", "digits")
SLOW_WITH_INVERSE: Final = ("digits",)  # 650 parameters
VALUES: Final = (POLYNOMIAL, "diabetes")
BUDGET, DELAY = 0.1, 20  # the demo's
TELL_EVERY_S = 5.0
TRIAL_S, SLOW_S = 0.15, 5.0  # on two cores; where an inverse of 650 parameters is formed

Say = Callable[[str], None]


def arms(dataset: str) -> list[str]:
    """The strategies that mean something there, the control last."""
    names = [
        name
        for name, strategy in STRATEGIES.items()
        if name != "margin"
        and not (name == "periodic" and dataset == POLYNOMIAL)  # there is no time in a pool
        and not (strategy.needs_classes and dataset in VALUES)
        and not (strategy.needs_inverse and dataset in SLOW_WITH_INVERSE)
    ]
    return [*names, CONTROL]


def run(out: Path, seeds: int, say: Say, names: Sequence[str] = (POLYNOMIAL, *REAL)) -> dict[str, object]:
    """Write experiment.csv, .md and .png into the folder `out`; the means, for programs. Raises OSError."""
    repeated = {name: seeds * (POLYNOMIALS if name == POLYNOMIAL else 1) for name in names}
    count = sum(len(arms(name)) * repeated[name] for name in names)
    seconds = sum(
        len(arms(name)) * repeated[name] * (SLOW_S if name in SLOW_WITH_INVERSE else TRIAL_S) for name in names
    )
    say(f"the experiment: {count} trials, about {max(1, round(seconds / 60))} min on two cores")
    with pool.termination_as_interrupt():
        trials = [
            of_polynomial(repeated[name], say) if name == POLYNOMIAL else of_real(name, repeated[name], say)
            for name in names
        ]
    readings = [reading for each in trials for reading in read(each)]
    means = summary.summarised(readings)
    (out / "experiment.csv").write_text(summary.csv(readings), encoding="utf-8", newline="\n")
    (out / "experiment.md").write_text(summary.markdown(means, seeds, POLYNOMIALS), encoding="utf-8", newline="\n")
    comparison_drawing.draw(out / "experiment.png", means, trials)
    for ending in ("csv", "md", "png"):
        say(f"wrote {out / f'experiment.{ending}'}")
    return summary.as_object(means)


def of_polynomial(seeds: int, say: Say) -> Trials:
    """All strategies on the same problems."""
    curves: dict[tuple[str, int], Curve] = {}
    for seed in range(seeds):
        for name in arms(POLYNOMIAL):
            strategy = STRATEGIES[RANDOM if name == CONTROL else name]
            curves[name, seed] = learner.curve(strategy, seed, CONTROL_SALT if name == CONTROL else 0)
        if (seed + 1) % POLYNOMIALS == 0:
            say(f"{POLYNOMIAL}: {seed + 1} of {seeds} seeds done")
    return Trials(POLYNOMIAL, curves)


def of_real(name: str, seeds: int, say: Say) -> Trials:
    """All strategies on the same streams, by the whole daemon, in parallel processes."""
    data, plans = datasets.load(name, None), dict[Plan, tuple[str, int]]()
    for seed in range(seeds):
        for arm in arms(name):
            control = arm == CONTROL
            plans[Plan(RANDOM if control else arm, seed, BUDGET, DELAY, CONTROL_SALT * control)] = (arm, seed)
    began, said = time.monotonic(), 0.0

    def show(running: Sequence[News], done: int) -> None:
        nonlocal said
        passed = time.monotonic() - began
        if passed - said > TELL_EVERY_S:
            said = passed
            say(f"{name}: {done} of {len(plans)} trials done after {passed:.0f} s")

    outcomes = pool.run(partial(datasets.same, data), list(plans), show)
    return Trials(name, {plans[outcome.plan]: outcome.points for outcome in outcomes})
