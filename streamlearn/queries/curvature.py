"""What labels at some events would add to the Hessian: Σ wᵢ Jᵢᵀ cᵢ Jᵢ = U Uᵀ, c = ∂²ℓ/∂f².

The curvature does not depend on the label, so it is known of events that have none yet: of pending queries, which it is
counted for (`pending.py`), and of recent events, which say where the model will have to be sure (`v_optimality.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.queries.strategy import View

TINY = 1e-300


def root(view: View, X: Array, w: Array | None = None) -> Array:
    """U (d, n·k) for design rows X (n, D) of weights w (n,), 1 unless told."""
    roots = view.model.loss.curvature_root(view.model.outputs(view.theta, X), w)
    return view.model.pulled(view.theta, roots, X)


def of_stream(view: View, weigh: Callable[[View, Array], Array] | None = None) -> Array | None:
    """The same of the mean recent event: U (d, m·k), U Uᵀ = M; None where there is none yet.

    weigh: how much each counts, (n,), of the view and design rows.
    """
    if view.recent is None or not len(view.recent):
        return None
    w = np.ones(len(view.recent)) if weigh is None else weigh(view, view.recent)
    return root(view, view.recent, w / max(TINY, float(w.sum())))
