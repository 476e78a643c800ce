"""A model by itself: from the `x` of an event to what the daemon would say of it, to the same bits.

Rows are computed in blocks of as many as the daemon's, filled up with zeros: a product of matrices of another shape may round
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import msgspec
import numpy as np

from streamlearn.core.losses import Array
from streamlearn.core.models.model import Model
from streamlearn.learner import columns, problem
from streamlearn.queries.sld import SquaredLossDerivative
from streamlearn.queries.strategy import View
from streamlearn.service.blocks import BLOCK
from streamlearn.service.model_snapshot import ModelSnapshot

X = list[float | bool | None] | dict[str, float | bool | str | None]  # of an event


@final
class Predictor:
    """What `streamlearn.load` returns.

    Every method takes the `x` of one event (a dict, or a list, tuple or array of numbers) and answers for it, or a list (or
    matrix) of them and answers in that order. As in the daemon, what is missing counts as the mean, and names and categories
    that the model does not know are ignored. ValueError: the daemon would reject that event, and why.
    """

    def __init__(
        self,
        snapshot: ModelSnapshot,
        model: Model,
        computing: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """model: with what is needed to compute; computing: entered around that."""
        self._snapshot, self._model, self._computing = snapshot, model, computing
        self._view = View(model, snapshot.theta, snapshot.log_tangent, None, None)
        self._problem = problem.State(model.loss.name, snapshot.classes)

    @property
    def name(self) -> str:
        """The daemon's."""
        return self._snapshot.name

    @property
    def version(self) -> int:
        """As `model_version` in queries and predictions: how many labels had been learned."""
        return self._snapshot.version

    @property
    def commit(self) -> int:
        """The number of the daemon's commit."""
        return self._snapshot.commit

    @property
    def time(self) -> float:
        """When that was, in s since 1970."""
        return self._snapshot.time

    @property
    def user(self) -> str:
        """Whose own model it is; "": the one that all share."""
        return self._snapshot.user

    @property
    def kind(self) -> str:
        return self._model.kind

    @property
    def loss(self) -> str:
        return self._model.loss.name

    @property
    def classes(self) -> tuple[problem.Label, ...]:
        """In the order of `predict_proba`; () for values."""
        return self._snapshot.classes

    @property
    def columns(self) -> list[str]:
        """The features, a category as `name=category`."""
        return self._snapshot.columns.names[: self._model.columns - 1]

    @property
    def regularity(self) -> float:
        """λ."""
        return self._snapshot.regularity

    @property
    def trusted(self) -> bool:
        """Whether the tangent, and with it `sld`, could be trusted."""
        return self._snapshot.trusted

    @property
    def theta(self) -> Array:
        """The parameters, of standardised features."""
        return self._snapshot.theta.copy()

    @property
    def tangent(self) -> Array:
        """dθ/dλ."""
        return self._snapshot.log_tangent / self._snapshot.regularity

    def predict(self, x: Any) -> Any:
        """The likeliest class, or the expected value."""
        many, design = self._design(x)
        loss, frame = self._model.loss, self._snapshot.frame
        found = []
        for output in loss.prediction(self._outputs(design)).tolist()[: self._count(x, many)]:
            found.append(problem.prediction(self._problem, output if loss.of_classes else frame.value(output)))
        return found if many else found[0]

    def predict_proba(self, x: Any) -> Array:
        """Probabilities of the classes, in the order of `classes`: (classes,), or (n, classes) for many."""
        if not self._model.loss.of_classes:
            raise ValueError(f"a model with the {self.loss} loss has values, and no classes: use predict")
        many, design = self._design(x)
        found = self._model.loss.probabilities(self._outputs(design))[: self._count(x, many)]
        return found if many else found[0]

    def sld(self, x: Any) -> Any:
        """How much a label could move the model's complexity, a float or (n,): the score of `queries.strategy = "sld"`."""
        many, design = self._design(x)
        scorer, draws = SquaredLossDerivative(), np.zeros(BLOCK)
        with self._computing():
            blocks = [scorer.score(self._view, block, draws) for block in design]
        found = np.concatenate([np.empty(0), *blocks])[: self._count(x, many)]
        return found if many else float(found[0])

    def _outputs(self, design: list[Array]) -> Array:
        none = np.empty((0, self._model.outputs_count))
        with self._computing():
            return np.concatenate([none, *(self._model.outputs(self._snapshot.theta, block) for block in design)])

    def _design(self, x: Any) -> tuple[bool, list[Array]]:
        """Whether x is many, and design rows in whole blocks."""
        many = _many(x)
        events = [_event(each, i, many) for i, each in enumerate(x if many else [x])]
        _, encoded = columns.encode(self._snapshot.columns, events)
        for i, reason in sorted(encoded.reasons.items()):
            raise ValueError(f"x[{i}]: {reason}" if many else reason)
        blocks, rows = [], encoded.rows
        for start in range(0, len(rows), BLOCK):
            block = np.zeros((BLOCK, rows.shape[1]))
            block[: len(rows) - start] = rows[start : start + BLOCK]
            blocks.append(self._snapshot.frame.design(block))
        return many, blocks

    @staticmethod
    def _count(x: Any, many: bool) -> int:
        return len(x) if many else 1


def _many(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return x.ndim > 1
    if isinstance(x, Mapping) or not isinstance(x, Sequence):
        return False
    return not x or (isinstance(x[0], (Mapping, Sequence, np.ndarray)) and not isinstance(x[0], str))


def _event(x: Any, i: int, many: bool) -> X:
    """What decoding an event gives."""
    if isinstance(x, Mapping):
        x = {name: value.item() if isinstance(value, np.generic) else value for name, value in x.items()}
    elif isinstance(x, np.ndarray):
        x = x.tolist()
    elif isinstance(x, Sequence) and not isinstance(x, str):
        x = [value.item() if isinstance(value, np.generic) else value for value in x]
    try:
        event: X = msgspec.convert(x, X)
    except msgspec.ValidationError as error:
        raise ValueError(f"x[{i}]: {error}" if many else f"x: {error}") from error
    return event
