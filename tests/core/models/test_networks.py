"""What can be a network and what cannot: each refusal in one line, and which rules of differentiation a module has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from streamlearn.core.models import probe
from streamlearn.core.models.differentiation import Rules
from streamlearn.core.models.network import Network
from streamlearn.core.models.networks import Factory
from streamlearn.errors import ConfigurationError
from tests.core.models.nets import network, rows, sample, somewhere
from tests.core.problems import central


def made(factory: Factory, **told: object) -> Network:
    return network("one-layer", "softmax", factory=factory, **told)


def around(*parts: nn.Module) -> Factory:
    """A perceptron of eight with these parts in its middle, in training mode as torch makes it."""
    return lambda inputs, outputs: nn.Sequential(nn.Linear(inputs, 8), *parts, nn.Tanh(), nn.Linear(8, outputs))


class Through(nn.Module):
    """A linear layer and what is done with it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)


class Raising(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no\nluck")


class Twice(Through):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.linear(x), self.linear(x)


class Whole(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(self.linear(x)).to(torch.int64)


class Infinite(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.log(-torch.exp(self.linear(x)))
        return out


class Noisy(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.linear(x)
        return out + 0.1 * torch.rand_like(out)


class Hidden(Through):
    """Dropout that no layer's name gives away."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(nn.functional.dropout(x, 0.5))
        return out


class Centred(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x)
        return out - out.mean(dim=0)


class Summed(Through):
    """One output for the whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x)
        return out.sum(dim=0, keepdim=True)


class Counting(Through):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1.0
        out: torch.Tensor = self.linear(x)
        return out


class Drifting(Counting):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1.0
        out: torch.Tensor = self.linear(x) * self.calls
        return out


class Deaf(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] + 1.0


class Detached(Through):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x).detach()
        return out


class PartlyHidden(Through):
    """A layer that trains and that the way back does not see."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.first = nn.Linear(inputs, inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.first(x)
        out: torch.Tensor = self.linear(x)
        return out


class Checkpointed(PartlyHidden):
    """Its outputs are computed once more on the way back, when θ is no longer in its place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = checkpoint(lambda z: self.linear(self.first(z).tanh()), x, use_reentrant=False)
        return out


class Vectors(nn.Module):
    """A scale and a shift, and no matrix."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, nn.Parameter(torch.ones(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : self.outputs] * self.scale


def nothing(inputs: int, outputs: int) -> nn.Module:
    raise RuntimeError("too\nfew inputs")


def still(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs).requires_grad_(False)


REFUSED: list[tuple[str, Factory, str]] = [
    ("raises in the factory", nothing, "cannot be made for 4 inputs and 3 outputs (RuntimeError: too few inputs)"),
    ("no module", lambda inputs, outputs: "mlp", "is a str; it must be a torch.nn.Module"),  # type: ignore[arg-type, return-value]
    ("raises when called", Raising, "failed on 4 rows of 4 inputs (ValueError: no luck)"),
    ("made for other inputs", lambda i, k: nn.Linear(9, k), "shapes cannot be multiplied (4x4 and 9x3))"),
    ("never told its inputs", lambda i, k: nn.LazyLinear(k), "has a lazy layer, of which 'weight' has no shape"),
    ("without parameters", lambda i, k: nn.Flatten(), "has no parameters to train; give it some, with requires_grad"),
    ("all frozen", still, "has no parameters to train; give it some, with requires_grad"),
    ("vectors alone", Vectors, "has no weights for the regularizer (only vectors); give it a layer with a matrix"),
    ("too wide", lambda i, k: nn.Linear(i, k + 1), "returns the shape (4, 4) for 4 rows and 3 outputs"),
    ("one for all", Summed, "returns the shape (1, 3) for 4 rows and 3 outputs; it must return (4, 3)"),
    ("a tuple", Twice, "returns a tuple; it must return a tensor"),
    ("whole numbers", Whole, "returns torch.int64; it must return floating-point numbers"),
    ("not finite", Infinite, "returns numbers that are not finite at its initial parameters; initialise them smaller"),
    ("dropout", around(nn.Dropout(0.2)), "has Dropout at '1', which is random; remove it"),
    ("dropout of channels", around(nn.Sequential(nn.Dropout1d(0.2))), "has Dropout1d at '1.0', which is random"),
    ("random slopes", around(nn.RReLU()), "has RReLU at '1', which is random"),
    ("batches' statistics", around(nn.BatchNorm1d(8)), "has BatchNorm1d at '1', by which an event's output depends on"),
    (
        "batches' statistics always",
        lambda i, k: around(nn.BatchNorm1d(8, track_running_stats=False))(i, k).eval(),
        "use LayerNorm or GroupNorm",
    ),
    ("random by hand", Noisy, "gives other outputs when it is called again; remove what is random"),
    ("dropout by hand", Hidden, "gives other outputs when it is called again; remove what is random"),
    ("centred by hand", Centred, "gives an event another output when others are in its batch"),
    ("counts its calls", Counting, "changes a buffer when it is called; register none, or leave them as they are"),
    ("its calls count", Drifting, "gives other outputs when it is called again"),
    ("deaf to its parameters", Deaf, "gives outputs that do not depend on its parameters"),
    ("detached from its parameters", Detached, "gives outputs that do not depend on its parameters"),
    (
        "half hidden from the way back",
        PartlyHidden,
        "has derivatives that contradict each other (forwards and backwards)",
    ),
    ("checkpointed", Checkpointed, "checkpoint"),
]


@pytest.mark.parametrize(("factory", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_is_no_function_of_parameters_and_one_event_is_refused_in_one_line(factory: Factory, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(factory)
    said = str(caught.value)
    assert said.startswith("model.kind one-layer ")
    assert reason in said
    assert "\n" not in said
    assert len(said) < 400


@pytest.mark.parametrize(
    "factory",
    [
        around(nn.Dropout(0.0)),
        lambda i, k: around(nn.Dropout(0.5))(i, k).eval(),
        lambda i, k: around(nn.BatchNorm1d(8))(i, k).eval(),
        around(nn.LayerNorm(8)),
        around(nn.GroupNorm(2, 8)),
    ],
    ids=["dropout of nothing", "dropout in eval", "batch norm in eval", "layer norm", "group norm"],
)
def test_what_only_looks_like_it_is_taken(factory: Factory) -> None:
    model, data = made(factory), sample("one-layer", "softmax")
    theta = model.first
    alone = np.concatenate([model.outputs(theta, data.X[i : i + 1]) for i in range(len(data.y))])
    assert_allclose(model.outputs(theta, data.X), alone, rtol=1e-12, atol=1e-14)
    numeric = central(lambda t: model.gradient(t, data.X, data.y, data.w)[0], theta)
    assert_allclose(model.gradient(theta, data.X, data.y, data.w)[1], numeric, rtol=1e-5, atol=1e-8)
    assert model.body.rules == Rules(True, True)


def test_batch_normalisation_in_evaluation_keeps_its_statistics_and_takes_them_as_constants() -> None:
    def normalised(inputs: int, outputs: int) -> nn.Module:
        norm = nn.BatchNorm1d(inputs)
        norm.running_mean, norm.running_var = torch.full((inputs,), 2.0), torch.full((inputs,), 4.0)
        return nn.Sequential(norm, nn.Linear(inputs, outputs)).eval()

    model, X = made(normalised), rows("one-layer")
    theta = somewhere(model)
    scale, shift, W, b = theta[:4], theta[4:8], theta[8:20].reshape(3, 4), theta[20:]
    expected = ((X[:, 1:] - 2.0) / np.sqrt(4.0 + 1e-5) * scale + shift) @ W.T + b
    assert_allclose(model.outputs(theta, X), expected, rtol=1e-12, atol=1e-13)


def test_frozen_parameters_are_constants() -> None:
    def frozen(inputs: int, outputs: int) -> nn.Module:
        first = nn.Linear(inputs, 5).requires_grad_(False)
        nn.init.constant_(first.weight, 0.5)
        nn.init.constant_(first.bias, 0.1)
        return nn.Sequential(first, nn.Tanh(), nn.Linear(5, outputs))

    model, X = made(frozen), rows("one-layer")
    assert ["2.weight", "2.bias"] == [name for name, _ in model.blocks]
    assert 18 == model.size
    theta = somewhere(model)
    hidden = np.tanh(np.repeat(0.5 * X[:, 1:].sum(axis=1, keepdims=True) + 0.1, 5, axis=1))
    expected = hidden @ theta[:15].reshape(3, 5).T + theta[15:]
    assert_allclose(model.outputs(theta, X), expected, rtol=1e-6)  # 0.1 was in single precision
    numeric = central(lambda t: model.outputs(t, X).sum(), theta)
    assert_allclose(model.responses(theta, np.eye(18), X).sum(axis=(0, 1)), numeric, rtol=1e-7, atol=1e-9)


def test_tied_parameters_are_there_once_and_their_gradient_is_torchs() -> None:
    class Tied(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(inputs, inputs, bias=False), nn.Linear(inputs, inputs)
            self.second.weight = self.first.weight
            self.last = nn.Linear(inputs, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))
            return out

    model, data = made(Tied), sample("one-layer", "softmax")
    assert ["first.weight", "second.bias", "last.weight", "last.bias"] == [name for name, _ in model.blocks]
    theta = somewhere(model)
    module = Tied(4, 3).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(theta), module.parameters())
    f = module(torch.tensor(data.X[:, 1:]))
    losses = nn.functional.cross_entropy(f, torch.tensor(data.y).long(), reduction="none")
    (losses @ torch.tensor(data.w) / data.w.sum()).backward()
    expected = np.concatenate([part.grad.numpy().ravel() for part in module.parameters() if part.grad is not None])
    assert_allclose(model.outputs(theta, data.X), f.detach().numpy(), rtol=1e-12, atol=1e-14)
    assert_allclose(model.gradient(theta, data.X, data.y, data.w)[1], expected, rtol=1e-11, atol=1e-14)


def test_a_pattern_that_no_parameter_has_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        network("mlp", parameters=("2.*", "head.*"))
    assert (
        "model.kind mlp has no parameters named 'head.*', as regularity.parameters says; "
        "it has 0.weight, 0.bias, 2.weight, 2.bias, 4.weight, 4.bias"
    ) == str(caught.value)


def test_patterns_of_biases_alone_leave_the_regularizer_nothing() -> None:
    with pytest.raises(ConfigurationError, match="has no weights for the regularizer"):
        network("mlp", parameters=("*.bias",))


class _Cubed(torch.autograd.Function):
    """x³ as a user writes it: with a backward pass, and nothing else."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return x**3

    @staticmethod
    def backward(ctx: object, g: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 3.0 * x**2 * g


class _CubedBackwardOnce(torch.autograd.Function):
    """x³ with a backward pass that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        ctx.save_for_forward(x)  # type: ignore[attr-defined]
        return x**3

    @staticmethod
    @once_differentiable
    def backward(ctx: object, g: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 3.0 * x**2 * g


class _CubedOnce(_CubedBackwardOnce):
    """The same with a forward derivative."""

    @staticmethod
    def jvp(ctx: object, v: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 3.0 * x**2 * v


class Cubes(nn.Module):
    """Two layers with a cube between them."""

    def __init__(self, inputs: int, outputs: int, cube: type[torch.autograd.Function] | None) -> None:
        super().__init__()
        self.first, self.second, self.cube = nn.Linear(inputs, 3), nn.Linear(3, outputs), cube

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        out: torch.Tensor = self.second(hidden**3 if self.cube is None else self.cube.apply(hidden))
        return out


def cubes(cube: type[torch.autograd.Function] | None) -> Factory:
    return lambda inputs, outputs: Cubes(inputs, outputs, cube)


@pytest.mark.parametrize(
    ("cube", "curvature", "rules", "said"),
    [
        (None, "hessian", Rules(True, True), []),
        (_Cubed, "hessian", Rules(False, False), ["no forward derivative", "no batching rule"]),
        (_Cubed, "gauss-newton", Rules(False, False), ["no forward derivative", "no batching rule"]),
        (_CubedOnce, "gauss-newton", Rules(True, False), ["no batching rule"]),
    ],
)
def test_an_operator_that_lacks_rules_is_taken_by_other_ways_to_the_same_numbers(
    cube: type[torch.autograd.Function] | None, curvature: str, rules: Rules, said: list[str]
) -> None:
    model, data = made(cubes(cube), curvature=curvature), sample("one-layer", "softmax")
    assert rules == model.body.rules
    lacking = probe.lacking(model.body)
    assert len(said) == len(lacking)
    assert all(each in line for each, line in zip(said, lacking, strict=True))
    known, theta, v = made(cubes(None), curvature=curvature), somewhere(model), somewhere(model, 2)
    given = (data.X, data.y, data.w)
    pairs = [
        (
            each.response(theta, v, data.X)[1],
            each.gradient_hvp(theta, v, *given)[2],
            each.hessian(theta, *given),
            each.gradient_lengths(theta, data.X),
            each.example_gradients(theta, data.X, data.y),
        )
        for each in (model, known)
    ]
    for actual, expected in zip(*pairs, strict=True):
        assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)


def test_an_operator_without_a_second_derivative_is_refused_under_the_hessian_with_what_to_set() -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(cubes(_CubedOnce), curvature="hessian")
    said = str(caught.value)
    assert said.startswith("model.kind one-layer has an operator without a second derivative (")
    assert said.endswith('); set training.curvature = "gauss-newton"')
    assert "once_differentiable" in said
    assert "\n" not in said


def weighed(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(inputs, 8)), nn.Tanh(), nn.Linear(8, outputs))


def test_second_derivatives_that_torch_has_wrong_are_refused_and_not_asked_for_otherwise() -> None:
    with pytest.raises(
        ConfigurationError, match=r"second derivatives that contradict each other; set training\.curvature"
    ):
        made(weighed, curvature="hessian", dtype="float64")
    assert made(weighed, dtype="float64").size > 0


@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])
def test_an_operator_with_neither_a_forward_nor_a_second_derivative_is_refused(curvature: str) -> None:
    with pytest.raises(ConfigurationError, match="without a forward and without a second derivative") as caught:
        made(cubes(_CubedBackwardOnce), curvature=curvature)
    assert "\n" not in str(caught.value)


def test_what_is_taken_is_left_as_it_was_whatever_is_computed_with_it() -> None:
    modules: list[nn.Module] = []

    def kept(inputs: int, outputs: int) -> nn.Module:
        modules.append(nn.Linear(inputs, outputs))
        return modules[-1]

    model, data = made(kept), sample("one-layer", "softmax")
    before = [part.detach().clone() for part in modules[0].parameters()]
    theta, v, first = somewhere(model), somewhere(model, 2), model.first.copy()
    copies = [array.copy() for array in (theta, v)]
    model.gradient_hvp(theta, v, data.X, data.y, data.w)
    model.example_gradients(theta, data.X, data.y)
    model.response(theta, v, data.X)
    assert 1 == len(modules)
    assert all(torch.equal(a, b) for a, b in zip(before, modules[0].parameters(), strict=True))
    assert all(part.grad is None for part in modules[0].parameters())
    assert (model.first == first).all()
    assert all((a == b).all() for a, b in zip(copies, (theta, v), strict=True))


def test_tokens_are_tried_as_whole_numbers_with_some_that_are_not_there() -> None:
    seen: list[torch.Tensor] = []

    class Looking(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, outputs)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            seen.append(tokens)
            out: torch.Tensor = (self.embedding(tokens.clamp(min=0)) * (tokens >= 0)[..., None]).sum(dim=1)
            return out

    network("embedding-bag", "softmax", factory=Looking)
    assert seen[0].dtype == torch.int64
    assert {-1, 0, 1} == set(seen[0].unique().tolist())
