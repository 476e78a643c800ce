"""An architecture: the models of one kind, of any number of outputs and columns. Both may grow while the stream runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from streamlearn.core.losses import Loss
from streamlearn.core.models.linear import Linear
from streamlearn.core.models.model import Model


class Architecture(ABC):
    """Makes models."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """As the configuration names it."""

    @abstractmethod
    def model(self, loss: Loss, outputs: int, columns: int) -> Model:
        """The model with this head, of k outputs on D design columns."""


@final
class LinearArchitecture(Architecture):
    @property
    def kind(self) -> str:
        return "linear"

    def model(self, loss: Loss, outputs: int, columns: int) -> Linear:
        return Linear(loss, outputs, columns)
