"""Forward derivatives: f and f′ = J v of the same pass, on dual numbers.

Where only the weights of a linear layer move and not what goes into it, as in every first layer, torch multiplies them by the
zeros for which the missing derivative stands. That is a third of the work where the first layer is most of it: here its rule is

    f = W x + b,    f′ = W′x + b′
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch.autograd import forward_ad
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

Tensors = list[torch.Tensor]


def response(
    outputs: Callable[[Tensors], torch.Tensor], at: Tensors, along: Tensors
) -> tuple[torch.Tensor, torch.Tensor]:
    """f = outputs(at), with a graph where one is asked for, and its derivative along v, without."""
    with forward_ad.dual_level(), _Linear():
        duals = [forward_ad.make_dual(part, v) for part, v in zip(at, along, strict=True)]
        f, moved = forward_ad.unpack_dual(outputs(duals))
    return f, torch.zeros_like(f) if moved is None else moved.detach()


@final
class _Linear(TorchFunctionMode):
    """Linear layers by the rule above; all else as it is."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[Any, ...] = (),  # Any: whatever torch's functions take
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        return (_linear if func is linear else func)(*args, **(kwargs or {}))


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """As `torch.nn.functional.linear`, whose arguments' names these are."""
    W, b = forward_ad.unpack_dual(weight), None if bias is None else forward_ad.unpack_dual(bias)
    held = W.tangent is None or (b is not None and b.tangent is None)
    # A module may differentiate by what goes in: that derivative has one of its own, which torch knows.
    if held or input.requires_grad or forward_ad.unpack_dual(input).tangent is not None:
        return linear(input, weight, bias)
    with torch.no_grad():
        moved = linear(input, W.tangent, b and b.tangent)
    f: torch.Tensor = forward_ad.make_dual(linear(input, W.primal, b and b.primal), moved)
    return f
