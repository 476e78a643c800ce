"""Users of a network: what a block of events costs by how many users are in it, and what deviating where, or how, is worth.

    python benchmarks/users_of_networks.py                      # costs, against the network without users; minutes
    python benchmarks/users_of_networks.py FILE [SETS] [SEEDS]  # losses in the whole daemon, kept in FILE, a line a trial

Costs: a perceptron with 20 features and two hidden layers of 64, in single precision; users with five labels each. A block is
128 events: what its users add, and the outputs. `stale`: all deviations are found anew first, as after a label. Medians of
interleaved rounds, in seconds of the processor.

Losses: as in `users_in_daemon.py`, by chance, so all ways get the same labels; one hidden layer of 16.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from streamlearn import settings
from streamlearn.config import Users
from streamlearn.core.losses import Array
from streamlearn.demo.users.comparison import BINS
from streamlearn.edges import networks
from streamlearn.evaluation import datasets, trial
from streamlearn.evaluation.trial import RANDOM, Outcome, Plan
from streamlearn.learner import columns, learner, state
from streamlearn.learner.learner import Labeled
from streamlearn.learner.settings import Settings, from_configuration
from streamlearn.learner.state import State
from streamlearn.queries.sight import Sight
from streamlearn.queries.strategy import View
from streamlearn.service.deviations import Deviations

FEATURES, USERS, LABELS_EACH, BLOCK, ROUNDS = 20, 128, 5, 128, 15
DEVIATION = "users.kind=deviation"
WAYS: dict[str, tuple[str, ...]] = {
    "last layer": (),
    "bias before it too": ("users.parameters=2.bias,4.*",),
    "second layer too": ("users.parameters=2.*,4.*",),
    "everything": ("users.parameters=*",),
}
PLAYED: dict[str, tuple[str, ...]] = {
    "one network": (),
    "deviation, last layer": (DEVIATION,),
    "deviation, hidden biases too": (DEVIATION, "users.parameters=0.bias,2.*"),
    "deviation, everything": (DEVIATION, "users.parameters=*"),
    "personality, last layer": ("users.kind=personality",),
}


def trained(told: Settings) -> State:
    """Labels of all users, in turn."""
    rng, common = np.random.default_rng(0), np.random.default_rng(1).normal(size=FEATURES)
    own, here = rng.normal(size=(USERS, FEATURES)), state.init(told, columns.State(), "logistic", (False, True))
    rows = rng.normal(size=(USERS * LABELS_EACH, FEATURES))
    known, encoded = columns.encode(here.columns, rows.tolist())
    here = learner.observe(here, known, encoded.rows)
    without = replace(told, users=Users())  # of whom θ₀ knows nothing
    for i, x in enumerate(rows):
        user = i % USERS
        here = learner.step(here, without, Labeled(x, bool(x @ (common + own[user]) > 0.0), 1.0, False, 0, str(user)))
    return here


def costs() -> None:
    base = ("model.kind=mlp", "model.hidden=[64,64]", DEVIATION)
    told = {way: settings.read(None, {}, (*base, *more)) for way, more in WAYS.items()}
    made = {way: from_configuration(each, architecture=networks.architecture(each)) for way, each in told.items()}
    here = trained(made["last layer"])
    fit = here.published
    assert fit is not None
    X = fit.frame.design(np.random.default_rng(2).normal(size=(BLOCK, FEATURES)))
    seen = Sight(View(fit.model, fit.theta, fit.log_tangent, None, None))
    plain = _median(lambda: fit.model.response(fit.theta, fit.log_tangent, X))
    print(f"the network alone, f and f′: {1e3 * plain:.2f} ms a block")
    for way, mine in made.items():
        model = mine.architecture.model(fit.model.loss, 1, fit.model.columns)
        own = replace(here, published=replace(fit, model=model))
        cells = []
        for count in (1, 16, 128):
            whose = [str(i % count) for i in range(BLOCK)]
            at_hand = partial(_block, Deviations(mine, USERS), seen, own, X, whose)
            stale = partial(_stale, mine, seen, own, X, whose)
            cells += [_median(at_hand), _median(stale, rounds=3)]
        size = len(model.last_layer.at if model.part is None else model.part.at)
        text = ", ".join(f"{1e3 * each:.1f}" for each in cells)
        print(f"{way} ({size} parameters): of 1, 16, 128 users at hand and stale: {text} ms", flush=True)


def _block(kept: Deviations, seen: Sight, own: State, X: Array, whose: list[str]) -> Array:
    by_user, rows = kept.carried(seen, X, own, whose, 0)
    assert own.published is not None
    return by_user.whole.model.response(own.published.theta, own.published.log_tangent, rows)[0]


def _stale(mine: Settings, seen: Sight, own: State, X: Array, whose: list[str]) -> Array:
    return _block(Deviations(mine, USERS), seen, own, X, whose)


def _median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def losses(path: Path, names: list[str], seeds: int) -> None:
    lines = path.read_bytes().splitlines() if path.exists() else []
    played = {outcome.plan: outcome for outcome in (msgspec.json.decode(line, type=Outcome) for line in lines)}
    with path.open("ab") as file:
        for seed in range(seeds):
            for name in names:
                for told in PLAYED.values():
                    plan = Plan(RANDOM, seed, 0.1, 20, 0, name, ("model.kind=mlp", "model.hidden=[16]", *told))
                    if plan not in played:
                        with tempfile.TemporaryDirectory() as folder:
                            data = datasets.load(name, None, seed)
                            played[plan] = trial.run(data, plan, Path(folder), lambda events, point: True)
                        file.write(msgspec.json.encode(played[plan]) + b"\n")
                        file.flush()
    for name in names:
        print(f"\n| {name} | all | {' | '.join(map(str, BINS))} labels or more |\n|{' --- |' * (2 + len(BINS))}")
        for way, told in PLAYED.items():
            mine = [each for plan, each in played.items() if plan.dataset == name and plan.settings[2:] == told]
            print(f"| {way} | {' | '.join(_by_labels(mine))} |")


def _by_labels(outcomes: list[Outcome]) -> list[str]:
    cells = []
    for least, end in [(0, sys.maxsize), *zip(BINS, [*BINS[1:], sys.maxsize], strict=True)]:
        parts = [[user.own.loss for user in each.users if least <= user.labels < end] for each in outcomes]
        means = [1000.0 * float(np.mean(part)) for part in parts if part]
        spread = np.std(means, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.nan
        cells.append(f"{np.mean(means):.0f} ± {spread:.0f}" if means else "–")
    return cells


if __name__ == "__main__":
    if len(sys.argv) == 1:
        costs()
    else:
        told_sets = sys.argv[2].split(",") if len(sys.argv) > 2 else ["tastes", "personalities", "readers"]
        losses(Path(sys.argv[1]), told_sets, int(sys.argv[3]) if len(sys.argv) > 3 else 5)
