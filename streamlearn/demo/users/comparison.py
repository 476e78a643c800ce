"""Many users: what each gets of a personality of their own, of one model that all share, and of a model that knows them alone.

Whose queries are by chance were given the same labels, event by event, so these three are read at the same users with the
same labels. Where the daemon asks by its scores each kind asks about other events, and who has how many labels differs.

line        the daemon          asks by         labels
SHARED      users.kind none     chance          the same
ALONE       a peer              –               the same; see `evaluation/of_users.py`
OWN         personality         chance          the same
SHARED_ASKS none                its scores      its own
OWN_ASKS    personality         its scores      its own
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation.of_users import OfUser
from streamlearn.evaluation.quality import Quality
from streamlearn.evaluation.trial import RANDOM, STREAMLEARN, Outcome, Plan

SHARED, ALONE, OWN, SHARED_ASKS, OWN_ASKS = LINES = ("shared", "alone", "own", "shared_asks", "own_asks")
ARMS: Final = {
    SHARED: (RANDOM, "none"),
    OWN: (RANDOM, "personality"),
    SHARED_ASKS: (STREAMLEARN, "none"),
    OWN_ASKS: (STREAMLEARN, "personality"),
}
BINS: Final = (0, 1, 3, 6, 11)  # labels that a user has, from so many on
TITLES_OF_BINS: Final = ("0", "1–2", "3–5", "6–10", "> 10")


class Pair(NamedTuple):
    """One user, by the same labels: test loss of the shared model, and of their own."""

    labels: int
    shared: float
    own: float


@final
@dataclass(frozen=True)
class Comparison:
    """Of each line, by seed: loss and score (seeds, 1 + bins), the mean over all users first, NaN where a bin has nobody.

    users: how many are in a bin, the mean over seeds, of the labels that were asked for by chance; labels: given, by line;
    pairs: users of the first seed.
    """

    seeds: tuple[int, ...]
    loss: dict[str, Array]
    score: dict[str, Array]
    users: Array
    labels: dict[str, Array]
    pairs: tuple[Pair, ...]

    def difference(self, ours: str, theirs: str, what: str = "loss") -> Array:
        """ours − theirs by seed, over all users."""
        found: dict[str, Array] = getattr(self, what)
        return np.asarray(found[ours][:, 0] - found[theirs][:, 0])


def plan(line: str, dataset: str, seed: int, budget: float, delay: int) -> Plan:
    """The trial that a line is read from; of ALONE: the one of OWN."""
    arm, kind = ARMS[line]
    return Plan(arm, seed, budget, delay, 0, dataset, (f"users.kind={kind}",))


def line_of(plan: Plan) -> str:
    return next(
        line for line, (arm, kind) in ARMS.items() if plan.arm == arm and plan.settings == (f"users.kind={kind}",)
    )


def compare(outcomes: Sequence[Outcome]) -> Comparison:
    """Every line but ALONE of every seed, once."""
    of = {(line_of(outcome.plan), outcome.plan.seed): outcome for outcome in outcomes}
    seeds = tuple(sorted({outcome.plan.seed for outcome in outcomes}))
    loss, score = dict[str, Array](), dict[str, Array]()
    for line in LINES:
        own = [of[OWN if line == ALONE else line, seed].users for seed in seeds]
        loss[line] = np.array([_by_labels(users, READ[line], 0) for users in own])
        score[line] = np.array([_by_labels(users, READ[line], 1) for users in own])
    counts = [[sum(_bin(user) == i for user in of[OWN, seed].users) for i in range(len(BINS))] for seed in seeds]
    labels = {line: np.array([of[OWN if line == ALONE else line, seed].labels for seed in seeds]) for line in LINES}
    both = zip(of[SHARED, seeds[0]].users, of[OWN, seeds[0]].users, strict=True)
    pairs = tuple(Pair(own.labels, shared.own.loss, own.own.loss) for shared, own in both)
    return Comparison(seeds, loss, score, np.mean(counts, axis=0), labels, pairs)


def _own(user: OfUser) -> Quality:
    return user.own


def _alone(user: OfUser) -> Quality:
    assert user.alone is not None, "the daemon knows users"
    return user.alone


READ: Final = dict.fromkeys(LINES, _own) | {ALONE: _alone}


def _bin(user: OfUser) -> int:
    return sum(least <= user.labels for least in BINS) - 1


def _by_labels(users: Sequence[OfUser], read: Callable[[OfUser], Quality], what: int) -> list[float]:
    """Of all, then of those in each bin. what: 0, the loss; 1, the score."""
    parts = [users, *([user for user in users if _bin(user) == i] for i in range(len(BINS)))]
    return [float(np.mean([read(user)[what] for user in part])) if part else float("nan") for part in parts]
