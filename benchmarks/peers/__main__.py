"""`streamlearn evaluate` with peers: its options, and --peers. Trials of peers are recorded in DIR/peers.jsonl."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.peers import known, trial
from streamlearn import cli, errors
from streamlearn.commands import evaluate
from streamlearn.errors import ConfigurationError, StreamlearnError
from streamlearn.evaluation.datasets import is_file
from streamlearn.evaluation.evaluation import Played, Request
from streamlearn.evaluation.record import fingerprint

NOTE: Final = (
    "Peers have learners of their own, and their areas are of learner and strategy together: compare each with its "
    "learner asking by chance, `river-random`, `skactiveml-random` or `vw-random`."
)
PACKAGES: Final = ("river", "scikit-activeml", "vowpalwabbit")


def main(arguments: Sequence[str]) -> int:
    for name in cli.BLAS_THREADS:
        os.environ.setdefault(name, "1")  # for the processes that play
    own = argparse.ArgumentParser(prog="python -m benchmarks.peers", add_help=False, allow_abbrev=False)
    own.add_argument("--peers", default=",".join(known.PEERS))
    told, others = own.parse_known_args(arguments)
    options = evaluate.options(cli.parser().parse_args(["evaluate", *others]))
    try:
        return _evaluated(options, _names(told.peers))
    except StreamlearnError as error:
        print(f"benchmarks.peers: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("benchmarks.peers: interrupted", file=sys.stderr)
        return cli.FAILED


def _evaluated(options: evaluate.Options, peers: Sequence[str]) -> int:
    """Ours first, then theirs; together in one report."""
    ours = evaluate.requested(options)
    theirs = replace(ours, arms=tuple(map(known.arm, peers)))
    first = evaluate.played(options, ours, ours.version, "trials.jsonl")
    second = evaluate.played(options, theirs, partial(_version, theirs), "peers.jsonl", trial.run)
    both = replace(ours, arms=ours.arms + theirs.arms, notes=(NOTE,))
    return evaluate.told(options, Played(both, first.lines | second.lines, first.failed + second.failed))


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(each.strip() for each in text.split(",")))
    for name in names:
        if name not in known.PEERS:
            near = errors.nearest(name, list(known.PEERS))
            raise ConfigurationError(f"no peer '{name}'; did you mean {near}? ({', '.join(known.PEERS)})")
    return names


def _version(request: Request) -> str:
    """What a peer's trial depends on beside its plan."""
    files = [Path(name) for name in request.datasets if is_file(name)]
    packages = [version(name) for name in PACKAGES]
    return fingerprint([*files, *sorted(Path(__file__).parent.glob("*.py"))], f"{request.label} {packages}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
