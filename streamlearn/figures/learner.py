"""An active learner of polynomials: the paper's example (section 3.3) with a query score that may ask.

The truth is a polynomial of degree 5 with coefficients drawn from a standard normal, seen through noise. The learner begins
with labels at the six places of the paper's example, which leave a gap in the middle, and then asks for one label at a time,
out of candidates spread evenly over the domain. In every round

    α = λW   of a grid, the best by leave-one-out without refitting (the leverage-corrected step)
    θ, θ̇, A  of the labels so far, exactly
    x        the candidate with the highest score, each asked about once

Every strategy is given the same truth, candidates and noise: only the order of the questions differs. The test loss is the
mean squared error without noise over the domain. The noise variance scales every score alike, so it is left at 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from streamlearn.core import least_squares, leave_one_out, newton
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.evaluation.trial import Point
from streamlearn.figures.polynomial import DEGREE, OBJECTIVE, POINTS, design
from streamlearn.queries.strategy import Strategy, View

NOISE: Final = 0.1  # standard deviation; that of the truth over the domain is about 1
CANDIDATES, QUERIES, PLACES = 200, 20, 401
TRUTH, CHANCE = 1, 2  # streams of their own: to numpy the seeds s and [s, 0] are one, and random would ask by the truth
PRECISIONS: Final = tuple(float(10.0**k) for k in np.linspace(-5.0, 1.0, 13))  # α; by the prior and noise 0.01 is best


@final
@dataclass(frozen=True)
class Problem:
    """start: the six labeled points; candidates: with the labels that they would be given; places, truth: to test on."""

    start: Data
    candidates: Data
    places: Array
    truth: Array


def problem(seed: int) -> Problem:
    """A truth and its noise."""
    rng = np.random.default_rng([TRUTH, seed])
    coefficients = rng.normal(size=DEGREE + 1)
    places = design(np.linspace(-1.0, 1.0, PLACES))

    def labeled(x: Array) -> Data:
        X = design(x)
        return Data(X, X @ coefficients + NOISE * rng.normal(size=len(x)), np.ones(len(x)))

    start = labeled(np.array([x for x, _ in POINTS]))
    return Problem(start, labeled(np.linspace(-1.0, 1.0, CANDIDATES)), places, places @ coefficients)


def curve(strategy: Strategy, seed: int, salt: int = 0) -> tuple[Point, ...]:
    """Learning curve, one point a label. salt: another one is another chance on the same problem, for the random strategy."""
    given = problem(seed)
    draws = np.random.default_rng([CHANCE, seed, salt]).random(CANDIDATES)
    labeled, closed = given.start, np.zeros(CANDIDATES, dtype=bool)
    points = list[Point]()
    for query in range(QUERIES + 1):
        precision, state = learn(labeled)
        points.append(_point(given, state, query, len(labeled.y), precision))
        scores = strategy.score(view(state, labeled, given.candidates.X), given.candidates.X, draws)
        asked = int(np.argmax(np.where(closed, -np.inf, scores)))
        closed[asked] = True
        labeled = _joined(labeled, given.candidates, asked)
    return tuple(points)


def learn(labeled: Data) -> tuple[float, newton.State]:
    """The best α by leave-one-out, and the fit that goes with it."""
    gram, _ = least_squares.step(least_squares.init(OBJECTIVE.model.size), labeled)
    fits = [least_squares.solve(gram, OBJECTIVE, precision / len(labeled.y))[0] for precision in PRECISIONS]
    errors = [leave_one_out.mean(leave_one_out.leverage(OBJECTIVE, labeled, state), labeled) for state in fits]
    best = int(np.argmin(errors))
    return PRECISIONS[best], fits[best]


def view(state: newton.State, labeled: Data, stream: Array) -> View:
    """What a strategy sees: all labels are references, none is under way, and what may be asked about is the stream."""
    A = state.covariance
    return View(OBJECTIVE.model, state.theta, state.log_tangent, A, A, labeled, stream)


def _point(given: Problem, state: newton.State, query: int, labels: int, precision: float) -> Point:
    errors = OBJECTIVE.model.outputs(state.theta, given.places)[:, 0] - given.truth
    loss = float(errors @ errors) / PLACES
    return Point(query, labels, loss, -math.log10(loss), precision / labels, 0.0)


def _joined(labeled: Data, candidates: Data, asked: int) -> Data:
    return Data(
        np.concatenate([labeled.X, candidates.X[[asked]]]),
        np.append(labeled.y, candidates.y[asked]),
        np.append(labeled.w, candidates.w[asked]),
    )
