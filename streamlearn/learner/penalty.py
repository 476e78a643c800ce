"""The penalty: which regularizer the configuration asks for, as an objective over the parameters of this moment.

A model may deviate from a shared one (97): the origin θ₀ is a fitted model of another store. A linear one is matched by the
names of columns and classes; what it does not know has θ₀ = 0. Columns come and frames move, so θ₀ is expressed anew with
every fit. A network has to be the same network of the same columns and classes, and starts where it deviates from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from streamlearn.core import losses
from streamlearn.core.losses import Array
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model
from streamlearn.core.objective import Data, Objective
from streamlearn.core.regularizers import INCREASES, L1, L2, Custom, Function, Increasing, Regularizer
from streamlearn.errors import ConfigurationError
from streamlearn.learner import columns, problem
from streamlearn.learner.fit import Fit, Frame


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """A shared model, by its columns and problem. weights (k, columns): of raw features; a network has its fit."""

    columns: tuple[tuple[str, str | None], ...]
    problem: problem.State
    weights: Array
    network: Fit | None = None


@final
@dataclass(frozen=True, eq=False)
class Penalty:
    """kind: l2 | l1 | custom; function: of `custom`; increase: g's name or ""; free: features that R does not see.

    intercept_precision: of the fixed prior on intercepts and free features. elsewhere: R is of something else than a linear
    model's parameters; those that it would see have a fixed prior of this precision; 0: it sees them.
    """

    kind: str = "l2"
    function: Function | None = None
    increase: str = ""
    free: tuple[str, ...] = ()
    origin: Origin | None = None
    intercept_precision: float = 0.01
    elsewhere: float = 0.0


def origin_of(fit: Fit, known: columns.State, what: problem.State) -> Origin:
    """A fitted model as the origin of others."""
    if not isinstance(fit.model, Linear):
        return Origin(known.columns[: fit.model.columns - 1], what, np.empty((0, 0)), fit)
    weights = fit.model.matrix(fit.theta)[:, 1:] * fit.frame.target_scale
    if fit.frame.standardise:
        weights = weights / fit.frame.scaling.scale
    return Origin(known.columns[: weights.shape[1]], what, weights)


def start(penalty: Penalty, known: columns.State, what: problem.State, model: Model, examples: Data) -> Array:
    """θ (d,) before the first step."""
    if penalty.origin is not None and not isinstance(model, Linear):
        return _of_network(penalty.origin, known, what, model)
    return model.start(examples.y, examples.w)


def objective(penalty: Penalty, known: columns.State, what: problem.State, model: Model, frame: Frame) -> Objective:
    """L for this model under this frame. What R sees of a network is the network's to say."""
    if not isinstance(model, Linear):
        shared = None
        if penalty.origin is not None:
            shared = model.inner(_of_network(penalty.origin, known, what, model), ())
        return Objective(model, penalty.intercept_precision, _regularizer(penalty, shared), ())
    width = model.columns - 1
    free: tuple[int, ...] = (0,)
    if penalty.free:
        free = (0, *(j + 1 for j, (name, _) in enumerate(known.columns[:width]) if name in penalty.free))
    if penalty.elsewhere > 0.0:
        anchors = np.full(model.columns, penalty.elsewhere)
        anchors[list(free)] = penalty.intercept_precision
        return Objective(model, anchors, _regularizer(penalty, None), tuple(range(model.columns)))
    origin = None
    if penalty.origin is not None:
        if penalty.origin.network is not None:
            kind = penalty.origin.network.model.kind
            raise ConfigurationError(
                f'regularity.origin holds a network and model.kind is "linear"; set model.kind = "{kind}"'
            )
        rows = _rows(penalty.origin, known.columns[:width], what, model.outputs_count)
        if frame.standardise:
            rows = rows * frame.scaling.scale
        seen = [j - 1 for j in range(1, model.columns) if j not in free]
        origin = (rows[: model.outputs_count, seen] / frame.target_scale).ravel()
    return Objective(model, penalty.intercept_precision, _regularizer(penalty, origin), free)


def _of_network(origin: Origin, known: columns.State, what: problem.State, model: Model) -> Array:
    """θ₀ (d,) of a network; raises ConfigurationError where it is another one."""
    fit = origin.network
    same = fit is not None and fit.model.kind == model.kind and fit.model.blocks == model.blocks
    if not (
        fit is not None
        and same
        and origin.columns == known.columns[: model.columns - 1]
        and origin.problem.classes == what.classes
    ):
        raise ConfigurationError(
            "regularity.origin holds a model of another kind, shape, columns or classes; "
            "give both the same model.kind, model.hidden, model.classes and features"
        )
    return fit.theta.astype(model.start(np.empty(0), np.empty(0)).dtype)


def _regularizer(penalty: Penalty, origin: Array | None) -> Regularizer:
    if penalty.kind == "l1":
        return L1(origin)
    inner: Regularizer = L2(origin)
    if penalty.kind == "custom":
        assert penalty.function is not None, "a custom penalty has its function"
        inner = Custom(penalty.function)
    return Increasing(inner, INCREASES[penalty.increase]) if penalty.increase else inner


def _rows(origin: Origin, wanted: tuple[tuple[str, str | None], ...], what: problem.State, outputs: int) -> Array:
    """The origin's weights as rows of a model's outputs, over today's columns (at least outputs, columns).

    A model may have fewer outputs than there are classes by now: it is of the first ones.
    """
    place = {column: j for j, column in enumerate(origin.columns)}
    known = [(j, place[column]) for j, column in enumerate(wanted) if column in place]
    weights = np.zeros((len(origin.weights), len(wanted)))
    for here, there in known:
        weights[:, here] = origin.weights[:, there]
    classes, of_classes = (each.loss not in losses.OF_VALUES for each in (what, origin.problem))
    if classes != of_classes or not (classes or what.loss == origin.problem.loss):
        return np.zeros((outputs, len(wanted)))
    if not classes:
        return weights
    rows = np.concatenate([np.zeros_like(weights), weights]) if len(weights) == 1 else weights
    by_class = dict(zip(map(problem.identity, origin.problem.classes), rows, strict=False))
    zero = np.zeros(len(wanted))
    mine = np.stack([by_class.get(problem.identity(label), zero) for label in what.classes])
    return mine[1:2] - mine[0:1] if outputs == 1 else mine
