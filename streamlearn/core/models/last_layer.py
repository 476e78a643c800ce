"""The last layer of a module: the linear layer whose results the outputs are, and what goes into it.

It is found by watching a forward pass: of all calls of `torch.nn.functional.linear`, by which `nn.Linear` computes too, the
last one with trained weights. Whatever a module does behind it would show: the outputs have to be h Wᵀ + b on rows that it is
tried on, away from the parameters it comes with, at which a bias is often zero and a scale one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

Tensors = list[torch.Tensor]
SAME = 1e-4  # of outputs, relative to the largest: what rounding leaves in float32


@final
@dataclass(frozen=True)
class Head:
    """Which blocks of θ are the layer's weights, and its bias if it has one."""

    weight: int
    bias: int | None


class _Call(NamedTuple):
    input: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None


@final
class _Watch(TorchFunctionMode):
    """Remembers the last call of a linear layer with one of these weights."""

    def __init__(self, weights: Tensors) -> None:
        super().__init__()
        self._weights = {id(part) for part in weights}
        self.last: _Call | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[Any, ...] = (),  # Any: whatever torch's functions take
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        if func is linear:
            call = _call(*args, **(kwargs or {}))
            if id(call.weight) in self._weights:
                self.last = call
        return func(*args, **(kwargs or {}))


def _call(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> _Call:
    """The arguments of `torch.nn.functional.linear`, whose names these are."""
    return _Call(input, weight, bias)


def find(outputs: Callable[[Tensors], torch.Tensor], parameters: Tensors) -> Head | None:
    """The last layer of what computes `outputs` of all blocks of θ; None where the outputs are not such a layer's."""
    with torch.no_grad(), _Watch(parameters) as watch:
        f = outputs(parameters)
    call = watch.last
    if call is None or call.input.dim() != 2 or len(call.input) != len(f):
        return None
    places = {id(part): place for place, part in enumerate(parameters)}
    if call.bias is not None and id(call.bias) not in places:
        return None
    found = linear(call.input, call.weight, call.bias)
    if found.shape != f.shape or float((found - f).abs().max()) > SAME * (1.0 + float(f.abs().max())):
        return None
    return Head(places[id(call.weight)], None if call.bias is None else places[id(call.bias)])


def entering(outputs: Callable[[Tensors], torch.Tensor], parameters: Tensors, head: Head) -> torch.Tensor:
    """h (n, width): what goes into the last layer."""
    with torch.no_grad(), _Watch([parameters[head.weight]]) as watch:
        outputs(parameters)
    assert watch.last is not None, "a layer that was found by the same way"
    h: torch.Tensor = watch.last.input
    return h


def with_entering(outputs: Callable[[Tensors], torch.Tensor], parameters: Tensors, head: Head) -> torch.Tensor:
    """The outputs, and behind them what goes into the last layer: (n, k + width), to be differentiated as one."""
    with _Watch([parameters[head.weight]]) as watch:
        f = outputs(parameters)
    assert watch.last is not None, "a layer that was found by the same way"
    return torch.cat([f, watch.last.input], dim=1)
