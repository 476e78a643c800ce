"""H⁻¹ for query strategies: of large linear models against the explicit inverse, of a network's last layer against the same
model written as a linear one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.networks import NetworkArchitecture, Told
from streamlearn.core.objective import Data
from streamlearn.learner import inverse, learner
from streamlearn.learner.fit import Fit
from streamlearn.learner.settings import Settings
from streamlearn.learner.state import State
from streamlearn.queries.choose import STRATEGIES
from streamlearn.queries.sight import Sight, takes_inverse
from streamlearn.queries.strategy import View
from tests.learner.streams import ANSWERS, WIDTH, labels, learned, start, told

HEADS = tuple(ANSWERS)
FEATURES = 4


def published(here: State) -> Fit:
    assert here.published is not None
    return here.published


def explicit(model: Linear, theta: Array, data: Data, precision: float, anchor: float = 0.01) -> Array:
    """(Σ wᵢ Jᵢᵀ cᵢ Jᵢ + α on the weights + the intercepts' own prior)⁻¹, by one inversion."""
    C = model.loss.curvature(model.outputs(theta, data.X))
    H = sum(w * np.kron(c, np.outer(x, x)) for w, c, x in zip(data.w, C, data.X, strict=True))
    of_output = np.concatenate([[anchor], np.full(model.columns - 1, precision)])
    return np.linalg.inv(H + np.diag(np.tile(of_output, model.outputs_count)))


def examples(here: State, rows: Array | None = None) -> Data:
    """All labeled examples in the frame of the fit."""
    kept, fit = here.examples, published(here)
    n = len(kept)
    X = fit.frame.design(kept.X[:n])
    return Data(X if rows is None else rows, fit.frame.targets(kept.target[:n]), kept.weight[:n])


def test_what_is_kept_of_many_and_what_was_forgotten_are_left_out_and_the_weight_is_that_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of raw features and a fixed λ the inverse on a part is the part's own, scaled."""
    monkeypatch.setattr(inverse.renewal, "SAMPLE", 10)
    settings = told("cg", learn=False, standardise=False, keep=50)
    here = learned(start(settings), settings, labels("logistic", 60))
    for serial in (57, 58, 20):
        here = learner.revise(here, settings, serial, None)
    fit, formed = published(here), inverse.formed(here, settings)
    data = examples(here)
    there = data.w > 0.0
    X, y, w = data.X[there][-10:], data.y[there][-10:], data.w[there][-10:]
    assert isinstance(fit.model, Linear)
    assert formed is not None
    assert there.sum() == 47
    scale = data.w[there].sum() / w.sum()
    expected = explicit(fit.model, fit.theta, Data(X, y, w), fit.regularity * float(w.sum())) / scale
    np.testing.assert_allclose(formed.covariance, expected, rtol=1e-8)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("solver", ["cg", "sgdf"])
def test_a_linear_model_whose_solver_leaves_none_has_the_explicit_inverse(head: str, solver: str) -> None:
    settings = told(solver)
    here = learned(start(settings), settings, labels(head, 60))
    fit, formed = published(here), inverse.formed(here, settings)
    assert fit.covariance is None
    assert formed is not None
    assert isinstance(fit.model, Linear)
    data = examples(here)
    expected = explicit(fit.model, fit.theta, data, fit.regularity * float(data.w.sum()))
    np.testing.assert_allclose(formed.covariance, expected, rtol=1e-8, atol=1e-12)
    assert inverse.at_hand(fit)


def test_one_that_is_too_large_or_solved_by_newtons_method_has_none_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, cg = told("newton"), told("cg")
    assert inverse.formed(learned(start(exact), exact, labels("logistic", 20)), exact) is None
    here = learned(start(cg), cg, labels("logistic", 20))
    monkeypatch.setattr(inverse, "FORMED_MOST", WIDTH)  # and there is the intercept
    assert inverse.formed(here, cg) is None
    assert not inverse.at_hand(published(here))


def test_what_was_formed_is_kept_until_the_fit_or_an_example_changes() -> None:
    settings = told("cg")
    given = labels("logistic", 160)
    here = learned(start(settings), settings, given[:150])
    formed = inverse.formed(here, settings)
    assert formed is inverse.formed(here, settings, formed)
    more = learner.keep(here, settings, given[150])  # it waits for its cut to fill
    assert formed is inverse.formed(more, settings, formed)
    replaced = learner.revise(here, settings, 3, replace(given[3], x=10.0 * given[3].x), learns=False)
    again = inverse.formed(replaced, settings, formed)
    assert formed is not None
    assert again is not None
    assert np.abs(formed.covariance - again.covariance).max() > 0.0
    refitted = learned(here, settings, given[150:])
    assert formed is not inverse.formed(refitted, settings, formed)


class Fixed(nn.Module):
    """A linear layer after a feature map that does not move."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("map", torch.randn((inputs, FEATURES)))
        self.last = nn.Linear(FEATURES, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(self.features(x))
        return out

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.map)


def taught(head: str) -> tuple[State, Settings]:
    architecture = NetworkArchitecture("fixed", Fixed, Told(dtype="float64"))
    settings = replace(told("auto"), architecture=architecture)
    return learned(start(settings), settings, labels(head, 60)), settings


def as_linear(here: State) -> tuple[View, Fixed]:
    """The same model written as a linear one on features of its own computing, with the explicit inverse."""
    fit = published(here)
    module: Fixed = fit.model.body.module  # type: ignore[attr-defined]  # a network's
    k = fit.model.outputs_count
    weight, bias = fit.theta[: k * FEATURES].reshape(k, FEATURES), fit.theta[k * FEATURES :]
    model = Linear(fit.model.loss, k, 1 + FEATURES)
    theta = np.column_stack([bias, weight]).ravel()
    data = examples(here, entering(module, examples(here).X))
    A = explicit(model, theta, data, fit.regularity * float(data.w.sum()))
    references = Data(data.X, data.y, data.w)
    return View(model, theta, np.zeros(model.size), A, A, references), module


def entering(module: Fixed, X: Array) -> Array:
    return np.column_stack([np.ones(len(X)), module.features(torch.from_numpy(X[:, 1:])).numpy()])


def seen(here: State, settings: Settings) -> Sight:
    view = learner.view(here, with_references=True)
    assert view is not None
    return inverse.sight(view, here, settings)


@pytest.mark.parametrize("head", HEADS)
def test_of_a_linear_layer_after_a_fixed_feature_map_scores_are_the_linear_models(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    here, settings = taught(head)
    assert inverse.formed(here, settings) is None
    assert inverse.at_hand(published(here))
    frame = published(here).frame
    rng = np.random.default_rng(4)
    X, recent, asked = (
        frame.design(rng.normal(size=(n, WIDTH)) * [1.0, 3.0, 0.2] + [0.0, 5.0, -1.0]) for n in (9, 20, 3)
    )
    linear, module = as_linear(here)
    expected = Sight(linear).looking(entering(module, recent))
    sight = seen(here, settings).looking(recent)
    draws = np.zeros(len(X))
    judged = 0
    for strategy in filter(takes_inverse, STRATEGIES.values()):
        if strategy.needs_classes and head == "squared":
            continue
        for now, then in (
            (sight, expected),
            (sight.count(asked[0]), expected.count(entering(module, asked)[0])),
            (sight.count_all(asked), expected.count_all(entering(module, asked))),
        ):
            (found,), (wanted,) = now.scores([strategy], X, draws), then.scores([strategy], entering(module, X), draws)
            np.testing.assert_allclose(found, wanted, rtol=1e-7, err_msg=strategy.name)
            judged += 1
    assert judged > 30


@pytest.mark.parametrize("head", HEADS)
def test_its_inverse_is_that_of_the_whole_where_the_last_layer_is_the_whole(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, settings = taught(head)
    whole = inverse.formed(here, settings)
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    sight, last = seen(here, settings), published(here).model.last_layer
    assert whole is not None
    assert sight.last is not None
    assert last is not None
    np.testing.assert_allclose(sight.last.covariance, whole.covariance[np.ix_(last.at, last.at)], rtol=1e-6, atol=1e-9)


def test_strategies_by_the_tangent_see_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    here, settings = taught("softmax")
    sight = seen(here, settings)
    assert sight.last is not None
    for name, strategy in STRATEGIES.items():
        whole = sight.of(strategy) is sight.whole
        assert whole == (
            name in ("sld", "sld-unlabeled", "sld-residual", "flip", "gradient-length", "random", "periodic")
        )


def test_a_last_layer_that_is_too_wide_leaves_classes_the_similarity_of_pending_queries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inverse, "NETWORK_MOST", 0)
    monkeypatch.setattr(inverse, "FORMED_MOST", 3)
    here, settings = taught("softmax")
    assert not inverse.at_hand(published(here))
    sight = seen(here, settings)
    assert sight.last is not None
    assert sight.last.covariance is None
    X = published(here).frame.design(np.random.default_rng(4).normal(size=(9, WIDTH)))
    strategy = STRATEGIES["uncertainty"]
    before, after = (each.scores([strategy], X, np.zeros(9))[0] for each in (sight, sight.count(X[2])))
    assert after[2] < 0.95 * before[2]
    assert (after <= before).all()
