"""Many users in the whole daemon, with its own tuned λ: test loss by how many labels a user has, kinds and ways of asking.

Trials of `evaluation/trial.py` on the sets of `evaluation/grouped.py`, budget 10 %, answers 20 events late. Asked by chance
all kinds get the same labels (that is checked); asked by scores each has its own. Beside them

    fed         a daemon that knows users, given the labels that a shared model's queries brought, when these came: against one
                that asks by itself it says what queries that know users are worth
    quota       `users.queries_per_day = 3`: a trial lasts less than a day, so nobody may be asked more often in it

What was played is kept in FILE, a line a trial, and not played again. Prints Markdown tables: loss × 1000 (of values in
variances of the labels), mean over seeds ± standard error, differences paired by seed.

    python benchmarks/users_in_daemon.py FILE [SETS] [SEEDS] [ROWS]     (only rows in whose names that is)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from streamlearn import assemble
from streamlearn.demo.users.comparison import BINS, TITLES_OF_BINS
from streamlearn.edges.memory import ManualClock
from streamlearn.evaluation import datasets, grouped, pool, trial
from streamlearn.evaluation.labeler import write
from streamlearn.evaluation.of_users import Judge, OfUser
from streamlearn.evaluation.quality import Evaluation
from streamlearn.evaluation.rows import Dataset, split
from streamlearn.evaluation.trial import RANDOM, STREAMLEARN, Outcome, Plan, Point
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements

BUDGET, DELAY, MOST = 0.1, 20, 3
DEVIATION = "users.kind=deviation"
PERSONALITY, HIERARCHY, GAMMA_NORMAL = (f"users.kind={kind}" for kind in ("personality", "hierarchy", "gamma-normal"))
L1, QUOTA = (DEVIATION, "users.penalty=l1"), (DEVIATION, f"users.queries_per_day={MOST}")
FED, OF_VALUES = "fed", ("personalities", "chicks")
ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "one model, by chance": (RANDOM, ()),
    "deviation L2, by chance": (RANDOM, (DEVIATION,)),
    "deviation L1, by chance": (RANDOM, L1),
    "personality, by chance": (RANDOM, (PERSONALITY,)),
    "hierarchy, by chance": (RANDOM, (HIERARCHY,)),
    "gamma-normal, by chance": (RANDOM, (GAMMA_NORMAL,)),  # of values
    "one model, by its scores": (STREAMLEARN, ()),
    "deviation L2, by its scores": (STREAMLEARN, (DEVIATION,)),
    "personality, by its scores": (STREAMLEARN, (PERSONALITY,)),
    "deviation L2, fed": (FED, (DEVIATION,)),
    f"deviation L2, at most {MOST} a user": (STREAMLEARN, QUOTA),
}
ALONE = "each user alone, by chance"
DIFFERENCES = (
    ("deviation L2, by chance", "one model, by chance"),
    ("deviation L1, by chance", "one model, by chance"),
    ("personality, by chance", "one model, by chance"),
    ("personality, by chance", "deviation L2, by chance"),
    ("hierarchy, by chance", "deviation L2, by chance"),
    ("gamma-normal, by chance", "deviation L2, by chance"),
    ("gamma-normal, by chance", "hierarchy, by chance"),
    ("one model, by its scores", "one model, by chance"),
    ("deviation L2, by its scores", "deviation L2, by chance"),
    ("personality, by its scores", "personality, by chance"),
    ("deviation L2, by its scores", "one model, by its scores"),
    ("personality, by its scores", "one model, by its scores"),
    ("deviation L2, by its scores", "deviation L2, fed"),
)


def run(dataset: Dataset, plan: Plan, folder: Path, watch: Callable[[int, Point | None], bool]) -> Outcome:
    """A trial; of FED, after the one whose labels it is given."""
    if plan.arm != FED:
        return trial.run(dataset, plan, folder, watch)
    (folder / "shared").mkdir()
    shared = trial.run(dataset, replace(plan, arm=STREAMLEARN, settings=()), folder / "shared", watch)
    (folder / "fed").mkdir()
    return fed(dataset, plan, folder / "fed", shared)


def fed(dataset: Dataset, plan: Plan, folder: Path, shared: Outcome) -> Outcome:
    (stream, aside), chunk = split(dataset, plan.seed), trial.chunk_of(plan.delay)
    place, answers = {id: i for i, id in enumerate(stream.ids)}, dict(zip(stream.ids, stream.ys, strict=True))
    due = [((place[asked.id] // chunk + 1) * chunk + plan.delay, asked.id) for asked in shared.asked]
    told = trial.configuration(replace(plan, arm=RANDOM), dataset.values, folder)
    clock = ManualClock(trial.BEGIN_S)
    daemon = assemble.daemon(told, Health(), Measurements(), lambda _: True, clock, poll_timeout_s=0.0)
    daemon.start()
    daemon.pipeline.standing.asking.paused = True
    events = [{"id": id, "x": x, "user": user} for id, x, user in zip(stream.ids, stream.xs, stream.users, strict=True)]
    for end in range(chunk, len(events) + chunk, chunk):
        write(folder / "events.jsonl", events[end - chunk : end])
        clock.advance(float(chunk))
        daemon.turn()
        write(folder / "labels.jsonl", [{"id": id, "y": answers[id]} for when, id in due if end - chunk < when <= end])
    last = -(-len(stream.ids) // chunk) * chunk
    write(folder / "labels.jsonl", [{"id": id, "y": answers[id]} for when, id in due if when > last])
    while daemon.turn():
        pass
    daemon.drain()
    state = daemon.pipeline.state
    judge = Judge(Evaluation(dataset, aside), aside, daemon.pipeline.standing.rules.learner)
    quality, fit = judge.quality(state), state.published
    daemon.close()
    assert quality is not None
    assert fit is not None
    counts = {each.user: each.labels for each in shared.users}
    point = Point(len(stream.ids), state.labels, quality.loss, quality.score, fit.regularity, fit.residual)
    return Outcome(plan, state.labels, (point,), shared.asked, users=judge.of_each(state, counts))


def plans(names: Sequence[str], seeds: int, rows: str) -> list[Plan]:
    return [
        Plan(arm, seed, BUDGET, DELAY, 0, name, settings)
        for seed in range(seeds)
        for name in names
        for row, (arm, settings) in ROWS.items()
        if rows in row and (GAMMA_NORMAL not in settings or name in OF_VALUES)
    ]


def main() -> None:
    path, names = Path(sys.argv[1]), sys.argv[2].split(",") if len(sys.argv) > 2 else list(grouped.GROUPED)
    lines = path.read_bytes().splitlines() if path.exists() else []
    played = {outcome.plan: outcome for outcome in (msgspec.json.decode(line, type=Outcome) for line in lines)}
    seeds, rows = int(sys.argv[3]) if len(sys.argv) > 3 else 10, sys.argv[4] if len(sys.argv) > 4 else ""
    left = [plan for plan in plans(names, seeds, rows) if plan not in played]
    with path.open("ab") as file:

        def finished(plan: Plan, outcome: Outcome | Exception) -> None:
            if isinstance(outcome, Exception):
                raise outcome
            played[plan] = outcome
            file.write(msgspec.json.encode(outcome) + b"\n")
            file.flush()
            print(len(played), plan, file=sys.stderr, flush=True)

        if left:
            pool.play(partial(datasets.of_plan, None), left, lambda news, done: None, finished, run=run)
    for name in names:
        table(name, {plan: outcome for plan, outcome in played.items() if plan.dataset == name})


def table(name: str, played: dict[Plan, Outcome]) -> None:
    by_row = {
        row: {plan.seed: outcome for plan, outcome in played.items() if (plan.arm, plan.settings) == what}
        for row, what in ROWS.items()
    }
    print(f"\n| {name} | seeds | all | {' | '.join(TITLES_OF_BINS)} | labels | most of a user |\n|{' --- |' * 10}")
    for row, of in by_row.items():
        if of:
            line(row, [each.users for each in of.values()], list(of.values()), lambda user: user.own.loss)
        if row == "deviation L2, by chance" and of:
            users = [each.users for each in of.values()]
            line(ALONE, users, list(of.values()), lambda user: user.alone.loss if user.alone else np.nan)
    chance = [of for row, of in by_row.items() if row.endswith("by chance")]
    assert all(of[seed].asked == chance[0][seed].asked for of in chance for seed in of if seed in chance[0])
    print(f"\n| {name}, paired | seeds | loss × 1000 | score × 100 |\n|{' --- |' * 4}")
    for ours, theirs in DIFFERENCES:
        seeds = sorted(set(by_row[ours]) & set(by_row[theirs]))
        if len(seeds) > 1:
            a, b = ([by_row[row][seed].points[-1] for seed in seeds] for row in (ours, theirs))
            loss = [1000.0 * (x.loss - y.loss) for x, y in zip(a, b, strict=True)]
            score = [100.0 * (x.score - y.score) for x, y in zip(a, b, strict=True)]
            print(f"| {ours} − {theirs} | {len(seeds)} | {shown(loss, '+.0f')} | {shown(score, '+.1f')} |")


def line(
    row: str, users: list[tuple[OfUser, ...]], outcomes: Sequence[Outcome], read: Callable[[OfUser], float]
) -> None:
    ends = [*BINS[1:], sys.maxsize]
    cells = []
    for least, end in [(0, sys.maxsize), *zip(BINS, ends, strict=True)]:
        parts = [[read(user) for user in each if least <= user.labels < end] for each in users]
        cells.append(shown([1000.0 * float(np.mean(part)) for part in parts if part], ".0f"))
    most = max(user.labels for each in users for user in each)
    labels = np.mean([outcome.labels for outcome in outcomes])
    print(f"| {row} | {len(users)} | {' | '.join(cells)} | {labels:.0f} | {most} |")


def shown(values: Sequence[float], form: str) -> str:
    if len(values) < 2:
        return "–"
    return f"{np.mean(values):{form}} ± {np.std(values, ddof=1) / np.sqrt(len(values)):{form.lstrip('+')}}".replace(
        "-", "−"
    )


if __name__ == "__main__":
    main()
