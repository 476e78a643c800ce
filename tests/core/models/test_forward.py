"""Forward derivatives of modules that use linear layers in every way, against finite differences, and what torch is spared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from streamlearn.core.models import forward
from streamlearn.core.models.forward import Tensors


class Named(nn.Module):
    """Calls the function by names, without a bias, and on weights that another layer has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = nn.functional.linear(input=x, weight=self.weight)
        return nn.functional.linear(once, self.weight, bias=None).tanh()


class Scaled(nn.Module):
    """What goes into the layer moves, and its weight does not."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3))
        self.register_buffer("held", torch.randn(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.held, torch.Tensor)
        return nn.functional.linear(x * self.scale, self.held)


class HalfHeld(nn.Module):
    """A bias that moves beside a weight that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(2))
        self.register_buffer("held", torch.randn(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.held, torch.Tensor)
        return nn.functional.linear(x, self.held, self.bias) ** 2


class Slope(nn.Module):
    """The derivative of an energy by what goes in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            z = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.outer(torch.tanh(self.inner(z))).sum(), z, create_graph=True)
        return slope


MODULES: dict[str, Callable[[], nn.Module]] = {
    "layers": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2, bias=False)),
    "normalised": lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)),
    "named and shared": Named,
    "scaled": Scaled,
    "half held": HalfHeld,
    "slope": Slope,
}


def parts(module: nn.Module) -> tuple[Callable[[Tensors], torch.Tensor], Tensors, Tensors]:
    """The outputs of 5 rows as a function of the parameters, these as leaves, and a direction."""
    module = module.double()
    names = [name for name, _ in module.named_parameters()]
    X = torch.randn(5, 3, dtype=torch.float64)

    def outputs(values: Tensors) -> torch.Tensor:
        out: torch.Tensor = functional_call(module, dict(zip(names, values, strict=True)), (X,))
        return out

    at = [part.detach().clone().requires_grad_() for part in module.parameters()]
    return outputs, at, [torch.randn_like(part) for part in at]


@pytest.mark.parametrize("name", MODULES)
def test_f_and_its_derivative_are_those_of_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    outputs, at, along = parts(MODULES[name]())
    f, moved = forward.response(outputs, at, along)
    below, above = (
        outputs([(part + h * v).detach() for part, v in zip(at, along, strict=True)]) for h in (-1e-5, 1e-5)
    )
    torch.testing.assert_close(f, outputs(at))
    torch.testing.assert_close(moved, ((above - below) / 2e-5).detach(), rtol=1e-7, atol=1e-8)
    assert not moved.requires_grad


@pytest.mark.parametrize("name", MODULES)
def test_f_has_the_graph_of_a_plain_call(name: str) -> None:
    torch.manual_seed(1)
    outputs, at, along = parts(MODULES[name]())
    f, _ = forward.response(outputs, at, along)
    weight = torch.randn_like(f)
    expected = torch.autograd.grad(outputs(at), at, weight)
    torch.testing.assert_close(torch.autograd.grad(f, at, weight), expected)


def test_a_first_layer_is_multiplied_twice_and_not_by_zeros() -> None:
    outputs, at, along = parts(nn.Linear(3, 2))

    class Products(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # as torch's own
            self.count += func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Products() as products:
        forward.response(outputs, at, along)
    assert products.count == 2
