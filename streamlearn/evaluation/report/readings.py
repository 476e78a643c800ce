"""Readings: what is read off a learning curve, against the one of random queries of the same seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamlearn.evaluation.evaluation import Cell, Played
from streamlearn.evaluation.report.curves import Curve, along, at
from streamlearn.evaluation.trial import RANDOM


class Reading(NamedTuple):
    """One trial: labels at which score and loss are read; areas: mean over the way of what it has over random's."""

    dataset: str
    strategy: str
    seed: int
    labels: int
    score: float
    loss: float
    score_area: float
    loss_area: float


class Trials(NamedTuple):
    """curves by strategy and seed."""

    dataset: str
    curves: dict[tuple[str, int], Curve]


def read(trials: Trials) -> list[Reading]:
    """Every curve against random's of the same seed."""
    readings = []
    for (name, seed), points in trials.curves.items():
        theirs = trials.curves[RANDOM, seed]
        labels = min(points[-1].labels, theirs[-1].labels)
        (loss, score), (loss_area, score_area) = at(points, np.array(float(labels))), along(points, theirs)
        readings.append(Reading(trials.dataset, name, seed, labels, float(score), float(loss), score_area, loss_area))
    return readings


def trials_of(played: Played, cell: Cell) -> list[Trials]:
    """By data set. A trial without random queries of its seed to compare with is left out."""
    found = []
    for name in played.request.names():
        own = {p: line.outcome.points for p, line in played.lines.items() if (p.cell, p.dataset) == (cell, name)}
        compared = {place.seed for place in own if place.arm == RANDOM}
        curves: dict[tuple[str, int], Curve] = {
            (place.arm, place.seed): points for place, points in own.items() if place.seed in compared
        }
        if curves:
            found.append(Trials(name, curves))
    return found


def readings_of(played: Played, cell: Cell) -> list[Reading]:
    return [reading for trials in trials_of(played, cell) for reading in read(trials)]
