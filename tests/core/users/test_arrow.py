"""Arrow-shaped systems against dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core.losses import Array
from streamlearn.core.users import arrow
from streamlearn.core.users.arrow import Arrow, Point

P, Q = 4, 3


def some(users: int, seed: int = 0) -> tuple[Arrow, Point]:
    """A positive definite arrow and a right-hand side."""
    rng = np.random.default_rng(seed)
    A, B, D = np.eye(P), np.empty((users, Q, P)), np.empty((users, Q, Q))
    for u in range(users):
        half = rng.normal(size=(P + Q, P + Q))
        whole = half @ half.T
        A, B[u], D[u] = A + whole[:P, :P], whole[P:, :P], whole[P:, P:] + 0.1 * np.eye(Q)
    return Arrow(A, B, D), Point(rng.normal(size=P), rng.normal(size=(users, Q)))


def as_dense(matrix: Arrow) -> Array:
    users, q, p = matrix.border.shape
    H = np.zeros((p + users * q, p + users * q))
    H[:p, :p] = matrix.shared
    for u in range(users):
        own = slice(p + u * q, p + (u + 1) * q)
        H[own, own], H[own, :p], H[:p, own] = matrix.users[u], matrix.border[u], matrix.border[u].T
    return H


def flat(point: Point) -> Array:
    return np.concatenate([point.shared, point.users.ravel()])


@pytest.mark.parametrize("users", [0, 1, 7])
def test_a_solution_is_that_of_the_dense_system(users: int) -> None:
    matrix, right = some(users)
    factor = arrow.factor(matrix)
    assert factor is not None
    assert_allclose(flat(arrow.solve(factor, right)), np.linalg.solve(as_dense(matrix), flat(right)), rtol=1e-9)
    assert_allclose(flat(arrow.product(matrix, right)), as_dense(matrix) @ flat(right), rtol=1e-12)


@pytest.mark.parametrize("where", ["user", "schur", "nan"])
def test_a_matrix_that_is_not_positive_definite_is_refused(where: str) -> None:
    matrix, _ = some(5)
    match where:
        case "user":
            matrix.users[3, 0, 0] = -1.0
        case "schur":  # every block is positive definite, the whole is not
            matrix.shared[...] *= 0.1
            assert np.linalg.eigvalsh(matrix.shared)[0] > 0.0
            assert np.linalg.eigvalsh(as_dense(matrix))[0] < 0.0
        case _:
            matrix.border[2, 1, 1] = np.nan
    assert arrow.factor(matrix) is None


def test_many_users_are_no_dense_matrix() -> None:
    matrix, right = some(20_000)  # 60,004 parameters: 29 GB if it were dense
    factor = arrow.factor(matrix)
    assert factor is not None
    rest = arrow.product(matrix, arrow.solve(factor, right))
    assert_allclose(rest.shared, right.shared, atol=1e-7)
    assert_allclose(rest.users, right.users, atol=1e-7)
