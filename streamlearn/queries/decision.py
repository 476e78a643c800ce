"""The decision: between which two classes the model hesitates, a and b, and what tells them apart, f_a − f_b.

With two classes there is one output, and f itself decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array


def likeliest(p: Array) -> NDArray[np.intp]:
    """The classes of each row of probabilities (n, classes), the likeliest first."""
    return np.argsort(-p, axis=1, kind="stable")


def directions(order: NDArray[np.intp], outputs: int) -> Array:
    """e_a − e_b of every row, (n, k); 1 where there is one output."""
    if outputs == 1:
        return np.ones((len(order), 1))
    out, rows = np.zeros((len(order), outputs)), np.arange(len(order))
    out[rows, order[:, 0]], out[rows, order[:, 1]] = 1.0, -1.0
    return out


def variance(M: Array, order: NDArray[np.intp]) -> Array:
    """Of f_a − f_b, (n,), where M (n, k, k) is the covariance of f."""
    v = directions(order, M.shape[1])
    return np.asarray(np.einsum("na,nab,nb->n", v, M, v))
