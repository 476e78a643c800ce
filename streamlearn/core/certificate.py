"""Certificates: whether a tangent can be trusted, by what can be measured of it.

    residual    ‖Hθ̇ + λC‖/‖λC‖: what is left of (64). At 1 it is no better than zero.
    lag         (1 + hτ) e^{−hτ}: what may still be missing in the weakest direction, of curvature h = λ, when the steps
                since the tangent began add up to τ = Ση. The residual does not see it: it weighs directions by curvature.
    step        η/η_c: beyond 1 the recursion for θ̇ explodes, where θ still looks fine
    growth      ‖θ̇‖ over what it was at the certificate before
    curvature   θ̇·Hθ̇/‖θ̇‖²: below 0 there is no minimum, and (64) says nothing

A solver that does not step has no lag, no step and no growth. A tangent that fails is still published: it is flagged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective

RESIDUAL_MOST, LAG_MOST, STEP_MOST, GROWTH_MOST = 0.5, 0.5, 1.0, 10.0


@final
@dataclass(frozen=True)
class Certificate:
    """What was measured; names and limits as above. Not a number fails."""

    residual: float
    lag: float
    step: float
    growth: float
    curvature: float
    norm: float  # ‖θ̇‖, which the next certificate's growth is measured from

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of what fails, in order."""
        passed = {
            "residual": self.residual <= RESIDUAL_MOST,
            "lag": self.lag <= LAG_MOST,
            "step": self.step <= STEP_MOST,
            "growth": self.growth <= GROWTH_MOST,
            "curvature": self.curvature >= 0.0,
        }
        return tuple(name for name, ok in passed.items() if not ok)

    @property
    def trusted(self) -> bool:
        return not self.failures


NONE = Certificate(1.0, 1.0, 0.0, 1.0, 0.0, 0.0)  # before there is a tangent


def solved(objective: Objective, theta: Array, log_tangent: Array, data: Data, regularity: float) -> Certificate:
    """Of a tangent that was solved for: measured on the data that it was solved on."""
    residual, curvature, norm = _measured(objective, theta, log_tangent, data, regularity)
    return Certificate(residual, 0.0, 0.0, 1.0, curvature, norm)


def stepped(
    objective: Objective,
    theta: Array,
    log_tangent: Array,
    data: Data,
    regularity: float,
    travel: float,
    step: float,
    norm_before: float,
) -> Certificate:
    """Of a tangent that came by steps which add up to `travel`, the last one `step` of the critical size."""
    residual, curvature, norm = _measured(objective, theta, log_tangent, data, regularity)
    growth = norm / norm_before if norm_before > 0.0 else 1.0
    if not objective.penalised.any():  # nothing moves with λ, and so nothing lags
        return Certificate(residual, 0.0, step, growth, curvature, norm)
    # R under L2 has curvature 1; under another the curvature along θ̇ is the best that is known.
    weakest = regularity if objective.ridge else max(curvature, 0.0)
    return Certificate(residual, lag(weakest * travel), step, growth, curvature, norm)


def lag(distance: float) -> float:
    """(1 + hτ) e^{−hτ} for hτ = `distance`: the share of θ̇ that a direction is short of, from a start at zero."""
    return (1.0 + distance) * math.exp(-distance)


def _measured(
    objective: Objective, theta: Array, log_tangent: Array, data: Data, regularity: float
) -> tuple[float, float, float]:
    """Residual, curvature along the tangent (0 where there is none), and its norm."""
    products = objective.products(theta, log_tangent, data, regularity, float(data.w.sum()))
    square = float(log_tangent @ log_tangent)
    curvature = float(log_tangent @ products.hvp) / square if square > 0.0 else 0.0
    return objective.unsolved(theta, products), curvature, math.sqrt(square)
