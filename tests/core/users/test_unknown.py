"""What is not known of a user: against the inverse of the Hessian of their own objective, formed the long way round."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core.losses import Array
from streamlearn.core.objective import Data
from streamlearn.core.users import deviation_l2, personal
from streamlearn.core.users.deviation import Prior, Shared
from streamlearn.core.users.personal import Personal
from streamlearn.core.users.unknown import Unknown, Unsure
from streamlearn.queries import unsure
from streamlearn.queries.leverage import Leverage
from streamlearn.queries.strategy import View
from streamlearn.queries.v_optimality import VOptimality
from tests.core.problems import HEADS, parameters, part, small

PRECISION = 0.8
heads = pytest.mark.parametrize("head", HEADS)
priors = pytest.mark.parametrize("common", [False, True], ids=["deviation", "personality"])
counts = pytest.mark.parametrize("count", [0, 3, 40], ids=["no examples", "fewer than parameters", "more"])


def known(head: str, common: bool, count: int) -> tuple[Unsure, Data, Array, Array]:
    """How unsure one is, a user's examples, their outputs, and Σ_u (d, d) by inverting."""
    objective, data = small(head)
    model, own = objective.model, part(data, np.arange(count))
    rng = np.random.default_rng(3)
    prior = Prior(rng.normal(size=(model.size, 2)), 0.4) if common else None
    shared = Shared(model, 0.3 * parameters(objective), parameters(objective, 2), PRECISION)
    delta = np.zeros(model.size)
    if count:
        found = deviation_l2.solve(shared, own, prior)
        assert found is not None
        delta = found.delta
    M = np.eye(model.size) if prior is None else prior.directions @ prior.directions.T + 0.4**2 * np.eye(model.size)
    information = PRECISION * np.linalg.inv(M)
    f = model.outputs(shared.theta + delta, own.X)
    if count:
        information += float(own.w.sum()) * model.hessian(shared.theta + delta, own.X, own.y, own.w)
    return Unsure(model, prior, np.array([PRECISION])), own, f, np.linalg.inv(information)


def jacobian(k: int, X: Array) -> Array:
    return np.einsum("ce,nd->nced", np.eye(k), X).reshape(len(X), k, -1)


@counts
@priors
@heads
def test_it_is_the_inverse_hessian_of_the_users_own_objective(head: str, common: bool, count: int) -> None:
    how, own, f, truth = known(head, common, count)
    X = small(head, rows=7, seed=5)[1].X
    root = how.told(own.X, f, own.w) if count else None
    if count:
        assert root is not None
        assert root.shape[1] <= min(how.model.size, count * how.model.outputs_count)
    whose = np.array([0, 1, 1, 1, 1, 1, 1])
    moved = Unknown(how.of(np.zeros(7, dtype=np.intp)), whose, [None, root]).moved(X)
    assert_allclose(moved[1:], jacobian(how.model.outputs_count, X[1:]) @ truth, atol=1e-9)
    assert not moved[0].any(), "nobody's"


def test_what_is_not_finite_tells_nothing() -> None:
    how, own, f, _ = known("squared", False, 3)
    assert how.told(own.X * np.nan, f, own.w) is None


@priors
@heads
def test_strategies_by_variance_take_what_is_not_known_of_the_user_for_what_is_not_known_of_theta(
    head: str, common: bool
) -> None:
    """Of rows that bring Σ_u, with A, they say what they say of A + Σ_u where rows bring nothing."""
    how, _, _, truth = known(head, common, 3)
    objective, data = small(head, rows=9, seed=7)
    model, theta, k, d = objective.model, parameters(objective, 4) * 0.3, how.model.outputs_count, how.model.size
    root = np.random.default_rng(1).normal(size=(d, d))
    A, nothing = 0.05 * root @ root.T, np.zeros((9, k))
    rows = personal.rows(data.X, nothing, nothing, jacobian(k, data.X) @ truth)
    for recent in (None, small(head, rows=4, seed=8)[1].X, small(head, rows=60, seed=8)[1].X):
        mine = View(Personal(model), theta, theta, A, A, recent=recent)
        its = View(model, theta, theta, A + truth, A + truth, recent=recent)
        for strategy in (Leverage(), VOptimality()):
            if recent is None and strategy.looks_at_recent:
                continue
            expected = strategy.score(its, data.X, np.zeros(9))
            assert_allclose(strategy.score(mine, rows, np.zeros(9)), expected, rtol=1e-9)
            bare = strategy.score(mine, data.X, np.zeros(9))
            assert (bare < expected).all(), "nobody's"
    assert_allclose(unsure.covariance(its, A, data.X), model.covariance(theta, A, data.X))
