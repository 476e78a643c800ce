"""A probe: whether a module can be a model, and which rules of differentiation it has. Found out once, by trying it.

A model is a function of θ and one example. What is not is refused by name, with what to do: a module without trained
parameters, one that raises or returns another shape, one that is random (dropout), one whose output for an example depends
on the others in its batch (batch normalisation) or on what it was called with before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import nn

from streamlearn.core.losses import Loss
from streamlearn.core.models import last_layer
from streamlearn.core.models.differentiation import Body, Rules, Tensors, leaves
from streamlearn.core.models.network_part import NetworkPart

ROWS = 4
SAME = 1e-3  # of outputs, relative to the largest: more is no rounding, not even in float32
RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
OF_BATCHES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@final
class Refused(ValueError):
    """Why the module cannot be a model, and what to do."""


def layers(module: nn.Module) -> None:
    """Refuse layers that are known not to work, by name. In evaluation mode they are constants, and work."""
    for name, part in module.named_modules():
        if isinstance(part, RANDOM) and part.training and (isinstance(part, nn.RReLU) or part.p > 0.0):
            raise Refused(
                f"has {type(part).__name__} at '{name}', which is random; remove it (the regularity does its work), "
                "or call its eval()"
            )
        if isinstance(part, OF_BATCHES) and (part.training or part.running_mean is None):
            raise Refused(
                f"has {type(part).__name__} at '{name}', by which an event's output depends on the others of its batch; "
                "use LayerNorm or GroupNorm, or call its eval() to hold its statistics"
            )
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            raise Refused(f"has a lazy layer, of which '{name}' has no shape; make it with its number of inputs")


def examined(body: Body, first: Tensors, inputs: torch.Tensor, outputs: int, curvature: str) -> Body:
    """The body with the rules it has; inputs (ROWS, D − 1) to try it on."""
    before = {name: value.clone() for name, value in body.constants.items()}
    with torch.no_grad():
        f = body.outputs(first, inputs)
        _shape(f, outputs)
        _a_function(body, first, inputs, f)
    if any(not torch.equal(before[name], value) for name, value in body.constants.items()):
        raise Refused("changes a buffer when it is called; register none, or leave them as they are")
    at = leaves(first)
    if not body.outputs(at, inputs).requires_grad:
        raise Refused("gives outputs that do not depend on its parameters")
    forward = _works(lambda: replace(body, rules=Rules(forward=True)).response(first, first, inputs))
    body = replace(body, rules=Rules(forward=forward is None))
    if forward is not None or curvature == "hessian":
        second = _works(lambda: _twice(body, first, inputs)) or _works(lambda: body.response(first, first, inputs))
        if second is not None and forward is not None:
            raise Refused(
                f"has an operator without a forward and without a second derivative ({second}); use another (of attention: "
                "need_weights=True, or the MATH backend of torch.nn.attention.sdpa_kernel)"
            )
        if second is not None:
            raise Refused(
                f'has an operator without a second derivative ({second}); set training.curvature = "gauss-newton"'
            )
    _consistent(body, first, inputs, curvature)
    by_example = _works(lambda: body.by_example(first, inputs, torch.ones_like(f), ROWS))
    away = _away(first, torch.Generator().manual_seed(0))
    head = last_layer.find(lambda parts: body.outputs(parts, inputs), away)
    return replace(body, rules=replace(body.rules, vmap=by_example is None), head=head)


def of_users(body: Body, first: Tensors, inputs: torch.Tensor, loss: Loss, own: tuple[bool, ...]) -> Body:
    """The same for users who deviate in these blocks: what is needed beside, and one more rule."""
    lacks = _works(lambda: _twice(body, first, inputs))
    if lacks is not None:
        raise Refused(
            f"has an operator without a second derivative ({lacks}), which users.parameters needs; remove that, and users "
            "deviate in the last layer"
        )
    if not _symmetric(body, leaves(_away(first, torch.Generator().manual_seed(0))), inputs):
        raise Refused(
            "has second derivatives that contradict each other, which users.parameters needs; remove that, and users deviate "
            "in the last layer"
        )
    theta, X = body.joined(first), np.column_stack([np.ones(len(inputs)), inputs.to("cpu", torch.float64).numpy()])
    part, whose = NetworkPart(body, loss, own), np.arange(len(X), dtype=np.intp)
    nothing = np.zeros((len(X), 2, len(part.at)))
    together = _works(lambda: part.added(theta, theta, X, nothing, whose)) if body.rules.forward else "no duals"
    return replace(body, rules=replace(body.rules, rows=together is None))


def lacking(body: Body) -> tuple[str, ...]:
    """What is done without a rule, or without a last layer, in words."""
    said, rules = [], body.rules
    if body.head is None:
        said.append(
            "the outputs are not those of a last linear layer: where there are too many parameters for H⁻¹, strategies that "
            "need it give way to sld, and queries not answered yet are not counted"
        )
    if not rules.forward:
        said.append("an operator has no forward derivative: scores take two backward passes in its place")
    if not rules.vmap:
        said.append("an operator has no batching rule: gradients by example are taken one at a time")
    if not rules.rows:
        said.append("an operator has no batching rule for rows of users: their events are met one at a time")
    return tuple(said)


def _shape(f: object, outputs: int) -> None:
    if not isinstance(f, torch.Tensor):
        raise Refused(f"returns a {type(f).__name__}; it must return a tensor")
    if tuple(f.shape) != (ROWS, outputs):
        raise Refused(
            f"returns the shape {tuple(f.shape)} for {ROWS} rows and {outputs} outputs; it must return ({ROWS}, {outputs})"
        )
    if not f.is_floating_point():
        raise Refused(f"returns {f.dtype}; it must return floating-point numbers")
    if not bool(torch.isfinite(f).all()):
        raise Refused("returns numbers that are not finite at its initial parameters; initialise them smaller")


def _a_function(body: Body, first: Tensors, inputs: torch.Tensor, f: torch.Tensor) -> None:
    """Refuse what is random, or no function of one example."""
    most = SAME * (1.0 + float(f.abs().max()))
    if float((body.outputs(first, inputs) - f).abs().max()) > most:
        raise Refused("gives other outputs when it is called again; remove what is random, or call its eval()")
    alone = torch.cat([body.outputs(first, inputs[i : i + 1]) for i in range(ROWS)])
    if alone.shape != f.shape or float((alone - f).abs().max()) > most:
        raise Refused(
            "gives an event another output when others are in its batch; use LayerNorm or GroupNorm for batch "
            "normalisation, or call its eval() to hold its statistics"
        )


def _consistent(body: Body, first: Tensors, inputs: torch.Tensor, curvature: str) -> None:
    """Refuse a module whose derivatives contradict each other: u·(Jv) = (Jᵀu)·v and u·(Hv) = v·(Hu), away from its own
    parameters, at which one that computes its outputs once more on the way back (checkpointing) is right by chance.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(like: torch.Tensor) -> torch.Tensor:
        return _noise(like, generator)

    at = leaves(_away(first, generator))
    v = [noise(part) for part in first]
    f, moved = body.response(at, v, inputs)
    of_outputs = noise(f)
    if not _agree([moved], [of_outputs], body.gradients(f, at, of_outputs), v):
        raise Refused(
            "has derivatives that contradict each other (forwards and backwards); remove what leaves some out (no_grad, "
            "detach) or computes outputs a second time (checkpoint)"
        )
    if curvature == "hessian" and not _symmetric(body, at, inputs):
        raise Refused(
            'has second derivatives that contradict each other; set training.curvature = "gauss-newton", or remove what '
            "has wrong ones (weight_norm)"
        )


