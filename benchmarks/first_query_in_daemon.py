"""The first query of a new user, in the daemon: which of their first events it says is the best to ask about, against chance.

A third of the users are new: the others' events are streamed first, with the queries and the answers that they bring. Then each
new user's first `FIRST` events come, and the daemon scores them (`topics.predictions`; the other strategies as its shadows), by
θ₀, since it has no label of theirs. The best of each is answered; a copy of the daemon each gets the answers of one strategy,
and `DRAWS` copies get answers drawn by chance. Prints a Markdown table a set: the mean loss of the new users on rows never
seen × 1000 without an answer, with one each by chance, and what one each by the strategy takes off that, paired by seed.

    python benchmarks/first_query_in_daemon.py [SETS] [SEEDS] [KEY=VALUE ...]

SEEDS: how many, or 100:120, from the first to before the last. users.kind = deviation, unless told.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from streamlearn import assemble, settings
from streamlearn.edges.memory import ManualClock
from streamlearn.evaluation import datasets, grouped
from streamlearn.evaluation.labeler import Labeler, write
from streamlearn.evaluation.of_users import Judge
from streamlearn.evaluation.quality import Evaluation
from streamlearn.evaluation.rows import Dataset, Part, split
from streamlearn.service.daemon import Daemon
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements

NEW, FIRST, DRAWS, CHUNK, DELAY, BUDGET = 1 / 3, 12, 4, 10, 20, 0.1
SHADOWS = {
    False: ("uncertainty", "decisive", "leverage", "v-optimality", "sld"),
    True: ("leverage", "v-optimality", "sld"),
}
Scores = dict[str, dict[str, float]]  # strategy → id → score


def started(dataset: Dataset, folder: Path, seed: int, more: list[str]) -> Daemon:
    told = [
        f"log.path={folder}",
        f"queries.seed={seed}",
        f"queries.budget={BUDGET}",
        "queries.shadows=" + json.dumps(SHADOWS[dataset.values]),
        "topics.predictions=predictions",
        "users.kind=deviation",
        *(["model.loss=squared"] if dataset.values else []),
        *more,
    ]
    configuration = settings.read(None, {}, told)
    daemon = assemble.daemon(
        configuration, Health(), Measurements(), lambda _: True, ManualClock(1.75e9), poll_timeout_s=0.0
    )
    daemon.start()
    return daemon


def stream_of(stream: Part, rows: list[int]) -> list[dict[str, object]]:
    return [{"id": stream.ids[i], "x": stream.xs[i], "user": stream.users[i]} for i in rows]


def scored(
    dataset: Dataset, stream: Part, old: list[int], new: list[int], folder: Path, seed: int, more: list[str]
) -> Scores:
    """The log of the old users played, and what is then said of the new ones' events, while none is asked about."""
    daemon = started(dataset, folder, seed, more)
    labeler = Labeler(folder, dict(zip(stream.ids, stream.ys, strict=True)), DELAY)
    for begin in range(0, len(old), CHUNK):
        write(folder / "events.jsonl", stream_of(stream, old[begin : begin + CHUNK]))
        daemon.turn()
        labeler.turn(begin + CHUNK)
    labeler.finish()
    while daemon.turn():
        pass
    daemon.pipeline.standing.asking.paused = True
    write(folder / "events.jsonl", stream_of(stream, new))
    while daemon.turn():
        pass
    daemon.drain()
    daemon.close()
    found: Scores = {}
    wanted = {stream.ids[i] for i in new}
    for line in (folder / "predictions.jsonl").read_text().splitlines():
        said = json.loads(line)
        if said["id"] in wanted:
            found.setdefault("auto", {})[said["id"]] = said["score"] or 0.0
            for shadow in said["shadows"]:
                found.setdefault(shadow["strategy"], {})[said["id"]] = shadow["score"] or 0.0
    return found


def judged(
    dataset: Dataset, judge_rows: Part, folder: Path, answers: Mapping[str, object], seed: int, more: list[str]
) -> float:
    """The new users' mean loss in a copy of the daemon that has these answers."""
    with tempfile.TemporaryDirectory() as other:
        copy = Path(other) / "log"
        shutil.copytree(folder, copy)
        daemon = started(dataset, copy, seed, more)
        if answers:
            write(copy / "labels.jsonl", [{"id": id, "y": y} for id, y in answers.items()])
        while daemon.turn():
            pass
        judge = Judge(Evaluation(dataset, judge_rows), judge_rows, daemon.pipeline.standing.rules.learner)
        quality = judge.quality(daemon.pipeline.state)
        daemon.close()
    assert quality is not None
    return quality.loss


def run(dataset: Dataset, seed: int, more: list[str]) -> dict[str, float]:
    """Mean loss of the new users: before, by chance, and by each strategy."""
    stream, aside = split(dataset, seed)
    draws = np.random.default_rng([seed, 7])
    by_user: dict[str, list[int]] = {}
    for i, user in enumerate(stream.users):
        by_user.setdefault(user, []).append(i)
    names = sorted(user for user, rows in by_user.items() if len(rows) >= min(FIRST, 6))
    new = set(draws.choice(names, round(NEW * len(by_user)), replace=False).tolist())
    theirs = {user: by_user[user][:FIRST] for user in sorted(new)}
    old = [i for i, user in enumerate(stream.users) if user not in new]
    kept = [i for i, user in enumerate(aside.users) if user in new]
    rows = Part(*(tuple(of[i] for i in kept) for of in (aside.places, aside.ids, aside.xs, aside.ys, aside.users)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "log"
        folder.mkdir()
        scores = scored(dataset, stream, old, [i for each in theirs.values() for i in each], folder, seed, more)

        def after(chosen: list[int]) -> float:
            return judged(dataset, rows, folder, {stream.ids[i]: stream.ys[i] for i in chosen}, seed, more)

        found = {"none": after([])}
        found["chance"] = float(
            np.mean([after([int(draws.choice(each)) for each in theirs.values()]) for _ in range(DRAWS)])
        )
        for strategy, score in scores.items():
            found[strategy] = after([max(each, key=lambda i: score[stream.ids[i]]) for each in theirs.values()])
    return found


def shown(values: np.ndarray) -> str:
    return f"{1000 * values.mean():.0f} ± {1000 * values.std(ddof=1) / np.sqrt(len(values)):.0f}"


def main() -> None:
    names = sys.argv[1].split(",") if len(sys.argv) > 1 else list(grouped.GROUPED)
    seeds = range(*map(int, (sys.argv[2] if len(sys.argv) > 2 else "20").split(":")))
    for name in names:
        found = []
        for seed in seeds:
            found.append(run(datasets.load(name, None, seed), seed, sys.argv[3:]))
            print(name, seed, {k: round(v, 3) for k, v in found[-1].items()}, file=sys.stderr, flush=True)
        of = {key: np.array([each[key] for each in found]) for key in found[0]}
        strategies = [key for key in of if key not in ("none", "chance")]
        print(
            f"\n| {name} | no answer | by chance | "
            + " | ".join(strategies)
            + " |\n|"
            + " --- |" * (3 + len(strategies))
        )
        cells = [shown(of["none"]), shown(of["chance"]), *(shown(of[key] - of["chance"]) for key in strategies)]
        print(f"| loss × 1000 | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
