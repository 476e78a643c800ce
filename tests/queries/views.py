"""Views with known answers: random models under every head, and the truth computed the long way round.

Nothing here uses the strategies' own formulas: expectations are sums over the classes or counts, or Gauss–Hermite integrals
over y, and pending queries are counted by forming the Hessian of the summed objective and inverting it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import poisson

from streamlearn.core.losses import Array, Logistic, Loss, Poisson, Softmax, Squared
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.queries.strategy import View

HEADS = ("squared", "logistic", "softmax", "poisson")
CLASSES = ("logistic", "softmax")
LOSSES: dict[str, Loss] = {
    "squared": Squared(0.37),
    "logistic": Logistic(),
    "softmax": Softmax(),
    "poisson": Poisson(),
}
OUTPUTS = {"squared": 1, "logistic": 1, "softmax": 4, "poisson": 1}
COUNTS_MOST = 200  # of the Poisson loss: rates here are far below
COLUMNS, LABELED, REGULARITY, ANCHOR, RECENT = 4, 30, 0.05, 0.01, 6


def design(rows: int, seed: int) -> Array:
    """Design rows (rows, COLUMNS): ones, then numbers."""
    return np.column_stack([np.ones(rows), np.random.default_rng(seed).normal(size=(rows, COLUMNS - 1))])


def model(head: str) -> Linear:
    return Linear(LOSSES[head], OUTPUTS[head], COLUMNS)


def theta(head: str) -> Array:
    return np.random.default_rng(5).normal(size=model(head).size) * (0.5 if head == "poisson" else 1.0)


def references(head: str, rows: int = 9) -> Data:
    """Labeled examples, of which some are far from what the model says."""
    rng = np.random.default_rng(6)
    y = {
        "squared": rng.normal(size=rows),
        "logistic": rng.integers(0, 2, rows),
        "softmax": rng.integers(0, 4, rows),
        "poisson": rng.poisson(2.0, rows),
    }[head]
    return Data(design(rows, 8), y.astype(float), rng.choice([0.5, 1.0, 2.0], rows))


def information(head: str, pending: Array) -> Array:
    """W H + Σ curvature of the pending queries, formed explicitly (d, d)."""
    labeled = Data(design(LABELED, 1), np.zeros(LABELED), np.ones(LABELED))
    total = LABELED * Objective(model(head), ANCHOR).hessian(theta(head), labeled, REGULARITY)
    for x in pending:
        total += sum(p * np.outer(g, g) for p, g in _curvature_terms(head, x))
    return total


def view(head: str, counted: Array | None = None) -> View:
    """The view whose covariance and tangent are those of the explicit truth."""
    base = np.linalg.inv(information(head, np.empty((0, COLUMNS))))
    covariance = base if counted is None else np.linalg.inv(information(head, counted))
    return View(
        model(head), theta(head), covariance @ source(head), covariance, base, references(head), design(RECENT, 11)
    )


def source(head: str) -> Array:
    """−αC, which pending queries leave alone (d,)."""
    return -LABELED * REGULARITY * Objective(model(head), ANCHOR).complexity_gradient(theta(head))


def expected(head: str, x: Array, of: Callable[[float, Array], float]) -> float:
    """E_{y~p(y|x,θ)} [of(y, ∇ℓ(x, y))]."""
    return sum(p * of(y, g) for p, y, g in _outcomes(head, x))


def jacobian(head: str, x: Array) -> Array:
    """∂f/∂θ at a design row x, (k, d)."""
    return np.kron(np.eye(OUTPUTS[head]), x)


def centred(head: str, moved: Array) -> Array:
    """Responses (k, ...) of several outputs around their mean: a common shift of logits means nothing."""
    return moved - moved.mean(axis=0) if OUTPUTS[head] > 1 else moved


def _outcomes(head: str, x: Array) -> Iterator[tuple[float, float, Array]]:
    """(probability or weight, y, ∇ℓ) of every class, or of every node of the integral over y."""
    linear, at = model(head), theta(head)
    f = linear.outputs(at, x[None, :])
    if head == "squared":
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        ys, ps = f[0, 0] + np.sqrt(0.37) * nodes, weights / weights.sum()
    elif head == "poisson":
        ys = np.arange(COUNTS_MOST + 1).astype(float)
        ps = poisson.pmf(ys, np.exp(f[0, 0]))
        assert abs(ps.sum() - 1.0) < 1e-12
    else:
        ys = np.arange(max(2, OUTPUTS[head])).astype(float)
        ps = np.exp([-linear.loss.value(f, np.array([y]))[0] for y in ys])
    for p, y in zip(ps, ys, strict=True):
        yield float(p), float(y), linear.example_gradients(at, x[None, :], np.array([y]))[0]


def _curvature_terms(head: str, x: Array) -> Iterator[tuple[float, Array]]:
    """What a label at x adds to the Hessian: for classes the expected ∇ℓ∇ℓᵀ, for ½(f−y)² one xxᵀ."""
    if head == "squared":
        yield 1.0, x
    else:
        for p, _, g in _outcomes(head, x):
            yield p, g
