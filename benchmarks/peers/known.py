"""The peers by name. Their packages are imported where one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from benchmarks.peers.peer import ByChance, Peer, Task
from streamlearn.evaluation.arms import Arm
from streamlearn.evaluation.rows import Dataset


class Known(NamedTuple):
    """make: from a task; suits: whether it can play a data set."""

    make: Callable[[Task], Peer]
    suits: Callable[[Dataset], bool]


def _classes(dataset: Dataset) -> bool:
    return not dataset.values


def _two_classes(dataset: Dataset) -> bool:
    return not dataset.values and len(set(dataset.ys)) == 2


def _river(task: Task) -> Peer:
    from benchmarks.peers import river_entropy

    return river_entropy.make(task)


def _river_learner(task: Task) -> Peer:
    from benchmarks.peers import river_entropy

    return river_entropy.learner(task)


def _skactiveml(strategy: str) -> Callable[[Task], Peer]:
    def make(task: Task) -> Peer:
        from benchmarks.peers.scikit_activeml import ScikitActiveml

        return ScikitActiveml(task, strategy)

    return make


def _vw(task: Task) -> Peer:
    from benchmarks.peers import vowpal_wabbit

    return vowpal_wabbit.make(task)


def _vw_learner(task: Task) -> Peer:
    from benchmarks.peers import vowpal_wabbit

    return vowpal_wabbit.learner(task)


def _by_chance(learner: Callable[[Task], Peer]) -> Callable[[Task], Peer]:
    return lambda task: ByChance(learner(task), task)


PEERS: Final = {
    "river-entropy": Known(_river, _classes),
    "river-random": Known(_by_chance(_river_learner), _classes),
    "skactiveml-probabilistic": Known(_skactiveml("probabilistic"), _classes),
    "skactiveml-variable": Known(_skactiveml("variable"), _classes),
    "skactiveml-split": Known(_skactiveml("split"), _classes),
    "skactiveml-fixed": Known(_skactiveml("fixed"), _classes),
    "skactiveml-random": Known(_by_chance(_skactiveml("fixed")), _classes),
    "vw-active": Known(_vw, _two_classes),
    "vw-random": Known(_by_chance(_vw_learner), _two_classes),
}


def arm(name: str) -> Arm:
    """For the tables."""
    return Arm(name, name, needs=PEERS[name].suits)
