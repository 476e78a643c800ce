"""The polynomial problem solved by textbook formulas, with numpy alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamlearn.figures.polynomial import POINTS

Array = npt.NDArray[np.float64]
X_POINTS, Y_POINTS = np.array(POINTS).T
N = len(POINTS)


def powers(x: Array) -> Array:
    return np.array([[value**power for power in range(6)] for value in x])


def matrix(regularity: float) -> Array:
    """XᵀX/n + λI."""
    X = powers(X_POINTS)
    return X.T @ X / N + regularity * np.eye(6)


def theta(regularity: float) -> Array:
    """The regularized normal equations (78)."""
    return np.linalg.solve(matrix(regularity), powers(X_POINTS).T @ Y_POINTS / N)


def responses(x: Array, regularity: float) -> Array:
    return powers(x) @ theta(regularity)


def left_out(regularity: float) -> Array:
    """½(f−y)² of every point (6,), each by least squares on the others' rows and a row √(λn)·e a parameter."""
    prior, losses = np.sqrt(regularity * N) * np.eye(6), []
    for i in range(N):
        rows = np.vstack([np.delete(powers(X_POINTS), i, axis=0), prior])
        solution = np.linalg.lstsq(rows, np.append(np.delete(Y_POINTS, i), np.zeros(6)), rcond=None)[0]
        losses.append(0.5 * (powers(X_POINTS[[i]])[0] @ solution - Y_POINTS[i]) ** 2)
    return np.array(losses)


def influences(x: Array, regularity: float, labeled: bool) -> Array:
    """∇f(x)ᵀ H⁻¹ ∇ℓ(u), or ∇f(u) in its place, of every point u on every x, (n, 6)."""
    residuals = responses(X_POINTS, regularity) - Y_POINTS
    return powers(x) @ np.linalg.inv(matrix(regularity)) @ powers(X_POINTS).T * (residuals if labeled else 1.0)
