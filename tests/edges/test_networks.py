"""From a configuration to a network: named ones and a user's own, and one line for each that cannot be used."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch

from streamlearn import assemble, settings
from streamlearn.core.losses import Array, named
from streamlearn.core.models.network import Network
from streamlearn.edges import networks
from streamlearn.errors import ConfigurationError
from tests.end_to_end.daemon_process import refusals

SOURCE = """
import numpy as np
import torch
from torch import nn

def good(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs))

def bounded(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs), nn.Softsign())

def raises(inputs, outputs):
    raise RuntimeError("two\\nlines")

def none(inputs, outputs):
    return None

def constant(inputs, outputs):
    return nn.Flatten()

def frozen(inputs, outputs):
    return good(inputs, outputs).requires_grad_(False)

def transposed(inputs, outputs):
    class Transposed(nn.Linear):
        def forward(self, x):
            return super().forward(x).T
    return Transposed(inputs, outputs)

def endless(inputs, outputs):
    module = nn.Linear(inputs, outputs)
    nn.init.constant_(module.weight, float("nan"))
    return module

def random(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 5), nn.Dropout(), nn.Linear(5, outputs))

def of_batches(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 5), nn.BatchNorm1d(5), nn.Linear(5, outputs))

def fails(inputs, outputs):
    class Fails(nn.Linear):
        def forward(self, x):
            return super().forward(x) @ torch.ones(7, 7)
    return Fails(inputs, outputs)

def of_four(inputs, outputs):
    assert inputs == 4, "four inputs and no others"
    return good(inputs, outputs)

