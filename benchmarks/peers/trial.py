"""One trial of a peer: what `streamlearn.evaluation.trial` is for the daemon, on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.peers import desk, numbers
from benchmarks.peers.known import PEERS
from benchmarks.peers.peer import Task
from streamlearn.evaluation import trial
from streamlearn.evaluation.labeler import Asked
from streamlearn.evaluation.quality import Evaluation
from streamlearn.evaluation.rows import Dataset, split
from streamlearn.evaluation.trial import Interrupted, Outcome, Plan, Point

NOT_TOLD = 0.0  # a peer's λ and residual; no NaN, which JSON does not bring back


def run(dataset: Dataset, plan: Plan, folder: Path, watch: Callable[[int, Point | None], bool]) -> Outcome:
    """A point each time that labels were learned. The folder is not needed."""
    stream, aside = split(dataset, plan.seed)
    rows, others = numbers.encoded(stream.xs, aside.xs)
    classes = tuple(sorted(set(map(str, dataset.ys))))
    task = Task(rows, tuple(classes.index(str(y)) for y in stream.ys), len(classes), plan.budget, plan.delay, plan.seed)
    evaluation, points = Evaluation(dataset, aside), list[Point]()

    with closing(PEERS[plan.arm].make(task)) as peer:

        def after(events: int, learned: list[int]) -> None:
            if learned and (not points or points[-1].labels < len(learned)):
                heard = {classes[task.ys[event]] for event in learned}
                quality = evaluation.of_probabilities(
                    classes, heard, lambda now: peer.probabilities(others[now]), stream.places[events - 1]
                )
                points.append(Point(events, len(learned), quality.loss, quality.score, NOT_TOLD, NOT_TOLD))
            if not watch(events, points[-1] if points else None):
                raise Interrupted

        served = desk.serve(peer, task, after)
    asked = tuple(Asked(stream.ids[event], "score", plan.arm) for event in served.granted)
    over = trial.overspent([event + 1 for event in served.granted], plan.budget)
    return Outcome(plan, len(asked), tuple(points), asked, len(rows), over, served.refused)
