"""`streamlearn evaluate`: strategies side by side over data sets, budgets, delays and seeds, through the whole daemon."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import arms, datasets, evaluation, pool
from streamlearn.evaluation.evaluation import Request
from streamlearn.evaluation.pool import News
from streamlearn.evaluation.record import Record
from streamlearn.evaluation.report import writing

PROGRESS_EVERY_S = 5.0
T = TypeVar("T")


class Options(NamedTuple):
    """As the command line has them; lists are texts with commas, or parsed already."""

    out: Path | None
    datasets: str
    label: str | None
    strategies: str
    budgets: tuple[float, ...]
    delays: tuple[int, ...]
    seeds: tuple[int, ...]
    settings: Sequence[str]
    processes: int
    as_json: bool


def evaluate(options: Options) -> int:
    """Everything but the result goes to stderr."""
    if options.out is None:
        raise ConfigurationError("the following arguments are required: --out; name a folder")
    names = datasets.NAMES if options.datasets == "all" else tuple(each.strip() for each in options.datasets.split(","))
    compared = tuple(arms.parsed(options.strategies, options.settings))
    request = Request(
        _once(names), options.label, compared, _once(options.budgets), _once(options.delays), options.seeds
    )
    plans = request.plans()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        record = Record(options.out / "trials.jsonl", request.version())
        try:
            if record.moved is not None:
                _say(f"trials of another version of the program or the data are kept in {record.moved}")
            known = sum(plan in record.lines for plan in plans)
            _say(f"{len(plans)} trials" + (f", {known} of them played before" if known else ""))
            with pool.termination_as_interrupt():
                shown = _progress(len(plans) - known)
                played = evaluation.play(request, record, shown, _say, options.processes)
        finally:
            record.close()
        written = writing.write(options.out, played)
    except OSError as error:
        raise ConfigurationError(
            f"--out {options.out}: {error.strerror or error}; name a folder that can be written to"
        ) from None
    if options.as_json:
        print(json.dumps({**writing.as_object(played), "files": [str(path) for path in written]}))
    else:
        print(writing.text(played) if played.lines else "No trial came to anything.")
        print(f"Tables and pictures: {options.out}")
    return 1 if played.failed else 0


def _once(values: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def known_names() -> int:
    """The data sets and strategies that there are."""
    print("Data sets:")
    for name, known in datasets.KNOWN.items():
        print(f"  {name:<16}{known.about}")
    print("\nStrategies:\n  " + ", ".join(arms.KNOWN))
    return 0


def _progress(trials: int) -> Callable[[Sequence[News], int], None]:
    """Now and then: how many trials are done, and how long the others will take."""
    began = time.monotonic()
    said = began

    def show(running: Sequence[News], done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < PROGRESS_EVERY_S and done < trials:
            return
        said = now
        left = f", about {_duration((now - began) / done * (trials - done))} left" if 0 < done < trials else ""
        _say(f"{_duration(now - began)}  {done} of {trials} trials done{left}")

    return show


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