def fickle(inputs, outputs):
    class Fickle(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(inputs, outputs)
        def forward(self, x):
            if float(x.detach().abs().max()) > 100.0:
                raise ValueError("too\\nlarge")
            return self.linear(x)
    return Fickle()

class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()
    @staticmethod
    def backward(context, gradient):
        if float(gradient.detach().abs().max()) > 100.0:
            raise ValueError("too steep")
        return gradient

def steep(inputs, outputs):
    class Steep(nn.Linear):
        def forward(self, x):
            return Backwards.apply(super().forward(x))
    return Steep(inputs, outputs)

class Once(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        context.save_for_forward(x)
        return torch.sin(x)
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        return gradient * torch.cos(context.saved_tensors[0])
    @staticmethod
    def jvp(context, moved):
        return moved * torch.cos(context.saved_tensors[0])

def once(inputs, outputs):
    class Sine(nn.Module):
        def forward(self, x):
            return Once.apply(x)
    return nn.Sequential(nn.Linear(inputs, 5), Sine(), nn.Linear(5, outputs))

number = 3
"""
TOKENS = ("features.kind=tokens", "features.length=6", "model.vocabulary=30")


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[None]:
    """A working directory with modules in it, and nothing left of it afterwards."""
    (tmp_path / "own_net.py").write_text(SOURCE)
    (tmp_path / "own_broken_net.py").write_text("1 / 0\n")
    before, threads = sys.path.copy(), torch.get_num_threads()
    with chdir(tmp_path):
        yield
    torch.set_num_threads(threads)
    sys.path[:] = before
    for name in ("own_net", "own_broken_net"):
        sys.modules.pop(name, None)


def model(*overrides: str, outputs: int = 3, inputs: int = 4) -> Network:
    """What a configuration makes of so many outputs and inputs."""
    loss = named("squared" if outputs == 1 else "softmax")
    made = networks.architecture(settings.read(None, {}, overrides)).model(loss, outputs, 1 + inputs)
    assert isinstance(made, Network)
    return made


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        model(*overrides)
    assert str(refused.value).isprintable(), "one line"
    return str(refused.value)


def rows(values: Array) -> Array:
    return np.column_stack([np.ones(len(values)), values])


def shapes(made: Network) -> list[tuple[int, ...]]:
    return [shape for _, shape in made.blocks]


def test_the_perceptron_has_the_widths_that_it_is_told() -> None:
    assert [(5, 4), (5,), (2, 5), (2,), (3, 2), (3,)] == shapes(model("model.kind=mlp", "model.hidden=5, 2"))
    assert [(64, 4), (64,), (3, 64), (3,)] == shapes(model("model.kind=mlp"))


def test_the_perceptron_computes_what_it_says() -> None:
    made, X = model("model.kind=mlp", "model.hidden=5", "model.dtype=float64"), np.arange(8.0).reshape(2, 4) / 7
    W, b, V, c = np.split(made.first, np.cumsum([20, 5, 15]))
    expected = np.tanh(X @ W.reshape(5, 4).T + b) @ V.reshape(3, 5).T + c
    np.testing.assert_allclose(expected, made.outputs(made.first, rows(X)), rtol=1e-12)


def test_the_convolutional_network_sees_images() -> None:
    made = model("model.kind=cnn", "model.shape=2, 6, 4", "model.hidden=3, 5", inputs=48)
    assert [(3, 2, 3, 3), (3,), (5, 3, 3, 3), (5,), (3, 20), (3,)] == shapes(made)
    X = np.random.default_rng(0).normal(size=(2, 48))
    assert (2, 3) == made.outputs(made.first, rows(X)).shape


def test_the_bag_of_embeddings_is_the_mean_over_the_tokens_that_are_there() -> None:
    made = model("model.kind=embedding-bag", *TOKENS, "model.hidden=2", "model.dtype=float64", inputs=6)
    assert [(30, 2), (3, 2), (3,)] == shapes(made)
    E, V, c = np.split(made.first, np.cumsum([60, 6]))
    E, V = E.reshape(30, 2), V.reshape(3, 2)
    X = np.array([[4.0, 29.0, 4.0, -1.0, -1.0, -1.0], [-1.0] * 6])
    expected = [(2 * E[4] + E[29]) / 3 @ V.T + c, c]
    np.testing.assert_allclose(expected, made.outputs(made.first, rows(X)), rtol=1e-12)


def test_a_factory_in_the_working_directory_is_found() -> None:
    made = model("model.kind=own_net:good")
    assert ("own_net:good", [(5, 4), (5,), (3, 5), (3,)]) == (made.kind, shapes(made))


def test_the_same_seed_makes_the_same_network_and_another_seed_another() -> None:
    state = torch.random.get_rng_state()
    first, again = model("model.kind=own_net:good"), model("model.kind=own_net:good")
    other = model("model.kind=own_net:good", "queries.seed=1")
    assert first.first.tobytes() == again.first.tobytes() != other.first.tobytes()
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("own_net:raises", "cannot be made for 3 inputs and 1 outputs (RuntimeError: two lines)"),
        ("own_net:none", "is a NoneType; it must be a torch.nn.Module"),
        ("own_net:constant", "has no parameters to train"),
        ("own_net:frozen", "has no parameters to train"),
        ("own_net:transposed", "returns the shape (1, 4) for 4 rows and 1 outputs; it must return (4, 1)"),
        ("own_net:endless", "returns numbers that are not finite at its initial parameters"),
        ("own_net:random", "has Dropout at '1', which is random"),
        ("own_net:of_batches", "has BatchNorm1d at '1', by which an event's output depends on the others"),
        ("own_net:fails", "failed on 4 rows of 3 inputs (RuntimeError: "),
        ("own_net:of_four", "cannot be made for 3 inputs and 1 outputs (AssertionError: four inputs and no others)"),
        ("own_net:of_four", "if it is made for a certain number of inputs, set model.shape"),
        ("own_net:absent", "cannot be loaded (AttributeError: "),
        ("own_net:number", "is no function"),
        ("own_broken_net:good", "cannot be loaded (ZeroDivisionError: "),
        ("no_such_net:good", "cannot be loaded (ModuleNotFoundError: "),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_names_the_key(name: str, why: str) -> None:
    text = refusal(f"model.kind={name}")
    assert text.startswith(f"model.kind {name} ")
    assert why in text


def test_a_factory_for_a_certain_number_of_inputs_is_tried_on_that_number() -> None:
    assert 4 == model("model.kind=own_net:of_four", "model.shape=4").columns - 1
    assert 4 == model("model.kind=own_net:of_four", "features.names=a, b, c, d").columns - 1
    assert refusal("model.kind=own_net:of_four", "model.shape=5").endswith(
        "(AssertionError: four inputs and no others)"
    )


def test_a_factory_that_fails_for_more_columns_than_it_was_tried_on_is_refused_then() -> None:
    made = networks.architecture(settings.read(None, {}, ("model.kind=own_net:of_four", "model.shape=4")))
    with pytest.raises(ConfigurationError, match=r"own_net:of_four cannot be made for 6 inputs and 2 outputs"):
        made.model(named("softmax"), 2, 7)


def test_parameters_that_are_not_there_are_refused_with_those_that_are() -> None:
    text = refusal("model.kind=mlp", "regularity.parameters=head.*")
    assert text == (
        "model.kind mlp has no parameters named 'head.*', as regularity.parameters says; "
        "it has 0.weight, 0.bias, 2.weight, 2.bias"
    )


DERIVED = {
    "outputs": lambda made, X: made.outputs(made.first, X),
    "response": lambda made, X: made.response(made.first, made.first, X),
    "gradient": lambda made, X: made.gradient(made.first, X, np.zeros(len(X)), np.ones(len(X))),
    "products": lambda made, X: made.gradient_hvp(made.first, made.first, X, np.zeros(len(X)), np.ones(len(X))),
    "by example": lambda made, X: made.example_gradients(made.first, X, np.zeros(len(X))),
}


@pytest.mark.parametrize("what", DERIVED)
def test_a_module_that_raises_on_data_is_refused_in_one_line_whatever_is_asked_of_it(what: str) -> None:
    made, X = model("model.kind=own_net:fickle", outputs=1), rows(np.ones((3, 4)))
    DERIVED[what](made, X)
    with pytest.raises(ConfigurationError) as refused:
        DERIVED[what](made, 1000.0 * X)
    expected = "model.kind own_net:fickle failed on data (ValueError: too large); correct the module"
    assert expected == str(refused.value)


def test_a_module_that_raises_on_the_way_back_is_refused_too() -> None:
    made, X = model("model.kind=own_net:steep", outputs=1), rows(np.ones((3, 4)))
    made.gradient(made.first, X, np.zeros(3), np.ones(3))
    with pytest.raises(ConfigurationError, match=r"own_net:steep failed on data \(ValueError: too steep\)"):
        made.gradient(made.first, X, np.full(3, 1e6), np.ones(3))


def test_what_is_done_without_a_rule_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "streamlearn"):
        model("model.kind=own_net:good")
        assert [] == caplog.messages
        model("model.kind=own_net:steep")
    assert any("model.kind own_net:steep: an operator has no forward derivative" in line for line in caplog.messages)


def test_that_outputs_are_not_a_last_layers_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "streamlearn"):
        model("model.kind=own_net:bounded")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("model.kind own_net:bounded: the outputs are not those of a last linear layer")


def test_users_need_a_last_layer() -> None:
    users = "users.kind=deviation"
    assert model("model.kind=own_net:good", users).last_layer is not None
    assert refusal("model.kind=own_net:bounded", "model.shape=[4]", users) == (
        "model.kind own_net:bounded gives outputs that are not those of a last linear layer, in which users deviate; "
        'end it with one, name others in users.parameters, or set users.kind = "none"'
    )


def test_users_may_deviate_in_parameters_that_are_named() -> None:
    users = ("users.kind=deviation", "users.parameters=2.*,0.bias")
    for kind in ("own_net:good", "own_net:bounded"):
        part = model(f"model.kind={kind}", "model.shape=[4]", *users).part
        assert part is not None
        assert len(part.at) == 5 + 5 * 3 + 3
    assert model("model.kind=own_net:good", users[0]).part is None
    assert refusal("model.kind=own_net:good", "model.shape=[4]", users[0], "users.parameters=2.*,head.*") == (
        "model.kind own_net:good has no parameters named 'head.*', as users.parameters says; "
        "it has 0.weight, 0.bias, 2.weight, 2.bias"
    )


def test_parameters_of_users_need_second_derivatives() -> None:
    told = ("model.kind=own_net:once", "users.kind=deviation")
    assert model(*told).last_layer is not None
    text = refusal(*told, "model.shape=[4]", "users.parameters=2.*")
    assert text.startswith("model.kind own_net:once has an operator without a second derivative")
    assert text.endswith("which users.parameters needs; remove that, and users deviate in the last layer")


def test_where_users_rows_cannot_be_batched_they_are_met_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "streamlearn"):
        made = model("model.kind=own_net:fickle", "users.kind=deviation", "users.parameters=*.weight")
    assert any("no batching rule for rows of users" in line for line in caplog.messages)
    X, whose = rows(np.arange(12.0).reshape(3, 4)), np.array([0, 1, 2])
    assert made.part is not None
    own = np.random.default_rng(0).normal(size=(3, 2, len(made.part.at)))
    f, f_dot = made.part.added(made.first, made.first, X, own, whose)
    for user in (1, 2):
        theta, v = np.tile(made.first.astype(float), (2, 1))
        theta[made.part.at] += own[user, 0]
        v[made.part.at] += own[user, 1]
        there, here = made.response(theta, v, X), made.response(made.first, made.first, X)
        np.testing.assert_allclose(f[user], (there[0] - here[0])[user], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(f_dot[user], (there[1] - here[1])[user], rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a device is there")
def test_a_device_that_is_not_there_is_refused_and_auto_goes_without() -> None:
    expected = 'model.device = "cuda" and torch finds no such device; set model.device = "cpu" or "auto"'
    assert expected == refusal("model.kind=mlp", "model.device=cuda")
    assert "cpu" == model("model.kind=mlp", "model.device=auto").body.device.type


def test_precision_and_threads_are_as_told() -> None:
    assert np.float32 == model("model.kind=mlp").first.dtype
    assert np.float64 == model("model.kind=mlp", "model.dtype=float64").first.dtype
    model("model.kind=mlp", "model.threads=3")
    assert 3 == torch.get_num_threads()


def python(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`folder` comes first among the places that modules are imported from."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); {text}"
    return subprocess.run([sys.executable, "-c", start], cwd=folder, capture_output=True, text=True, timeout=60)


def test_without_torch_a_network_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text('raise ImportError("it is not here")\n')
    for command in ("run", "replay"):
        (tmp_path / "streamlearn-data").mkdir(exist_ok=True)
        done = python(
            tmp_path, f"from streamlearn.cli import main; exit(main(['{command}', '--set', 'model.kind=mlp']))"
        )
        expected = (
            'model.kind mlp needs torch, which cannot be imported (it is not here); pip install "streamlearn[torch]"'
        )
        assert (2, [expected]) == (done.returncode, refusals(done.stderr))


def test_a_linear_model_does_without_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text('raise ImportError("it is not here")\n')
    done = python(tmp_path, "from streamlearn.cli import main; exit(main(['check', '--set', 'http.port=-1']))")
    assert (0, "") == (done.returncode, done.stderr)


def test_torch_is_not_imported_for_a_linear_model(tmp_path: Path) -> None:
    text = (
        "import streamlearn.cli; from streamlearn import assemble, settings; "
        "from streamlearn.service.metrics import Measurements; "
        "assemble.pipeline(settings.read(None, {}, ()), dict, Measurements()); print('torch' in sys.modules)"
    )
    assert "False\n" == python(tmp_path, text).stdout


def test_the_widths_that_are_known_before_the_first_event() -> None:
    def width(*overrides: str) -> int:
        return networks.width(settings.read(None, {}, overrides))

    assert 0 == width("model.kind=mlp")
    assert 2 == width("model.kind=mlp", "features.names=a, b")
    assert 48 == width("model.kind=cnn", "model.shape=2, 6, 4")
    assert 6 == width("model.kind=embedding-bag", *TOKENS)


def test_the_kind_of_architecture_is_as_configured() -> None:
    assert "linear" == assemble.architecture(settings.read(None, {}, ())).kind
    assert "mlp" == assemble.architecture(settings.read(None, {}, ("model.kind=mlp",))).kind
