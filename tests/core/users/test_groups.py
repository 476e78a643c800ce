"""Many users' examples at once against one user after the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamlearn.core.objective import Data
from streamlearn.core.users.groups import grouped
from tests.core.problems import HEADS
from tests.core.users.users import USERS, some


@pytest.mark.parametrize("head", HEADS)
def test_loss_gradients_and_hessians_are_those_of_each_users_model(head: str) -> None:
    model, groups = some(head)
    thetas = 0.3 * np.random.default_rng(5).normal(size=(USERS, model.size))
    loss, gradients = groups.value_gradient(model, thetas)
    hessians, total = groups.hessian(model, thetas), 0.0
    for u in range(USERS - 1):
        own = groups.of(u)
        share = own.w.sum() / groups.weight
        mean, gradient = model.gradient(thetas[u], own.X, own.y, own.w)
        total += share * mean
        assert_allclose(gradients[u], share * gradient, rtol=1e-12, atol=1e-15)
        assert_allclose(hessians[u], share * model.hessian(thetas[u], own.X, own.y, own.w), rtol=1e-12)
    assert_allclose(loss, total, rtol=1e-12)
    assert (gradients[-1] == 0.0).all()  # has no labels
    assert (hessians[-1] == 0.0).all()


def test_examples_are_sorted_by_user_in_their_order_and_those_without_weight_are_left_out() -> None:
    user = np.array([3, 1, 3, 0, 1])
    data = Data(np.arange(5.0)[:, None], np.arange(5.0), np.array([1.0, 1.0, 2.0, 0.0, 1.0]))
    groups = grouped(data, user, 5)
    assert groups.data.y.tolist() == [1.0, 4.0, 0.0, 2.0]
    assert groups.of(3).y.tolist() == [0.0, 2.0]
    assert len(groups.of(0).y) == len(groups.of(4).y) == 0
    assert groups.sums(groups.data.w).tolist() == [0.0, 2.0, 0.0, 3.0, 0.0]
    assert groups.weight == 5.0
