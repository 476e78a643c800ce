"""Every step is a function: the state that it is given is, to the last bit, what it was before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from streamlearn import assemble
from streamlearn.config import Configuration, Model
from streamlearn.learner import columns, examples, learner
from streamlearn.learner.settings import Settings
from streamlearn.queries import pending, selector
from streamlearn.queries.budget import Budget
from tests.learner import streams
from tests.queries import views


def frozen(value: object) -> object:
    """A copy of all that can be seen of a value, to compare bit for bit."""
    if isinstance(value, examples.State):  # arrays are shared with successors, which write behind its end
        n = len(value)
        parts = [value.X[:n], value.target[:n], value.weight[:n], value.fold[:n]]
        whose = [(user, list(examples.of_user(value, user))) for user in value.user[:n]]
        return [value.first, value.end, list(value.y[:n]), whose, *map(frozen, parts)]
    if isinstance(value, torch.nn.Module):
        return [frozen(part.numpy()) for part in value.state_dict().values()]
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return type(value), [frozen(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return repr(value)


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("solver", ["newton", "cg", "sgdf", "adam"])
@pytest.mark.parametrize("validation", ["progressive", "holdout", "rotating", "leave-one-out"])
def test_of_the_learner(head: str, solver: str, validation: str) -> None:
    told = streams.told("sgdf" if solver == "adam" else solver, validation)
    told = replace(told, optimizer="adam" if solver == "adam" else "sgd")
    leaves_its_input_unchanged(head, told)


@pytest.mark.parametrize("head", ["squared", "logistic", "softmax"])
def test_of_the_learner_of_a_network(head: str) -> None:
    network = Configuration(model=Model("mlp", hidden=(4,)))
    leaves_its_input_unchanged(head, replace(streams.told("auto"), architecture=assemble.architecture(network)))


def leaves_its_input_unchanged(head: str, told: Settings) -> None:
    here = streams.learned(streams.start(told), told, streams.labels(head, 70, folds=4))
    new, other = streams.labels(head, 2, seed=9)
    wide = replace(here.columns, columns=(*here.columns.columns, ("more", None)))
    acts: dict[str, Callable[[], object]] = {
        "step": lambda: learner.step(here, told, new),
        "a label of another class": lambda: head == "squared" or learner.step(here, told, replace(new, y="another")),
        "replace": lambda: learner.revise(here, told, 3, other),
        "forget": lambda: learner.revise(here, told, 3, None),
        "settle": lambda: learner.settle(here, told),
        "observe": lambda: learner.observe(here, here.columns, np.ones((200, streams.WIDTH))),
        "observe a new column": lambda: learner.observe(here, wide, np.ones((3, streams.WIDTH + 1))),
        "many steps": lambda: streams.learned(here, told, streams.labels(head, 100, seed=10)),
    }
    before = frozen(here)
    for name, act in acts.items():
        act()
        assert before == frozen(here), name


def test_two_futures_of_one_learner_do_not_meet() -> None:
    told = streams.told()
    here = streams.learned(streams.start(told), told, streams.labels("logistic", 30))
    left, right = streams.labels("logistic", 20, seed=1), streams.labels("logistic", 20, seed=2)
    alone = frozen(streams.learned(here, told, left))
    first = here
    for a, b in zip(left, right, strict=True):
        first, here = learner.step(first, told, a), learner.step(here, told, b)
    assert alone == frozen(first)


def test_of_encoding() -> None:
    state, _ = columns.encode(columns.State(), [{"a": 1.0}])
    before, rows = frozen(state), np.ones((2, 1))
    wider, _ = columns.encode(state, [{"b": "red"}])
    columns.widen(wider, rows)
    assert before == frozen(state)
    np.testing.assert_array_equal(np.ones((2, 1)), rows)


def test_of_the_selector() -> None:
    rng, yes = np.random.default_rng(0), np.ones(40, dtype=bool)
    budget, state = Budget(0.3, 0.2, 10**9), selector.init()
    scores, audit = rng.normal(size=40), rng.random(40) < 0.1
    for _ in range(50):
        before, given = frozen(state), [frozen(part) for part in (scores, audit, yes)]
        after, _ = selector.step(state, budget, scores, audit, yes)
        selector.forget_scores(state)
        assert before == frozen(state)
        assert given == [frozen(part) for part in (scores, audit, yes)]
        state = after


@pytest.mark.parametrize("head", views.HEADS)
def test_of_counting_pending_queries(head: str) -> None:
    view, X = views.view(head), views.design(30, 1)
    before, rows = frozen(view), X.copy()
    pending.count(view, X[0])
    pending.count_all(view, X)
    pending.count_all(view, X[:2])
    assert before == frozen(view)
    np.testing.assert_array_equal(rows, X)
