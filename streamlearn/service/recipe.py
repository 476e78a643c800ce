"""How a model is built again by who has nothing but what was stored: a network's kind, and what its module depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


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