def _symmetric(body: Body, at: Tensors, inputs: torch.Tensor) -> bool:
    """Whether u·(Hv) = v·(Hu)."""
    generator = torch.Generator().manual_seed(1)
    u, v = ([_noise(part.detach(), generator) for part in at] for _ in range(2))
    slope = body.gradients((body.outputs(at, inputs) ** 2).mean(), at, create_graph=True)
    return _agree(body.gradients(slope, at, u, keep=True), v, body.gradients(slope, at, v, keep=True), u)


def _noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _away(first: Tensors, generator: torch.Generator) -> Tensors:
    """Parameters somewhat away from these."""
    return [part + 0.1 * (part.abs() + 0.1) * _noise(part, generator) for part in first]


def _agree(a: Tensors, b: Tensors, c: Tensors, d: Tensors) -> bool:
    """Whether a·b is c·d, as far as rounding allows."""
    one, other = (torch.cat([(x * y).reshape(-1) for x, y in zip(*pair, strict=True)]) for pair in ((a, b), (c, d)))
    most = SAME * (float(one.norm()) + float(other.norm()))
    return abs(float(one.sum()) - float(other.sum())) <= most


def _twice(body: Body, first: Tensors, inputs: torch.Tensor) -> None:
    """By `backward`, which goes through every operator: `grad` silently leaves out one that is `once_differentiable`."""
    at = leaves(first)
    gradient = body.gradients((body.outputs(at, inputs) ** 2).mean(), at, create_graph=True)
    pairs = [(part, v) for part, v in zip(gradient, first, strict=True) if part.requires_grad]
    torch.autograd.backward([part for part, _ in pairs], [v for _, v in pairs])


def _works(attempt: Callable[[], object]) -> str | None:
    """None, or in one line why not."""
    try:
        attempt()
    except (RuntimeError, NotImplementedError) as error:
        return " ".join(str(error).split())[:120] or type(error).__name__
    return None
