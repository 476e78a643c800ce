"""A fit: θ and θ̇ with all that is needed to use them on raw features, whichever solver made them.

Features and (squared loss) targets are standardised with the moments as of the fit, frozen until the next one: θ has a
meaning only together with them. When they move on, `adapted` re-expresses θ so that it computes the same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core import sgdf
from streamlearn.core.certificate import Certificate
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.core.moments import Scaling
from streamlearn.core.users.deviation import Prior
from streamlearn.core.users.together import Together


@final
@dataclass(frozen=True)
class Frame:
    """How raw rows become design rows, and outputs become values.

    scaling: shift and scale (width,) of the first `width` columns; standardise: False uses them only to fill what is
    missing; target_shift, target_scale: of values (0 and 1 for classes).
    """

    scaling: Scaling
    standardise: bool
    target_shift: float
    target_scale: float

    def design(self, X: Array) -> Array:
        """Design rows (n, 1 + width) from raw rows (n, at least width)."""
        shift, scale = self.scaling.shift, self.scaling.scale
        rows = X[:, : len(shift)]
        missing = np.isnan(rows)
        out = np.ones((len(X), 1 + len(shift)))
        out[:, 1:] = (
            np.where(missing, 0.0, (rows - shift) / scale) if self.standardise else np.where(missing, shift, rows)
        )
        return out

    def targets(self, y: Array) -> Array:
        return (y - self.target_shift) / self.target_scale

    def value(self, output: float) -> float:
        """An output in the units of the labels."""
        return output * self.target_scale + self.target_shift


@final
@dataclass(frozen=True)
class Fit:
    """theta, log_tangent (d,) under `frame`; covariance (W H)⁻¹ or None; regularity λ that θ belongs to;
    weight W of the examples that it was fitted on.

    end: the serial behind the last example it was fitted on; solver: newton | cg | sgdf, which found it. descent: the SGDF
    iterates, None with the others; rate, rated_at, optimizer: SGDF's step size, after how many labels and for which
    optimizer it was last computed; awake: whether the tangent has begun to move. prior: how users differ, of personalities;
    everybody: θ₀ and users' precisions, of kinds that solve for them at once; users_at: after how many labels it was learned.
    """

    model: Model
    frame: Frame
    theta: Array
    log_tangent: Array
    covariance: Array | None
    regularity: float
    end: int
    certificate: Certificate
    loss: float
    solver: str = "newton"
    descent: sgdf.State | None = None
    rate: float = 0.0
    rated_at: int = 0
    optimizer: str = "sgd"
    awake: bool = True
    weight: float = 0.0  # unknown, of a fit that was stored before users came
    prior: Prior | None = None
    everybody: Together | None = None
    users_at: int = 0

    @property
    def residual(self) -> float:
        """‖Hθ̇ + λC‖/‖λC‖."""
        return self.certificate.residual

    def knows(self, target: Array) -> NDArray[np.bool_]:
        """Which of these targets it has heard of: a class may be new since, an example be of another one by now."""
        classes = max(2, self.model.outputs_count) if self.model.loss.of_classes else np.inf
        return np.asarray(target < classes)


def adapted(old: Fit, vector: Array, model: Model, frame: Frame, is_theta: bool) -> Array:
    """θ or θ̇ of `old` as parameters of `model` under `frame`: the same function where nothing new was added.

    A network's function of its inputs is the same, and not that of raw rows: it goes on from there. Frames move by little.
    """
    if not isinstance(old.model, Linear):
        return model.carried(old.model, vector, is_theta)
    before, W = old.frame, old.model.matrix(vector).copy()
    if before.standardise:
        W[:, 1:] /= before.scaling.scale
        W[:, 0] -= W[:, 1:] @ before.scaling.shift
    W *= before.target_scale / frame.target_scale
    if is_theta:
        W[:, 0] += (before.target_shift - frame.target_shift) / frame.target_scale
    new = model.carried(old.model, W.ravel(), is_theta).reshape(model.outputs_count, model.columns)
    if frame.standardise:
        new[:, 0] += new[:, 1:] @ frame.scaling.shift
        new[:, 1:] *= frame.scaling.scale
    return new.ravel()
