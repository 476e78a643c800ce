"""From the configuration to an architecture of networks: torch is imported here, and only where a network is configured.

The factory is a named one of ours or a user's, loaded as any plug-in is. It is tried once, on as many inputs and outputs as
can be known before the first event, so that what cannot work is said before the daemon starts.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from streamlearn.config import Configuration
from streamlearn.core.losses import OF_VALUES, named
from streamlearn.edges import plugins
from streamlearn.errors import ConfigurationError

if TYPE_CHECKING:
    from streamlearn.core.models.network import Network
    from streamlearn.core.models.networks import Factory, NetworkArchitecture

HIDDEN = {"mlp": (64,), "cnn": (8, 16), "embedding-bag": (32,)}
TRIED_ON = 3  # inputs, where their number is not known
log = logging.getLogger("streamlearn")


def architecture(configuration: Configuration) -> NetworkArchitecture:
    """Raises ConfigurationError, in one line, where torch is missing or the factory gives no model."""
    with warnings.catch_warnings():
        # Of torch about itself, when it is imported and when it first differentiates.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\b")
        return _architecture(configuration)


def _architecture(configuration: Configuration) -> NetworkArchitecture:
    model, training = configuration.model, configuration.training
    try:
        import torch

        from streamlearn.core.models import networks, probe
    except ImportError as error:
        raise ConfigurationError(
            f'model.kind {model.kind} needs torch, which cannot be imported ({error}); pip install "streamlearn[torch]"'
        ) from error
    torch.set_num_threads(model.threads)
    device = _device(model.device, torch.cuda.is_available())
    told = networks.Told(
        device=device,
        dtype=model.dtype or "float32",
        seed=configuration.queries.seed,
        curvature=training.curvature,
        damping=training.damping,
        parameters=configuration.regularity.parameters,
        tokens=configuration.features.kind == "tokens",
        of_users=configuration.users.kind != "none",
        own=configuration.users.parameters,
    )
    made = networks.NetworkArchitecture(model.kind, _factory(configuration), told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its forward derivatives, when they are first used
        tried = _tried(made, configuration)
    for line in dict.fromkeys(line for network in tried for line in probe.lacking(network.body)):
        log.warning("model.kind %s: %s", model.kind, line, extra={"action": "model"})
    return made


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads, in a process that may have set another number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def description(configuration: Configuration) -> str:
    """What is made of the configuration, in words. Raises ConfigurationError as `architecture` does."""
    made, inputs = architecture(configuration), width(configuration)
    foreseen = _tried(made, configuration)
    sizes = [f"{each.size} parameters ({each.outputs_count} outputs)" for each in foreseen]
    size = f"{' or '.join(sizes)} on {inputs} inputs" if inputs else "as wide as the first event"
    body = foreseen[0].body
    return f"{made.kind}, {size}; {body.device} in {str(body.dtype).removeprefix('torch.')}"


def width(configuration: Configuration) -> int:
    """How many inputs there will be, as far as the configuration says; 0 where it does not."""
    features = configuration.features
    if features.kind == "tokens":
        return features.length
    return prod(configuration.model.shape) if configuration.model.shape else len(features.names)


def _device(name: str, has_cuda: bool) -> str:
    if name == "cuda" and not has_cuda:
        raise ConfigurationError(
            'model.device = "cuda" and torch finds no such device; set model.device = "cpu" or "auto"'
        )
    return ("cuda" if has_cuda else "cpu") if name == "auto" else name


def _factory(configuration: Configuration) -> Factory:
    from streamlearn.core.models import modules

    model = configuration.model
    hidden = model.hidden or HIDDEN.get(model.kind, ())
    if model.kind == "mlp":
        return partial(modules.mlp, hidden=hidden)
    if model.kind == "cnn":
        return partial(modules.cnn, shape=model.shape, channels=hidden)
    if model.kind == "embedding-bag":
        vocabulary, size = model.vocabulary, hidden[0]
        return lambda inputs, outputs: modules.EmbeddingBag(outputs, vocabulary, size)
    loaded: Factory = plugins.load(model.kind, f"model.kind {model.kind}")
    return loaded


def _tried(made: NetworkArchitecture, configuration: Configuration) -> list[Network]:
    """The networks that can be foreseen."""
    model, inputs = configuration.model, width(configuration)
    if model.loss in OF_VALUES or model.loss == "logistic" or len(model.classes) == 2:
        outputs = [1] if model.loss != "softmax" else [2]
    else:
        outputs = [len(model.classes)] if model.classes else [1, 3]
    try:
        return [made.model(named("squared"), k, 1 + (inputs or TRIED_ON)) for k in outputs]
    except ConfigurationError as error:
        if inputs or ":" not in model.kind:
            raise
        raise ConfigurationError(
            f"{error}; if it is made for a certain number of inputs, set model.shape, as [64]"
        ) from error
