"""`streamlearn demo`: the whole daemon on real data with a simulated labeler, against random queries, as table and picture.

With --users: on events of many users, a personality for each against one model that all share and against each user alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from streamlearn.demo import picture, table
from streamlearn.demo.comparison import Comparison, compare
from streamlearn.demo.users import comparison as of_users
from streamlearn.demo.users import picture as picture_of_users
from streamlearn.demo.users import table as table_of_users
from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import datasets, grouped, pool, rows
from streamlearn.evaluation.pool import News
from streamlearn.evaluation.rows import Dataset
from streamlearn.evaluation.trial import ARMS, STREAMLEARN, Outcome, Plan

PROGRESS_EVERY_S = 2.0
SEEDS, SEEDS_OF_LARGE, SEEDS_OF_USERS, LARGE_CELLS = (
    16,
    6,
    8,
    100_000,
)  # such that a demo on two cores is over well within a minute


def demo(
    dataset: str, label: str | None, budget: float, delay: int, seeds: int | None, out: Path, as_json: bool
) -> int:
    """Everything but the result goes to stderr. seeds None: as many as a minute has room for."""
    _check(out)
    data = datasets.load(dataset, label)
    stream, aside = rows.split(data, 0)
    seeds = seeds or (SEEDS if data.cells <= LARGE_CELLS else SEEDS_OF_LARGE)
    for note in data.notes:
        _say(note)
    _say(
        f"{data.name}: {len(stream.ids)} events, {len(aside.ids)} rows set aside to test on; budget {budget:.3g}, answers "
        f"{delay} events late; {len(ARMS)} × {seeds} trials"
    )
    plans = [Plan(arm, seed, budget, delay) for seed in range(seeds) for arm in ARMS]
    with pool.termination_as_interrupt():
        outcomes = pool.run(partial(datasets.same, data), plans, _progress(len(plans), len(stream.ids)))
        comparison = compare(outcomes)
        picture.draw(out, data, outcomes, comparison)
    if as_json:
        print(json.dumps(as_object(data, budget, outcomes, comparison)))
        return 0
    print(f"\n{table.text(comparison, data)}\n\n{table.sentence(comparison, data)}\n")
    print(f"Picture: {out}")
    print(
        "Next: streamlearn run   (append events to streamlearn-data/events.jsonl, read queries.jsonl, answer in labels.jsonl)"
    )
    return 0


def demo_of_users(dataset: str, budget: float, delay: int, seeds: int | None, out: Path, as_json: bool) -> int:
    """The same on events of many users."""
    _check(out)
    if dataset not in grouped.GROUPED:
        raise ConfigurationError(f"--users: of users are {', '.join(grouped.GROUPED)}, and not '{dataset}'")
    data, count = datasets.load(dataset, None), seeds or SEEDS_OF_USERS
    stream, aside = rows.split(data, 0)
    plans = [of_users.plan(line, dataset, seed, budget, delay) for seed in range(count) for line in of_users.ARMS]
    _say(
        f"{data.name}, {datasets.KNOWN[dataset].about}: {len(stream.ids)} events of {len(set(stream.users))} users, "
        f"{len(aside.ids)} rows set aside to test on; budget {budget:.3g}, each user answers {delay} events late; "
        f"{len(of_users.ARMS)} × {count} trials"
    )
    with pool.termination_as_interrupt():
        outcomes = pool.run(partial(datasets.of_plan, None), plans, _progress(len(plans), len(stream.ids)))
        comparison = of_users.compare(outcomes)
        picture_of_users.draw(out, data, outcomes, comparison)
    if as_json:
        print(json.dumps(table_of_users.as_object(comparison, data, budget, delay)))
        return 0
    print(f"\n{table_of_users.text(comparison, data)}\n\n{table_of_users.sentence(comparison)}\n")
    print(f"Picture: {out}")
    print('Next: streamlearn run --set users.kind=personality   (events with a user: {"id": …, "user": "ann", "x": …})')
    return 0


def _check(out: Path) -> None:
    if not out.parent.is_dir() or out.is_dir():
        raise ConfigurationError(f"--out {out}: there is no folder to write that file into")


def as_object(data: Dataset, budget: float, outcomes: Sequence[Outcome], comparison: Comparison) -> dict[str, object]:
    """The same as the table, for programs. `labels` is where test_loss and test_score are read; `given` until the end."""
    result: dict[str, object] = {
        "dataset": data.name,
        "budget": budget,
        "delay": outcomes[0].plan.delay,
        "seeds": list(comparison.seeds),
        "score": data.score_name,
    }
    for name, arm in comparison.arms.items():
        own = [outcome for outcome in outcomes if outcome.plan.arm == name]
        result[name] = {
            "labels": arm.labels.tolist(),
            "labels_given": arm.given.tolist(),
            "test_loss": arm.loss.tolist(),
            "test_score": arm.score.tolist(),
            "regularity": [[point.regularity for point in outcome.points] for outcome in own],
            "tangent_residual": [outcome.points[-1].residual for outcome in own],
        }
    ours = [outcome for outcome in outcomes if outcome.plan.arm == STREAMLEARN]
    result["regularity"] = [[point.regularity for point in outcome.points] for outcome in ours]
    result["tangent_residual"] = [outcome.points[-1].residual for outcome in ours]
    result["along_the_way"] = {
        "test_loss_difference": comparison.along_loss.tolist(),
        "test_score_difference": comparison.along_score.tolist(),
    }
    result["verdict"] = table.sentence(comparison, data)
    return result


def _progress(trials: int, events: int) -> Callable[[Sequence[News], int], None]:
    """A line at the start, then every couple of seconds: how many trials are done, and the foremost running one."""
    began = time.monotonic()
    said = began - PROGRESS_EVERY_S

    def show(running: Sequence[News], done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < PROGRESS_EVERY_S or not running:
            return
        said = now
        news = next((each for each in running if each.plan.arm == STREAMLEARN), running[0])
        line = f"{now - began:3.0f} s  {done} of {trials} trials done; {news.plan.arm}, seed {news.plan.seed}: "
        line += f"{news.events} of {events} events"
        if news.point is not None:
            line += f", {news.point.labels} labels, test loss {news.point.loss:.4g}, λ {news.point.regularity:.3g}"
        _say(line)

    return show


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
