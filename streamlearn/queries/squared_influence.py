"""Squared influence: how far could a label here move what the model says of examples that it has learned?

    SI (x) = E_y [I_loss(z, u)²]                u: the reference with the largest residual ‖∂ℓ/∂f‖
    SSI(x) = Σ_j w_j E_y [I_loss(z, u_j)²]                                                        (56)
    STI(x) = E_y [(Σ_j w_j I_loss(z, u_j))²]                                                      (55)

for z = (x, y), y ~ p(y|x, θ), and the newest labeled examples as references u_j of weight w_j. Each is the square of SLD with
V = A ∇ℓ(u) in the place of θ̇ (57)–(58): one column for SI, one a reference for SSI, and their sum for STI. Three forms say
on which side the loss's factor counts:

    labeled            I_loss(z, u) = −∇ℓ(z)ᵀ A ∇ℓ(u)                   (94)
    unlabeled          the candidate's is dropped: −∇f(x)ᵀ A ∇ℓ(u)      (95)
    doubly unlabeled   both are: −∇f(x)ᵀ A ∇f(u), k columns a reference (96)

In the last every reference counts alike, where the others lean on those with large residuals. Over the whole training set the
labeled STI *is* SLD at an optimum, up to scale: there Σ_j w_j A ∇ℓ(u_j) = −λW A C = θ̇ (59)–(63).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.queries import squares
from streamlearn.queries.strategy import Strategy, View

SINGLE, SUMMED, TOTAL = "si", "ssi", "sti"
LABELED, UNLABELED, DOUBLY_UNLABELED = "", "-unlabeled", "-doubly-unlabeled"


@final
@dataclass(frozen=True)
class SquaredInfluence(Strategy):
    """influence: of which references, si | ssi | sti; form: which sides are labeled."""

    name: str
    influence: str
    form: str
    needs_inverse: ClassVar[bool] = True
    needs_references: ClassVar[bool] = True

    def score(self, view: View | None, X: Array, draws: Array) -> Array:
        if view is None or view.covariance is None or view.references is None or not len(view.references.y):
            return np.full(len(X), np.nan)
        moved = view.model.responses(view.theta, view.covariance @ self._directions(view, view.references), X)
        if self.form == LABELED:
            return squares.of_loss(view.model.loss, view.model.outputs(view.theta, X), moved)
        return squares.of_response(moved)

    def _directions(self, view: View, references: Data) -> Array:
        """∇ℓ or ∇f of what the references are gathered to, (d, c)."""
        model, count = view.model, len(references.y)
        if self.form == DOUBLY_UNLABELED:
            k = model.outputs_count
            of_outputs = model.pulled(view.theta, np.tile(np.eye(k), (count, 1, 1)), references.X).reshape(-1, count, k)
            return np.concatenate([self._gathered(view, references, of_outputs[:, :, c].T) for c in range(k)]).T
        return self._gathered(view, references, model.example_gradients(view.theta, references.X, references.y)).T

    def _gathered(self, view: View, references: Data, rows: Array) -> Array:
        """Of a row a reference: the one row of SI; for SSI rows with the same second moment; the one row of STI."""
        if self.influence == TOTAL:
            return references.w[None, :] @ rows
        if self.influence == SINGLE:
            residuals = view.model.loss.gradient(view.model.outputs(view.theta, references.X), references.y)
            return rows[[int(np.argmax((residuals**2).sum(axis=1)))]]
        rows = np.sqrt(references.w)[:, None] * rows
        # No more rows than columns are needed: RᵀR = rowsᵀ rows.
        return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def forms() -> tuple[SquaredInfluence, ...]:
    """All nine."""
    return tuple(
        SquaredInfluence(influence + form, influence, form)
        for influence in (SINGLE, SUMMED, TOTAL)
        for form in (LABELED, UNLABELED, DOUBLY_UNLABELED)
    )
