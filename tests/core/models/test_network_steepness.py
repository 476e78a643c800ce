"""How steep a network is, against Jacobians that torch.func takes and matrices that are formed."""

from __future__ import annotations

import numpy as np
import pytest

from streamlearn.core.losses import Array, named

torch = pytest.importorskip("torch")

from streamlearn.core.models import modules, networks  # noqa: E402
from streamlearn.core.models.network import POWER_MARGIN, Network  # noqa: E402

ROWS, BATCH = 16, 8


def network(head: str, outputs: int, curvature: str = "gauss-newton") -> Network:
    told = networks.Told(dtype="float64", seed=1, curvature=curvature)
    made = networks.NetworkArchitecture("mlp", lambda i, o: modules.mlp(i, o, (3,)), told)
    return made.model(named(head), outputs, 1 + 2)


def examples(outputs: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(ROWS), rng.normal(size=(ROWS, 2))])
    return X, np.arange(ROWS) % max(2, outputs) * 1.0


def steepest(model: Network, theta: Array, X: Array, curvatures: Array) -> float:
    """The largest eigenvalue among batches of Σᵢ JᵢᵀSᵢJᵢ/n, for curvatures S (n, k, k)."""
    sizes = [int(np.prod(shape)) for _, shape in model.blocks]

    def outputs(vector: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        pairs = zip(model.blocks, vector.split(sizes), strict=True)
        named_parts = {name: part.view(shape) for (name, shape), part in pairs}
        found: torch.Tensor = torch.func.functional_call(model.body.module, named_parts, (row[None],))[0]
        return found

    at = torch.tensor(theta)
    J = np.stack([torch.func.jacrev(outputs)(at, torch.tensor(row[1:])).numpy() for row in X])
    found = []
    for start in range(0, len(X), BATCH):
        part = slice(start, start + BATCH)
        found.append(np.linalg.eigvalsh(np.einsum("nkd,nkl,nle->de", J[part], curvatures[part], J[part]) / BATCH)[-1])
    return float(max(found))


@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])
def test_it_is_the_largest_eigenvalue_of_the_gauss_newton_curvature_among_batches_with_a_margin(curvature: str) -> None:
    model, (X, y) = network("squared", 1, curvature), examples(1)
    theta = 2.0 * model.first
    expected = POWER_MARGIN * steepest(model, theta, X, np.ones((ROWS, 1, 1)))
    assert model.steepness(theta, X, y, np.ones(ROWS), BATCH, None) == pytest.approx(expected, rel=0.05)


def test_examples_that_are_fitted_count_as_if_the_loss_bent_by_a_quarter_of_the_most_that_it_can() -> None:
    model, (X, y) = network("softmax", 3), examples(3)
    theta = model.first.copy()
    theta[-3:] = [60.0, 0.0, 0.0]  # the output's biases: every example is certainly of class 0
    assert np.abs(model.loss.curvature(model.outputs(theta, X))).max() < 1e-12
    expected = POWER_MARGIN * steepest(model, theta, X, np.tile(0.25 * 0.5 * np.eye(3), (ROWS, 1, 1)))
    assert model.steepness(theta, X, y, np.ones(ROWS), BATCH, None) == pytest.approx(expected, rel=0.05)


def test_where_the_loss_bends_by_more_than_that_its_curvature_is_its_own() -> None:
    model, (X, y) = network("logistic", 1), examples(1)
    theta = 0.1 * model.first  # no output is far from 0
    p = 1.0 / (1.0 + np.exp(-model.outputs(theta, X)))
    assert (p * (1.0 - p)).min() > 0.25 * 0.25
    expected = POWER_MARGIN * steepest(model, theta, X, (p * (1.0 - p))[:, :, None])
    assert model.steepness(theta, X, y, np.ones(ROWS), BATCH, None) == pytest.approx(expected, rel=0.05)
