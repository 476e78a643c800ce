"""Losses, which are the model's heads: what they are in `loss.py`, of values in `values.py`, of classes in `classes.py`."""

from streamlearn.core.losses.classes import Logistic, Softmax
from streamlearn.core.losses.loss import Array, Loss
from streamlearn.core.losses.values import Poisson, Squared, noise

__all__ = ["OF_VALUES", "Array", "Logistic", "Loss", "Poisson", "Softmax", "Squared", "named", "noise"]

OF_VALUES = (Squared.name, Poisson.name)  # of the losses whose labels are values; those of the others are classes


def named(name: str, variance: float = 1.0) -> Loss:
    """The loss of this name; variance: the noise of the squared one."""
    others: dict[str, Loss] = {"logistic": Logistic(), "softmax": Softmax(), "poisson": Poisson()}
    return Squared(variance) if name == "squared" else others[name]
