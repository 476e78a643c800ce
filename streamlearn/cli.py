"""The command line: parse, call, exit code.

A command is a function in `streamlearn/commands/`, imported when it is called: `--version` and a mistyped option
answer at once, and the number of BLAS threads is set before numpy is loaded by anything. One thread, because sums then
have one order and a replay gives the same bytes; the matrices are too small for more to be of use.

Exit codes: 0 drained, 1 failed, 2 usage or configuration, 3 could not start.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar, final

from streamlearn import __version__, settings
from streamlearn.config import Configuration
from streamlearn.edges import secrets
from streamlearn.errors import ConfigurationError, StreamlearnError

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
FAILED, USAGE = 1, 2
SEEDS_MOST = 10_000
T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    options = parser().parse_args(arguments)
    try:
        code = _call(options)
        sys.stdout.flush()  # here, where a reader that went away is dealt with
    except StreamlearnError as error:
        print(f"streamlearn: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("streamlearn: interrupted", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `streamlearn inspect STORE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter would flush once more
        return 0
    return code


def _call(options: argparse.Namespace) -> int:
    if options.command == "run":
        from streamlearn.commands.run import run

        return run(_configuration(options), options.rebuild)
    if options.command == "score":
        from streamlearn.commands.score import score

        return score(_configuration(options))
    if options.command == "replay":
        from streamlearn.commands.replay import replay

        return replay(_configuration(options), options.poll_size, options.json)
    if options.command == "check":
        from streamlearn.commands.check import check

        return check(_configuration(options))
    if options.command == "inspect":
        from streamlearn.commands.inspect import inspect

        return inspect(options.store, options.json)
    if options.command == "control":
        from streamlearn.commands.control import control, parsed

        options.config, action, commit, user = parsed(options.words)
        return control(_configuration(options), action, commit, user)
    if options.command == "explain":
        from streamlearn.commands.explain import explain
        from streamlearn.commands.explain import parsed as words

        options.config, id = words(options.words)
        return explain(_configuration(options), id, options.json)
    if options.command == "backup":
        from streamlearn.commands.backup import backup

        return backup(options.store, options.to)
    if options.command == "export":
        from streamlearn.commands.export import export

        return export(options.store, options.to, options.user)
    if options.command == "figures":
        from streamlearn.commands.figures import figures

        return figures(options.out, not options.without_experiment, options.seeds, options.json)
    if options.command == "evaluate":
        return _evaluate(options)
    assert options.command == "demo", "the parser knows no other"
    return _demo(options)


def _demo(options: argparse.Namespace) -> int:
    from streamlearn.commands.demo import demo, demo_of_users

    told = (options.budget, options.delay, options.seeds)
    if not options.users:
        out = options.out or Path("demo.png")
        return demo(options.dataset or "phishing", options.label, *told, out, options.json)
    if options.label is not None:
        raise ConfigurationError("--label is for a file's column; --users plays data sets that have users")
    return demo_of_users(options.dataset or "tastes", *told, options.out or Path("users.png"), options.json)


def _evaluate(options: argparse.Namespace) -> int:
    from streamlearn.commands import evaluate

    if options.list:
        return evaluate.known_names()
    return evaluate.evaluate(evaluate.options(options))


def _configuration(options: argparse.Namespace) -> Configuration:
    configuration = settings.read(options.config, os.environ, options.set)
    secrets.guard(configuration.kafka.settings)
    return configuration


@final
class _Parser(argparse.ArgumentParser):
    """Refuses in one line, as everything else here."""

    def error(self, message: str) -> NoReturn:
        print(f"streamlearn: {' '.join(message.split())}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(USAGE)


def parser() -> _Parser:
    parser = _Parser(
        prog="streamlearn",
        description="Learns from a stream, and asks for the labels that would teach it most.",
        epilog="Exit codes: 0 drained, 1 failed, 2 usage or configuration, 3 could not start.",
    )
    parser.add_argument("--version", action="version", version=f"streamlearn {__version__}")
    keys = _Parser(add_help=False)
    keys.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a key, such as queries.budget=0.05; repeatable",
    )
    configured = _Parser(add_help=False, parents=[keys])
    configured.add_argument("config", metavar="CONFIG", nargs="?", type=Path, help="a TOML file; without it, defaults")
    as_json = _Parser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    run = commands.add_parser("run", parents=[configured], help="the daemon; with no CONFIG on ./streamlearn-data")
    run.add_argument(
        "--rebuild", action="store_true", help="build a new store from the log first; the one of before is moved aside"
    )
    commands.add_parser("score", parents=[configured], help="a scorer that follows the daemon's model; many may run")
    replay = commands.add_parser(
        "replay", parents=[configured, as_json], help="the same pipeline over a finished log, as fast as it goes"
    )
    replay.add_argument(
        "--poll-size",
        metavar="N",
        type=_whole(1),
        default=1000,
        help="records a poll; changes nothing but speed (%(default)s)",
    )
    commands.add_parser("check", parents=[configured], help="look at configuration, log, store, disk and port in turn")
    inspect = commands.add_parser("inspect", parents=[as_json], help="what a store holds")
    inspect.add_argument("store", metavar="STORE", type=Path, help="the store's file")
    control = commands.add_parser(
        "control", parents=[keys], help="pause a running daemon, roll it back, have it forget a user"
    )
    control.add_argument(
        "words",
        metavar="[CONFIG] ACTION",
        nargs="+",
        help="pause-asking, resume-asking, pause-learning, resume-learning, rollback COMMIT, forget-user USER, status",
    )
    explain = commands.add_parser("explain", parents=[keys, as_json], help="why an event was asked about, or was not")
    explain.add_argument("words", metavar="[CONFIG] ID", nargs="+", help="the event's id")
    backup = commands.add_parser("backup", help="a copy of a store, also while a daemon runs on it")
    backup.add_argument("store", metavar="STORE", type=Path, help="the store's file")
    backup.add_argument("to", metavar="FILE", type=Path, help="the copy's; one that is there is not overwritten")
    export = commands.add_parser("export", help="a store's model as a file, for streamlearn.load in Python")
    export.add_argument("store", metavar="STORE", type=Path, help="the store's file")
    export.add_argument("to", metavar="FILE", type=Path, help="the model's file; replaced if it is there")
    export.add_argument("--user", metavar="NAME", help="this user's own; without it, the one that all share")
    _add_demo(commands.add_parser("demo", parents=[as_json], help="the whole daemon on a real data set, and a picture"))
    _add_figures(commands.add_parser("figures", parents=[as_json], help="the paper's figures, drawn and as numbers"))
    _add_evaluate(
        commands.add_parser(
            "evaluate",
            parents=[keys, as_json],
            help="strategies side by side over data sets, budgets, delays and seeds",
        )
    )
    return parser


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument(
        "--dataset",
        metavar="NAME",
        help="phishing (default), breast_cancer, another that `evaluate --list` names, or PATH.csv; with --users "
        "tastes (default), personalities, readers or chicks",
    )
    demo.add_argument(
        "--users", action="store_true", help="many users: a personality for each against one model that all share"
    )
    demo.add_argument("--label", metavar="COLUMN", help="the column of PATH.csv that is the label")
    demo.add_argument("--budget", metavar="B", type=_share, default=0.1, help="queries per event (%(default)s)")
    demo.add_argument(
        "--delay", metavar="EVENTS", type=_whole(0), default=20, help="events until a query is answered (%(default)s)"
    )
    demo.add_argument(
        "--seeds", metavar="N", type=_whole(1), help="orders of the stream (as many as a minute has room for)"
    )
    demo.add_argument("--out", metavar="PNG", type=Path, help="the picture (demo.png, with --users users.png)")


def _add_figures(figures: argparse.ArgumentParser) -> None:
    figures.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="the folder to write to; made if missing"
    )
    figures.add_argument("--without-experiment", action="store_true", help="the paper's own three figures only")
    figures.add_argument(
        "--seeds", metavar="N", type=_whole(1), default=20, help="repetitions of the experiment (%(default)s)"
    )


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--out", metavar="DIR", type=Path, help="the folder to write to; what is there is not played again"
    )
    evaluate.add_argument("--list", action="store_true", help="name the data sets and strategies that there are")
    evaluate.add_argument(
        "--datasets",
        metavar="NAMES",
        default="phishing,breast_cancer,diabetes,hyperplane,friedman_drift",
        help="names with commas, all, or FILE.csv (%(default)s)",
    )
    evaluate.add_argument("--label", metavar="COLUMN", help="the column of FILE.csv that is the label")
    evaluate.add_argument(
        "--strategies",
        metavar="NAMES",
        default="auto",
        help="names with commas, all, or variants such as sld:queries.audit_share=0.5 (%(default)s)",
    )
    budgets, delays = _list(_share), _list(_whole(0))
    evaluate.add_argument("--budgets", metavar="B,B", type=budgets, default=(0.05, 0.2), help="shares (0.05,0.2)")
    evaluate.add_argument("--delays", metavar="N,N", type=delays, default=(20,), help="events until an answer (20)")
    evaluate.add_argument(
        "--seeds", metavar="N|A-B", type=_seeds, default=tuple(range(10)), help="how many, or from A to B (10)"
    )
    evaluate.add_argument("--processes", metavar="N", type=_whole(1), default=0, help="at a time (one a core)")


def _list(one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def several(text: str) -> tuple[T, ...]:
        return tuple(one(each.strip()) for each in text.split(","))

    return several


def _seeds(text: str) -> tuple[int, ...]:
    first, dash, last = text.partition("-")
    if not dash:
        first, last = "0", str(_whole(1)(first) - 1)
    begin, end = _whole(0)(first), _whole(0)(last)
    if end < begin:
        raise argparse.ArgumentTypeError(f"'{text}' ends before it begins")
    if end - begin >= SEEDS_MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is more than {SEEDS_MOST:,} seeds")
    return tuple(range(begin, end + 1))


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {least}")
        return int(text)

    return whole


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and at most 1")
    return value
