"""Readings: what is read off a learning curve, against the one of random queries of the same seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
