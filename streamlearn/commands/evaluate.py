"""`streamlearn evaluate`: strategies side by side over data sets, budgets, delays and seeds, through the whole daemon."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation import arms, datasets, evaluation, pool, trial
from streamlearn.evaluation.evaluation import Played, Request
from streamlearn.evaluation.pool import News, Run
from streamlearn.evaluation.record import Record
from streamlearn.evaluation.report import writing
from streamlearn.limits import STRATEGIES

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


def options(told: argparse.Namespace) -> Options:
    """From what the command line's parser made."""
    by_name = {**vars(told), "settings": told.set, "as_json": told.json}
    return Options(**{name: by_name[name] for name in Options._fields})


def evaluate(options: Options) -> int:
    """Everything but the result goes to stderr."""
    request = requested(options)
    return told(options, played(options, request, request.version, "trials.jsonl"))


def requested(options: Options) -> Request:
    """What the options ask for."""
    if options.out is None:
        raise ConfigurationError("the following arguments are required: --out; name a folder")
    names = datasets.NAMES if options.datasets == "all" else tuple(each.strip() for each in options.datasets.split(","))
    compared = tuple(arms.parsed(options.strategies, options.settings))
    return Request(_once(names), options.label, compared, _once(options.budgets), _once(options.delays), options.seeds)


def played(
    options: Options, request: Request, version: Callable[[], str], name: str, run: Run = trial.looking_back
) -> Played:
    """What `run` makes of the request, recorded under that name in the folder."""
    out = _out(options)
    plans = request.plans()
    with _writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        record = Record(out / name, version())
        try:
            if record.moved is not None:
                _say(f"trials of another version of the program or the data are kept in {record.moved}")
            known = sum(plan in record.lines for plan in plans)
            _say(f"{len(plans)} trials" + (f", {known} of them played before" if known else ""))
            with pool.termination_as_interrupt():
                shown = _progress(len(plans) - known)
                return evaluation.play(request, record, shown, _say, options.processes, run)
        finally:
            record.close()


def told(options: Options, played: Played) -> int:
    """Tables and pictures in the folder, the summary on stdout; the exit code."""
    out = _out(options)
    with _writing_to(out):
        written = writing.write(out, played)
    if options.as_json:
        print(json.dumps({**writing.as_object(played), "files": [str(path) for path in written]}))
    else:
        print(writing.text(played) if played.lines else "No trial came to anything.")
        print(f"Tables and pictures: {out}")
    return 1 if played.failed else 0


def _out(options: Options) -> Path:
    assert options.out is not None, "`requested` refuses that"
    return options.out


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: {error.strerror or error}; name a folder that can be written to"
        ) from None


def _once(values: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def known_names() -> int:
    """The data sets and strategies that there are."""
    print("Data sets:")
    for name, known in datasets.KNOWN.items():
        print(f"  {name:<16}{known.about}")
    print("\nStrategies:\n  " + ", ".join(STRATEGIES))
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
