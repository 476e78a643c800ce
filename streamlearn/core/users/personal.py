"""The model that every event meets its own user's of: design rows bring along what their user adds to the outputs.

    row   (x, J δ_u, J δ̇_u), of D + 2k columns      f = J θ₀ + J δ_u,   f′ = J θ̇₀ + J δ̇_u
    row   (x, J δ_u, J δ̇_u, J Σ_u), k·d more        Σ_u: what is not known of the user (`unknown.py`)

So one matrix product serves all users, and whatever looks at rows, a query strategy, sees each by its own θ_u and θ̇_u. Rows
without that, of D columns, are the shared model's. The parameters are the shared ones: derivatives by them, and with them H⁻¹,
are taken at the user's outputs. Of a network rows bring h δ_u and ḣ δ_u + h δ̇_u (`deviation.py`), or of a part of it f_u − f₀
and f′_u − f′₀, and J is the shared one's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array, Loss
from streamlearn.core.models.model import Block, Columns, LastLayer, Model
from streamlearn.core.users.shifted import Shifted


def rows(X: Array, own: Array, own_dot: Array, unknown: Array | None = None) -> Array:
    """Design rows X (n, D) with what their users add to f and f′, each (n, k), and J Σ_u (n, k, d), where that is looked at."""
    parts = [X, own, own_dot] if unknown is None else [X, own, own_dot, unknown.reshape(len(X), -1)]
    return np.concatenate(parts, axis=1)


@final
@dataclass(frozen=True)
class Personal(Model):
    """shared: the model that users deviate from."""

    shared: Model

    @property
    def loss(self) -> Loss:  # type: ignore[override]  # an attribute elsewhere: nobody sets it
        return self.shared.loss

    @property
    def outputs_count(self) -> int:  # type: ignore[override]
        return self.shared.outputs_count

    @property
    def columns(self) -> int:  # type: ignore[override]
        return self.shared.columns

    @property
    def kind(self) -> str:
        return self.shared.kind

    @property
    def size(self) -> int:
        return self.shared.size

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.shared.blocks

    def with_loss(self, loss: Loss) -> Personal:
        return Personal(self.shared.with_loss(loss))

    def start(self, y: Array, w: Array) -> Array:
        return self.shared.start(y, w)

    def carried(self, old: Model, vector: Array, is_theta: bool) -> Array:
        return self.shared.carried(old, vector, is_theta)

    def free_at(self, free: Columns) -> NDArray[np.intp]:
        return self.shared.free_at(free)

    def inner(self, vector: Array, free: Columns) -> Array:
        return self.shared.inner(vector, free)

    def outer(self, inner: Array, free: Columns) -> Array:
        return self.shared.outer(inner, free)

    @property
    def last_layer(self) -> LastLayer | None:
        return None

    def outputs(self, theta: Array, X: Array) -> Array:
        x, own, _ = self._parts(X)
        return self.shared.outputs(theta, x) + own

    def response(self, theta: Array, v: Array, X: Array) -> tuple[Array, Array]:
        """Of v, which has to be θ̇₀: what a row's user adds goes with it."""
        x, own, own_dot = self._parts(X)
        f, f_dot = self.shared.response(theta, v, x)
        return f + own, f_dot + own_dot

    def responses(self, theta: Array, vectors: Array, X: Array) -> Array:
        return self.shared.responses(theta, vectors, self._parts(X)[0])

    def gradient(self, theta: Array, X: Array, y: Array, w: Array) -> tuple[float, Array]:
        model, x = self._at(X)
        return model.gradient(theta, x, y, w)

    def gradient_hvp(self, theta: Array, v: Array, X: Array, y: Array, w: Array) -> tuple[float, Array, Array]:
        model, x = self._at(X)
        return model.gradient_hvp(theta, v, x, y, w)

    def linearised(self, theta: Array, X: Array, y: Array, w: Array) -> Callable[[Array], Array]:
        model, x = self._at(X)
        return model.linearised(theta, x, y, w)

    def hessian(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        model, x = self._at(X)
        return model.hessian(theta, x, y, w)

    def example_gradients(self, theta: Array, X: Array, y: Array) -> Array:
        model, x = self._at(X)
        return model.example_gradients(theta, x, y)

    def gradient_lengths(self, theta: Array, X: Array) -> Array:
        model, x = self._at(X)
        return model.gradient_lengths(theta, x)

    def pulled(self, theta: Array, roots: Array, X: Array) -> Array:
        return self.shared.pulled(theta, roots, self._parts(X)[0])

    def covariance(self, theta: Array, inverse: Array, X: Array) -> Array:
        return self.shared.covariance(theta, inverse, self._parts(X)[0])

    def unknown(self, X: Array) -> Array | None:
        begin = self.columns + 2 * self.outputs_count
        if X.shape[1] != begin + self.outputs_count * self.size:
            return None
        return X[:, begin:].reshape(len(X), self.outputs_count, self.size)

    def gradient_square(self, theta: Array, X: Array, y: Array, w: Array) -> Array:
        model, x = self._at(X)
        return model.gradient_square(theta, x, y, w)

    def steepness(
        self, theta: Array | None, X: Array, y: Array, w: Array, batch_size: int, divisor: Array | None
    ) -> float:
        model, x = self._at(X)
        return model.steepness(theta, x, y, w, batch_size, divisor)

    def _at(self, X: Array) -> tuple[Model, Array]:
        """The shared model seen from these rows' users, and its own design rows."""
        x, own, _ = self._parts(X)
        return self.shared.with_loss(Shifted(self.shared.loss, own)), x

    def _parts(self, X: Array) -> tuple[Array, Array, Array]:
        D, k = self.columns, self.outputs_count
        if X.shape[1] == D:
            return X, np.zeros((len(X), k)), np.zeros((len(X), k))
        return X[:, :D], X[:, D : D + k], X[:, D + k : D + 2 * k]
