"""The committee: members one by one, their divergence enumerated over y, and what it stands for: members that were trained."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson, spearmanr

from streamlearn.core import newton
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.objective import Data, Objective
from streamlearn.queries import committee
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.strategy import View
from tests.core.problems import solved
from tests.queries import views
from tests.queries.views import HEADS

X, PENDING = views.design(7, 2), views.design(5, 3)
COUNTED = pytest.mark.parametrize("pending", [None, PENDING], ids=["none pending", "some pending"])


def score(view: View, rows: Array = X) -> Array:
    return STRATEGIES["committee"].score(view, rows, np.zeros(len(rows)))


def counts(rows: int) -> Array:
    """How often each reference occurs in each member's resample."""
    generator = np.random.Generator(np.random.Philox(key=committee.SEED))
    return generator.poisson(1.0, size=(rows, committee.MEMBERS)).astype(float)


def distribution(head: str, f: Array) -> Array:
    """p(y|f) of every class or count."""
    if head == "poisson":
        return np.asarray(poisson.pmf(np.arange(views.COUNTS_MOST), np.exp(f[0])))
    scores = np.exp(np.array([0.0, f[0]]) if head == "logistic" else f)
    return np.asarray(scores / scores.sum())


def disagreement(head: str, outputs: list[Array]) -> float:
    """Mean divergence from the consensus of members with outputs f (k,)."""
    if head == "squared":
        return float(np.var([f[0] for f in outputs]))
    members = [distribution(head, f) for f in outputs]
    consensus = np.mean(members, axis=0)
    if head == "poisson":  # of the same family
        consensus = distribution(head, np.log([np.mean([np.exp(f[0]) for f in outputs])]))
    seen = [p > 1e-250 for p in members]
    return float(np.mean([p[s] @ np.log(p[s] / consensus[s]) for p, s in zip(members, seen, strict=True)]))


@pytest.mark.parametrize("head", HEADS)
@COUNTED
def test_the_score_is_the_divergence_of_members_made_one_by_one(head: str, pending: Array | None) -> None:
    view, data = views.view(head, pending), views.references(head)
    members = []
    for c in counts(len(data.y)).T:
        theta = view.theta.copy()
        for i, g in enumerate(view.model.example_gradients(view.theta, data.X, data.y)):
            theta -= (c[i] - 1.0) * data.w[i] * view.covariance @ g
        members.append(theta)
    expected = [disagreement(head, [view.model.outputs(theta, x[None])[0] for theta in members]) for x in X]
    np.testing.assert_allclose(score(view), expected, rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("head", HEADS)
def test_members_rank_events_as_those_that_were_trained_on_the_same_resamples(head: str) -> None:
    model = Linear(views.LOSSES[head], views.OUTPUTS[head], views.COLUMNS)
    objective, data, rows = Objective(model, 0.01), views.references(head, 100), views.design(200, 4)
    state, W = solved(objective, data, 0.05), float(data.w.sum())
    view = View(model, state.theta, state.log_tangent, state.covariance, state.covariance, data)
    members = []
    for c in counts(len(data.y)).T:
        resample = Data(data.X, data.y, c * data.w)
        trained, info = newton.step(state, objective, resample, 0.05 * W / float(resample.w.sum()))
        assert info.ok
        members.append(model.outputs(trained.theta, rows))
    trained_score = [disagreement(head, [f[i] for f in members]) for i in range(len(rows))]
    assert spearmanr(score(view, rows), trained_score).statistic > 0.9
