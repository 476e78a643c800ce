"""How a model is built again by who has nothing but what was stored: a network's kind, and what its module depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from streamlearn.config import Configuration


@final
@dataclass(frozen=True)
class Recipe:
    """Keys of the configuration by their names; seed: of a module's random numbers, which constants in it may be."""

    kind: str = "linear"
    hidden: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    vocabulary: int = 0
    tokens: bool = False
    length: int = 0
    dtype: str = ""
    threads: int = 1
    seed: int = 0
    curvature: str = "gauss-newton"
    damping: float = 0.0
    parameters: tuple[str, ...] = ()


UNTOLD = Recipe()


def of(configuration: Configuration) -> Recipe:
    """What a network is built by, whoever reads its parameters."""
    model, training, features = configuration.model, configuration.training, configuration.features
    if model.kind == "linear":
        return Recipe()
    return Recipe(
        kind=model.kind,
        hidden=model.hidden,
        shape=model.shape,
        vocabulary=model.vocabulary,
        tokens=features.kind == "tokens",
        length=features.length,
        dtype=model.dtype,
        threads=model.threads,
        seed=configuration.queries.seed,
        curvature=training.curvature,
        damping=training.damping,
        parameters=configuration.regularity.parameters,
    )
