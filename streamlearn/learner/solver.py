"""Which solver learns the labels: the configured one, or `auto` by what a refit would cost.

For W labels and d = kD parameters, k outputs of D columns, a refit takes about

    newton    3 Hessians of W d² and factorisations of d³        (squared loss with L2: 1)
    cg        150 products, each of 4 W d, of W k curvatures and of what calls cost
    sgdf      none: a fixed number of steps a label, whatever W

`auto` takes Newton's method while it is bearable: up to `INVERSE_MOST` parameters, and while a refit, during which the daemon
answers nothing, takes at most `REFIT_MOST_S`. Beyond a hundred parameters conjugate gradients are faster (near 400, with few
labels, 17 times), but H⁻¹, which Newton's leaves behind, counts queries not yet answered and scores regression; beyond 512 it
is formed only where strategies look at it (`inverse.py`). Then come conjugate gradients within the same time, which find θ
and θ̇ as exactly; then SGDF. More parameters or labels lead on from one to the next, never back. L1 has no use for conjugate
gradients. A network is SGDF's at once: it has no one optimum to go to.

The constants are those of one slow core, measured by `benchmarks/solvers.py`. They are fixed: a choice that depended on the
machine, or on a clock, would not replay.
"""

from __future__ import annotations

from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State

INVERSE_MOST = 512
REFIT_MOST_S = 1.0
HESSIAN_S, FACTOR_S = 1e-10, 1.2e-10  # of W d² and of d³
PRODUCTS, PRODUCT_S, CURVATURE_S, CALL_S = 150, 4e-10, 6e-9, 4e-5  # of W d, of W k, of one product


def choose(state: State, settings: Settings) -> str:
    """newton | cg | sgdf."""
    if settings.solver != "auto":
        return settings.solver
    if settings.network:
        return "sgdf"
    labels = min(len(state.examples), settings.keep or len(state.examples))
    outputs, D = state.problem.outputs, 1 + len(state.columns.columns)
    squared = state.problem.loss == "squared" and settings.penalty.kind == "l2"
    if outputs * D <= INVERSE_MOST and newton_s(labels, outputs, D, squared) <= REFIT_MOST_S:
        return "newton"
    if settings.penalty.kind != "l1" and conjugate_s(labels, outputs, D) <= REFIT_MOST_S:
        return "cg"
    return "sgdf"


def newton_s(labels: int, outputs: int, columns: int, squared: bool) -> float:
    """Seconds of a refit by Newton's method, or by least squares."""
    d = outputs * columns
    return (1 if squared else 3) * (HESSIAN_S * labels * d**2 + FACTOR_S * d**3)


def conjugate_s(labels: int, outputs: int, columns: int) -> float:
    """Seconds of a refit by conjugate gradients."""
    return PRODUCTS * (CALL_S + labels * outputs * (PRODUCT_S * columns + CURVATURE_S))
