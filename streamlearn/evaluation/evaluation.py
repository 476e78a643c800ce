"""An evaluation: data sets × arms × budgets × delays × seeds, played in parallel and recorded.

Seeds are the outermost loop: what is there when it is interrupted covers all data sets, and the time that is left can be told
from the time that has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, final

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import datasets, pool, trial
from streamlearn.evaluation.arms import Arm
from streamlearn.evaluation.pool import Run, Show
from streamlearn.evaluation.record import Line, Record, fingerprint
from streamlearn.evaluation.trial import Outcome, Plan


class Cell(NamedTuple):
    """What arms are compared under."""

    budget: float
    delay: int


class Place(NamedTuple):
    """Where a trial stands in the tables."""

    cell: Cell
    dataset: str
    arm: str
    seed: int


@final
@dataclass(frozen=True)
class Request:
    """What is to be played. label: of CSV files; notes: what a reader should know of the arms, a line each."""

    datasets: tuple[str, ...]
    label: str | None
    arms: tuple[Arm, ...]
    budgets: tuple[float, ...]
    delays: tuple[int, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Cell]:
        return [Cell(budget, delay) for budget in self.budgets for delay in self.delays]

    def plans(self) -> dict[Plan, Place]:
        """Data sets are loaded to see what suits them; what cannot be is refused here."""
        loaded = {name: datasets.load(name, self.label) for name in self.datasets}
        if len(set(self.names())) < len(loaded):
            raise ConfigurationError("two files of one name would be one column; rename one")
        return {
            arm.plan(name, seed, cell.budget, cell.delay): Place(cell, loaded[name].name, arm.name, seed)
            for seed in self.seeds
            for name in self.datasets
            for cell in self.cells
            for arm in self.arms
            if arm.suits(loaded[name])
        }

    def names(self) -> list[str]:
        return [datasets.load(name, self.label).name for name in self.datasets]

    def version(self) -> str:
        """What trials depend on beside their plans. Raises OSError."""
        return fingerprint((Path(name) for name in self.datasets if datasets.is_file(name)), self.label)


@final
@dataclass(frozen=True)
class Played:
    """lines: by place, those that there are; failed: what went wrong, a line each."""

    request: Request
    lines: dict[Place, Line]
    failed: tuple[str, ...]


def play(
    request: Request, record: Record, show: Show, say: Callable[[str], None], processes: int, run: Run = trial.run
) -> Played:
    """Play what is not recorded yet. A trial that fails is told of, and the others go on."""
    plans = request.plans()
    missing = [plan for plan in plans if plan not in record.lines]
    failed = []

    def finished(plan: Plan, result: Outcome | Exception) -> None:
        if isinstance(result, Outcome):
            record.append(result)
            return
        failed.append(f"{told(plans[plan])} failed: {' '.join(f'{type(result).__name__}: {result}'.split())}")
        say(failed[-1])

    if missing:
        pool.play(partial(datasets.of_plan, request.label), missing, show, finished, processes, run)
    lines = {place: record.lines[plan] for plan, place in plans.items() if plan in record.lines}
    return Played(request, lines, tuple(sorted(failed)))


def told(place: Place) -> str:
    """In words."""
    budget, delay = place.cell
    return f"{place.arm} on {place.dataset}, budget {budget:g}, delay {delay}, seed {place.seed}"
