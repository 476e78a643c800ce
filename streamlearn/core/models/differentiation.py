"""A module as functions of tensors: what automatic differentiation has to do for a network, and nothing of what it is for.

Parameters are handed in as a list of tensors in the order of `blocks`, the module being called with them in the place of its
own (`functional_call`). On a CPU, where types agree, tensors share the memory of the arrays they come from.

An operator may lack a rule. Which of the ways there are is taken is found out once, by trying (`probe.py`), and then kept in
`rules`:

    f′            forward derivative        else twice backward: f′ = ∂(Jᵀu · v)/∂u
    by example    vmap of the gradient      else one example at a time
    by row        vmap of f′                else one row at a time       (users with parameters of their own)

A user's module may raise on data that nobody tried it on, forwards or backwards: that is the operator's to mend, in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

from streamlearn.core.losses import Array
from streamlearn.core.models import forward, last_layer
from streamlearn.core.models.last_layer import Head
from streamlearn.core.models.model import Block
from streamlearn.errors import ConfigurationError, StreamlearnError, line

Tensors = list[torch.Tensor]
MEAN_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    # The formulas of `core/losses`, as torch differentiates them twice; each (n,) of f (n, k) and y (n,).
    "squared": lambda f, y: 0.5 * (f[:, 0] - y) ** 2,
    "logistic": lambda f, y: torch.nn.functional.softplus(f[:, 0]) - y * f[:, 0],
    "softmax": lambda f, y: torch.nn.functional.cross_entropy(f, y.long(), reduction="none"),
    "poisson": lambda f, y: torch.exp(f[:, 0]) - y * f[:, 0],
}


def leaves(parts: Tensors) -> Tensors:
    """The same numbers, to be differentiated by."""
    return [part.detach().requires_grad_() for part in parts]


@final
@dataclass(frozen=True)
class Rules:
    """forward: whether the outputs have a forward derivative; vmap: whether gradients can be taken by example at once; rows:
    whether outputs and forward derivatives can be at once of rows with parameters of their own.
    """

    forward: bool = True
    vmap: bool = True
    rows: bool = True


@final
@dataclass(frozen=True, eq=False)
class Body:
    """module: called, never changed; constants: what it holds besides θ; tokens: whether inputs are token ids; tied:
    whether parameters are shared between its parts; name: what to call it where it raises ("": while it is examined); head:
    its last layer, where there is one whose results its outputs are.
    """

    module: torch.nn.Module
    blocks: tuple[Block, ...]
    constants: dict[str, torch.Tensor]
    device: torch.device
    dtype: torch.dtype
    tokens: bool = False
    tied: bool = False
    rules: Rules = Rules()
    name: str = ""
    head: Head | None = None

    def inputs(self, X: Array) -> torch.Tensor:
        """What the module takes of design rows (n, D): all but the column of ones, (n, D − 1)."""
        rows = torch.from_numpy(np.ascontiguousarray(X))[:, 1:]
        return rows.to(self.device, torch.int64 if self.tokens else self.dtype).contiguous()

    def tensor(self, values: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def array(self, values: torch.Tensor) -> Array:
        """In float64: outputs are few, and losses are not to lose digits."""
        return np.asarray(values.detach().to("cpu", torch.float64).numpy())

    def split(self, vector: Array) -> Tensors:
        """A vector (d,) block by block."""
        sizes = [prod(shape) for _, shape in self.blocks]
        return [
            part.view(shape) for part, (_, shape) in zip(self.tensor(vector).split(sizes), self.blocks, strict=True)
        ]

    def leaves(self, vector: Array) -> Tensors:
        """The same, to be differentiated by."""
        return leaves(self.split(vector))

    def joined(self, parts: Tensors) -> Array:
        """The vector (d,) of what was split, in the precision of the model."""
        return np.asarray(torch.cat([part.detach().reshape(-1) for part in parts]).to("cpu").numpy())

    def outputs(self, parameters: Tensors, inputs: torch.Tensor) -> torch.Tensor:
        named = {name: part for (name, _), part in zip(self.blocks, parameters, strict=True)}
        with self._named():
            out: torch.Tensor = functional_call(self.module, (named, self.constants), (inputs,), tie_weights=self.tied)
        return out

    def entering(self, parameters: Tensors, inputs: torch.Tensor, head: Head) -> torch.Tensor:
        """What goes into the last layer, (n, width)."""
        return last_layer.entering(lambda parts: self.outputs(parts, inputs), parameters, head)

    def mean_loss(self, loss: str, f: torch.Tensor, y: Array, share: Array) -> torch.Tensor:
        return self.tensor(share) @ MEAN_LOSSES[loss](f, self.tensor(y))

    def gradients(
        self,
        of: torch.Tensor | Tensors,
        at: Tensors,
        along: torch.Tensor | Tensors | None = None,
        create_graph: bool = False,
        keep: bool = False,
    ) -> Tensors:
        """∂(of · along)/∂at, with zeros where nothing depends on it; keep: the graph will be used again."""
        outs, cotangents = ([each] if isinstance(each, torch.Tensor) else each for each in (of, along))
        assert outs is not None
        if cotangents is not None:  # what does not depend on θ has no derivative
            pairs = [(out, c) for out, c in zip(outs, cotangents, strict=True) if out.requires_grad]
            outs, cotangents = [out for out, _ in pairs], [c for _, c in pairs]
        if not outs:
            return [torch.zeros_like(part) for part in at]
        with self._named():
            found = torch.autograd.grad(
                outs,
                at,
                cotangents,
                create_graph=create_graph,
                retain_graph=keep or create_graph,
                materialize_grads=True,
            )
        return list(found)

    def response(
        self, at: Tensors, along: Tensors, inputs: torch.Tensor, head: Head | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """f, with a graph where `at` are leaves and there is to be one, and f′ = J v, without.

        head: f is to be followed by what goes into that layer, as f′ by what becomes of it.
        """

        def outputs(parts: Tensors) -> torch.Tensor:
            if head is None:
                return self.outputs(parts, inputs)
            return last_layer.with_entering(lambda each: self.outputs(each, inputs), parts, head)

        if self.rules.forward:
            return forward.response(outputs, at, along)
        with torch.enable_grad():
            at = at if at[0].requires_grad else leaves(at)
            f = outputs(at)
            u = torch.zeros_like(f, requires_grad=True)
            (moved,) = self.gradients(self.gradients(f, at, u, create_graph=True), [u], along)
        return f, moved.detach()

    def by_example(self, parameters: Tensors, inputs: torch.Tensor, of_outputs: torch.Tensor, rows: int) -> Array:
        """Jᵢᵀ cᵢ for c (n, k), shape (n, d), `rows` at a time."""
        if not self.rules.vmap:
            out = []
            for i in range(len(inputs)):
                at = leaves(parameters)
                out.append(self.joined(self.gradients(self.outputs(at, inputs[i : i + 1]), at, of_outputs[i : i + 1])))
            return np.stack(out)

        def one(at: Tensors, row: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            return (self.outputs(at, row[None])[0] * c).sum()

        with self._named():
            found = vmap(grad(one), in_dims=(None, 0, 0), chunk_size=rows)(parameters, inputs, of_outputs)
        flat = torch.cat([part.detach().reshape(len(inputs), -1) for part in found], dim=1)
        return np.asarray(flat.to("cpu").numpy())

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What is raised within, as a ConfigurationError; the probe, which finds out by it, is shown it as it is."""
        try:
            yield
        except StreamlearnError:
            raise
        except Exception as error:  # whatever a user's module does
            if not self.name:
                raise
            raise ConfigurationError(f"{self.name} failed on data ({line(error)}); correct the module") from error
