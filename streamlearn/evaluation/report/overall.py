"""Over data sets: a strategy's mean area, how sure that is, its rank, and whether anything may be called the winner.

The mean over data sets has two errors. Over seeds: of the mean over these very data sets, were they streamed and asked about
anew. Over data sets: were others like them taken. The first is what a verdict rests on, and is about these data sets; whether
the second would bear it too is said.

A winner is named only where its mean area is beyond

    its own 95 % interval        over seeds, for all candidates at once (Bonferroni): of many one is ahead by chance
    every null control           its mean area, whatever the sign, and the 95 % interval of the paired difference
    every other strategy         the 95 % interval of the paired difference, on the data sets and seeds that both have

The null controls and random queries are no candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.evaluation.arms import NULLS
from streamlearn.evaluation.report.curves import margin, mean_and_error
from streamlearn.evaluation.report.readings import Reading
from streamlearn.evaluation.report.summary import mean_ranks
from streamlearn.evaluation.trial import RANDOM

Areas = Mapping[str, Mapping[str, Mapping[int, float]]]  # strategy → data set → seed → area


class Overall(NamedTuple):
    """sets: how many data sets; rank: see `mean_ranks`; see above for the errors."""

    strategy: str
    sets: int
    mean: float
    error_over_seeds: float
    error_over_sets: float
    rank: float


class Verdict(NamedTuple):
    """winner: None unless there is one; ahead: candidates that are ahead of random queries; text: a line."""

    winner: str | None
    ahead: tuple[str, ...]
    text: str


def areas_of(readings: Sequence[Reading], of_loss: bool = False) -> Areas:
    """Of the score, or of the loss; either way more is better."""
    areas: dict[str, dict[str, dict[int, float]]] = {}
    for one in readings:
        area = -one.loss_area if of_loss else one.score_area
        areas.setdefault(one.strategy, {}).setdefault(one.dataset, {})[one.seed] = area
    return areas


def overall(areas: Areas) -> list[Overall]:
    """The best mean rank first; random queries, with an area of 0, among them."""
    sets = list(dict.fromkeys(dataset for own in areas.values() for dataset in own))
    ranks = mean_ranks(
        [
            {name: float(np.mean(list(own[each].values()))) for name, own in areas.items() if each in own}
            for each in sets
        ]
    )
    rows = []
    for name, own in areas.items():
        (mean, over_seeds), over_sets = mean_and_error(by_seed(own, own)), mean_and_error(set_means(own))[1]
        rows.append(Overall(name, len(own), mean, over_seeds, over_sets, ranks[name]))
    return sorted(rows, key=lambda row: row.rank)


def by_seed(own: Mapping[str, Mapping[int, float]], sets: Sequence[str] | Mapping[str, object]) -> Array:
    """The mean over these data sets for every seed that all of them have."""
    seeds = sorted(set.intersection(*(set(own[dataset]) for dataset in sets)))
    return np.array([float(np.mean([own[dataset][seed] for dataset in sets])) for seed in seeds] or [math.nan])


def set_means(own: Mapping[str, Mapping[int, float]]) -> Array:
    return np.array([np.mean(list(by_seed.values())) for by_seed in own.values()])


def verdict(areas: Areas) -> Verdict:
    """Who is ahead of random queries beyond the noise, and whether one of those is ahead of all others too."""
    candidates = [name for name in areas if name not in (RANDOM, *NULLS)]
    ahead = [name for name in candidates if _is_ahead(areas, name, len(candidates))]
    if not ahead:
        return Verdict(None, (), "No winner: nothing is ahead of random queries beyond the noise.")
    best = max(ahead, key=lambda name: by_seed(areas[name], areas[name]).mean())
    rivals = [name for name in candidates if name != best and not _beats(areas, best, name, len(candidates))]
    listed = ", ".join(f"`{name}`" for name in ahead)
    if rivals:
        others = ", ".join(f"`{name}`" for name in rivals)
        text = (
            f"No single winner. Ahead of random queries: {listed}; `{best}` is not ahead of {others} beyond the noise."
        )
        return Verdict(None, tuple(ahead), text)
    sets = set_means(areas[best])
    borne = "holds" if abs(sets.mean()) > margin(sets) else "does not hold"
    text = (
        f"Winner on these data sets: `{best}`. Over data sets like them ({len(sets)}) that it is ahead {borne} at 95 %."
    )
    return Verdict(best, tuple(ahead), text)


def _is_ahead(areas: Areas, name: str, candidates: int) -> bool:
    """Without a null control on the same data sets nobody is: then nobody knows the noise."""
    own = areas[name]
    values, nulls = by_seed(own, own), [null for null in NULLS if null in areas and set(own) <= set(areas[null])]
    mean = float(values.mean())
    return (
        bool(nulls)
        and mean > margin(values, candidates)
        and all(mean > abs(by_seed(areas[null], own).mean()) for null in nulls)
        and all(_beats(areas, name, null, candidates) for null in nulls)
    )


def _beats(areas: Areas, name: str, other: str, candidates: int) -> bool:
    difference = paired(areas, name, other)
    return len(difference) > 0 and float(difference.mean()) > margin(difference, candidates)


def paired(areas: Areas, name: str, other: str) -> Array:
    """By how much `name` is ahead of `other` on the data sets that both have, by seed; empty where there are none."""
    pairs = {
        dataset: {
            seed: area - areas[other][dataset][seed]
            for seed, area in areas[name][dataset].items()
            if seed in areas[other][dataset]
        }
        for dataset in areas[name]
        if dataset in areas[other]
    }
    return by_seed(pairs, pairs) if pairs else np.empty(0)
