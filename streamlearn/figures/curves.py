"""The numbers behind the paper's figures 1 to 3, as columns by name: pure mathematics, drawn and written elsewhere.

Figure 1 is what the regularity tangent says of every x, beside what a refit at a slightly higher λ says; figure 2 how λ was
chosen; figure 3 what the square of the first is as a query score, beside squares of influence (94)–(96). A score means the
same times any constant, so in figure 3 each has the same root mean square over x.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np

from streamlearn.core import leave_one_out, newton
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.figures import polynomial
from streamlearn.figures.polynomial import OBJECTIVE
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View

Columns = dict[str, Array]

HIGHER: Final = 1.5  # the slightly higher λ of figure 1, as a multiple of the best
DOMAIN, PLACES = (-1.0, 1.0), 401
REGULARITIES: Final = 281
SCORES: Final = ("sld", "si", "ssi", "sti", "si-doubly-unlabeled", "ssi-doubly-unlabeled", "sti-doubly-unlabeled")


@final
class Numbers(NamedTuple):
    """regularity: the best λ; error: its leave-one-out error; higher: another λ; points and figures: their columns."""

    regularity: float
    error: float
    higher: float
    points: Columns
    figure1: Columns
    figure2: Columns
    figure3: Columns

    @property
    def dominant(self) -> int:
        """The point with the largest residual, counted from 0."""
        return int(np.argmax(np.abs(self.points["residual"])))

    @property
    def tables(self) -> dict[str, Columns]:
        """All columns, by what they are of."""
        return {"points": self.points, "figure1": self.figure1, "figure2": self.figure2, "figure3": self.figure3}


def numbers() -> Numbers:
    """All of it, for the six points."""
    data, x = polynomial.training_set(), np.linspace(*DOMAIN, PLACES)
    best = polynomial.best_regularity(data)
    higher, state = HIGHER * best, polynomial.fit(data, best)
    own = points(data, state, best)
    return Numbers(
        regularity=best,
        error=float(own["left_out_loss"].mean()),
        higher=higher,
        points=own,
        figure1=figure1(x, state, best, polynomial.fit(data, higher), higher),
        figure2=figure2(data, np.logspace(*polynomial.DECADES, REGULARITIES)),
        figure3=figure3(x, data, state),
    )


def points(data: Data, state: newton.State, regularity: float) -> Columns:
    """The points, each with its response, its residual f − y and its loss when it is left out."""
    response = OBJECTIVE.model.outputs(state.theta, data.X)[:, 0]
    return {
        "x": data.X[:, 1],
        "y": data.y,
        "response": response,
        "residual": response - data.y,
        "left_out_loss": polynomial.left_out(data, regularity),
    }


def figure1(x: Array, state: newton.State, regularity: float, above: newton.State, higher: float) -> Columns:
    """f and f′ = Xθ′ at λ, f at a higher λ, and the squares of f′ and of the difference quotient."""
    X, model = polynomial.design(x), OBJECTIVE.model
    f, f_prime = model.response(state.theta, state.log_tangent / regularity, X)  # θ′ = θ̇/λ
    f_above = model.outputs(above.theta, X)
    return {
        "x": x,
        "response": f[:, 0],
        "response_at_higher": f_above[:, 0],
        "tangent_response": f_prime[:, 0],
        "tangent_response_squared": f_prime[:, 0] ** 2,
        "difference_squared": ((f_above - f)[:, 0] / (higher - regularity)) ** 2,
    }


def figure2(data: Data, grid: Array) -> Columns:
    """Leave-one-out error against λ: by fits to the others, and what the fit to all says of it."""
    states = [polynomial.fit(data, regularity) for regularity in grid.tolist()]
    losses = {
        "left_out": [polynomial.left_out(data, regularity) for regularity in grid.tolist()],
        "leverage": [leave_one_out.leverage(OBJECTIVE, data, state) for state in states],
        "first_order": [leave_one_out.first_order(OBJECTIVE, data, state) for state in states],
    }
    return {"regularity": grid, **{name: np.mean(each, axis=1) for name, each in losses.items()}}


def figure3(x: Array, data: Data, state: newton.State) -> Columns:
    """Scores by the daemon's own strategies, with the points as references, at a root mean square of 1 over x."""
    view = View(OBJECTIVE.model, state.theta, state.log_tangent, state.covariance, state.covariance, data)
    X = polynomial.design(x)
    scores = {name: STRATEGIES[name].score(view, X, np.zeros(len(x))) for name in SCORES}
    return {"x": x, **{name: score / np.sqrt((score**2).mean()) for name, score in scores.items()}}


def local_minima(values: Array) -> list[int]:
    """Where values (n,) are below both neighbours'."""
    inner = values[1:-1]
    return (1 + np.flatnonzero((inner < values[:-2]) & (inner < values[2:]))).tolist()
