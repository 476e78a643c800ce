"""The numbers behind the paper's figures 1 to 3, as columns by name: pure mathematics, drawn and written elsewhere.

Figure 1 is what the regularity tangent says of every x, beside what a refit at a slightly higher λ says; figure 2 how λ was
chosen; figure 3 what the square of the first is as a query score, beside squares of influence (94)–(96). A score means the
same times any constant, so in figure 3 each has the same root mean square over x.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np

from streamlearn.core import leave_one_out
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.figures import polynomial
from streamlearn.figures.polynomial import OBJECTIVE
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View

Columns = dict[str, Array]

HIGHER: Final = 1.5  # the slightly higher λ of figure 1, as a multiple of the best
DOMAIN, PLACES = (-1.0, 1.0), 401
DECADES, REGULARITIES = polynomial.DECADES, 281
SCORES: Final = ("sld", "si", "ssi", "sti", "ssi-doubly-unlabeled", "sti-doubly-unlabeled")


@final
class Setting(NamedTuple):
    """data: the six points; regularity: the best λ; places: where the curves are looked at (401,)."""

    data: Data
    regularity: float
    places: Array

    @property
    def higher(self) -> float:
        return HIGHER * self.regularity


def setting() -> Setting:
    data = polynomial.training_set()
    return Setting(data, polynomial.best_regularity(data), np.linspace(*DOMAIN, PLACES))


def points(at: Setting) -> Columns:
    """The six points, each with its response, its residual f − y and its loss when left out."""
    state = polynomial.fit(at.data, at.regularity)
    response = OBJECTIVE.model.outputs(state.theta, at.data.X)[:, 0]
    return {
        "x": at.data.X[:, 1],
        "y": at.data.y,
        "response": response,
        "residual": response - at.data.y,
        "left_out_loss": polynomial.left_out(at.data, at.regularity),
    }


def figure1(at: Setting) -> Columns:
    """f and f′ = Xθ′ at the best λ, f at the higher one, and the squares of f′ and of the difference quotient."""
    X, model = polynomial.design(at.places), OBJECTIVE.model
    state = polynomial.fit(at.data, at.regularity)
    f, f_prime = model.response(state.theta, polynomial.tangent(state, at.regularity), X)
    higher = model.outputs(polynomial.fit(at.data, at.higher).theta, X)
    difference = (higher - f) / (at.higher - at.regularity)
    return {
        "x": at.places,
        "response": f[:, 0],
        "response_at_higher": higher[:, 0],
        "tangent_response": f_prime[:, 0],
        "tangent_response_squared": f_prime[:, 0] ** 2,
        "difference_squared": difference[:, 0] ** 2,
    }


def figure2(at: Setting) -> Columns:
    """Leave-one-out error against λ: by fits to the others, and approximated at the fit to all."""
    grid = np.logspace(*DECADES, REGULARITIES)
    states = [polynomial.fit(at.data, float(regularity)) for regularity in grid]
    exact = [polynomial.left_out(at.data, float(regularity)) for regularity in grid]
    columns = {
        "left_out": exact,
        "leverage": [leave_one_out.leverage(OBJECTIVE, at.data, state) for state in states],
        "first_order": [leave_one_out.first_order(OBJECTIVE, at.data, state) for state in states],
    }
    means = {
        name: np.array([leave_one_out.mean(losses, at.data) for losses in column]) for name, column in columns.items()
    }
    return {"regularity": grid, **means}


def figure3(at: Setting) -> Columns:
    """Scores of every x by the daemon's own strategies, with the six points as references, at the same root mean square."""
    state = polynomial.fit(at.data, at.regularity)
    view = View(OBJECTIVE.model, state.theta, state.log_tangent, state.covariance, state.covariance, at.data)
    X, draws = polynomial.design(at.places), np.zeros(len(at.places))
    scores = {name: STRATEGIES[name].score(view, X, draws) for name in SCORES}
    return {"x": at.places, **{name: score / np.sqrt((score**2).mean()) for name, score in scores.items()}}


def dominant(at: Setting) -> int:
    """The point with the largest residual, counted from 0."""
    return int(np.argmax(np.abs(points(at)["residual"])))
