"""An architecture of networks: a factory of torch modules, and what the configuration says of how they are used.

    factory(inputs, outputs) → module        (n, inputs) → (n, outputs)

It is called anew when there are more columns or classes than before; its random numbers come from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import final

import torch
from torch import nn

from streamlearn.core.losses import Loss
from streamlearn.core.models import probe
from streamlearn.core.models.architecture import Architecture
from streamlearn.core.models.differentiation import Body
from streamlearn.core.models.model import Block
from streamlearn.core.models.network import Network
from streamlearn.errors import ConfigurationError, line

Factory = Callable[[int, int], nn.Module]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@final
@dataclass(frozen=True)
class Told:
    """device: a name that torch knows; parameters: patterns of the names that R and θ̇ cover, () for all; tokens: inputs
    are token ids; of_users: users have parameters of their own, those named like the patterns `own`, () for the last layer.
    """

    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    curvature: str = "gauss-newton"
    damping: float = 0.0
    parameters: tuple[str, ...] = ()
    tokens: bool = False
    of_users: bool = False
    own: tuple[str, ...] = ()


@final
class NetworkArchitecture(Architecture):
    """name: the configured kind. Networks are made once for every number of outputs and columns."""

    def __init__(self, name: str, factory: Factory, told: Told) -> None:
        self._name, self._factory, self._told = name, factory, told
        self._made: dict[tuple[int, int], Network] = {}

    @property
    def kind(self) -> str:
        return self._name

    def model(self, loss: Loss, outputs: int, columns: int) -> Network:
        """Raises ConfigurationError where the factory does not give a module that can be a model."""
        known = self._made.get((outputs, columns))
        if known is None:
            known = self._made[outputs, columns] = self._make(loss, outputs, columns)
        return known.with_loss(loss)

    def _make(self, loss: Loss, outputs: int, columns: int) -> Network:
        try:
            return self._network(self._module(columns - 1, outputs), loss, outputs, columns)
        except probe.Refused as refused:
            raise ConfigurationError(f"model.kind {self._name} {refused}") from refused

    def _module(self, inputs: int, outputs: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._told.seed % 2**63)
            try:
                module = self._factory(inputs, outputs)
            except Exception as error:  # whatever a user's function does
                raise probe.Refused(
                    f"cannot be made for {inputs} inputs and {outputs} outputs ({line(error)})"
                ) from error
        if not isinstance(module, nn.Module):
            raise probe.Refused(f"is a {type(module).__name__}; it must be a torch.nn.Module")
        return module.to(self._told.device, DTYPES[self._told.dtype])

    def _network(self, module: nn.Module, loss: Loss, outputs: int, columns: int) -> Network:
        told = self._told
        probe.layers(module)
        trained = {name: part.detach() for name, part in module.named_parameters() if part.requires_grad}
        if not any(part.numel() for part in trained.values()):
            raise probe.Refused("has no parameters to train; give it some, with requires_grad")
        constants = {name: part.detach() for name, part in module.named_parameters() if name not in trained}
        constants |= dict(module.named_buffers())
        blocks = tuple((name, tuple(part.shape)) for name, part in trained.items())
        tied = len(list(module.named_parameters(remove_duplicate=False))) > len(list(module.named_parameters()))
        body = Body(module, blocks, constants, torch.device(told.device), DTYPES[told.dtype], told.tokens, tied)
        seen, moving = self._covered(blocks)
        own = _named(blocks, told.own, "users.parameters") if told.own else ()
        try:
            inputs = self._trial(columns - 1)
            body = probe.examined(body, list(trained.values()), inputs, outputs, told.curvature)
            if own:
                body = probe.of_users(body, list(trained.values()), inputs, loss, own)
        except probe.Refused:
            raise
        except Exception as error:  # whatever a user's module does
            raise probe.Refused(f"failed on {probe.ROWS} rows of {columns - 1} inputs ({line(error)})") from error
        if told.of_users and not own and body.head is None:
            raise probe.Refused(
                "gives outputs that are not those of a last linear layer, in which users deviate; end it with one, name "
                'others in users.parameters, or set users.kind = "none"'
            )
        first, body = body.joined(list(trained.values())), replace(body, name=f"model.kind {self._name}")
        return Network(self._name, loss, outputs, columns, body, first, seen, moving, told.curvature, told.damping, own)

    def _covered(self, blocks: tuple[Block, ...]) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Which blocks R sees (weights: biases and scales are vectors) and which move with λ."""
        moving = _named(blocks, self._told.parameters or ("*",), "regularity.parameters")
        seen = tuple(moves and len(shape) > 1 for moves, (_, shape) in zip(moving, blocks, strict=True))
        if not any(seen):
            raise probe.Refused("has no weights for the regularizer (only vectors); give it a layer with a matrix")
        return seen, moving

    def _trial(self, inputs: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        if self._told.tokens:
            return torch.randint(-1, 2, (probe.ROWS, inputs), generator=generator).to(self._told.device)
        trial = torch.randn((probe.ROWS, inputs), generator=generator)
        return trial.to(self._told.device, DTYPES[self._told.dtype])


def _named(blocks: tuple[Block, ...], patterns: tuple[str, ...], key: str) -> tuple[bool, ...]:
    """Which blocks have a name like one of the patterns, each of which has to be like some."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name, _ in blocks):
            names = ", ".join(name for name, _ in blocks)[:200]
            raise probe.Refused(f"has no parameters named '{pattern}', as {key} says; it has {names}")
    return tuple(any(fnmatchcase(name, each) for each in patterns) for name, _ in blocks)
