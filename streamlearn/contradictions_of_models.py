"""Which keys of features, model, training, regularity and users contradict each other (see `contradictions.py`)."""

from __future__ import annotations

import math

from streamlearn.config import Configuration
from streamlearn.limits import refuse, show
from streamlearn.queries import names


def check(configuration: Configuration) -> None:
    """Refuse keys that contradict each other."""
    model = configuration.model
    values = model.loss in ("squared", "poisson")
    strategy = configuration.queries.strategy
    if strategy in names.OF_CLASSES and values:
        raise refuse(
            f'queries.strategy = "{strategy}" needs classes and model.loss = "{model.loss}" has none; '
            'set queries.strategy = "leverage", "sld" or "auto"'
        )
    if model.classes and values:
        raise refuse(f'model.classes is given and model.loss = "{model.loss}" has no classes; remove one of the two')
    if configuration.regularity.validation == "leave-one-out" and configuration.training.solver in ("cg", "sgdf"):
        raise refuse(
            'regularity.validation = "leave-one-out" needs H⁻¹ and training.solver = '
            f'"{configuration.training.solver}" has none; set regularity.validation = "progressive" or "rotating"'
        )
    if model.classes and model.loss == "logistic" and len(model.classes) != 2:
        raise refuse(
            f'model.loss = "logistic" has 2 classes and model.classes names {len(model.classes)}; '
            'set model.loss = "softmax"'
        )
    _check_river(configuration)
    _check_regularizer(configuration)
    _check_users(configuration)
    _check_network(configuration)


def _check_river(configuration: Configuration) -> None:
    """A transformer makes maps; and it cannot travel with a model, for it is a pickle, which runs what is in it."""
    if not configuration.features.river:
        return
    key = f"features.river = {show('features.river', configuration.features.river)}"
    if configuration.features.kind == "tokens" or configuration.model.shape:
        other = 'features.kind = "tokens" has' if configuration.features.kind == "tokens" else "model.shape is of"
        raise refuse(f"{key} makes maps of names, and {other} arrays; remove one of the two")
    if configuration.topics.models:
        raise refuse(
            f'{key} is no part of a model that is published, which means nothing without; set topics.models = ""'
        )


def _check_network(configuration: Configuration) -> None:
    """What is of networks has no meaning for a linear model, and the other way round."""
    model, training, regularity = configuration.model, configuration.training, configuration.regularity
    if model.kind == "linear":
        _check_linear(configuration)
        return
    kind = f'model.kind is "{model.kind}"'
    if training.solver in ("newton", "cg"):
        raise refuse(
            f'training.solver = "{training.solver}" needs a linear model and {kind}; set training.solver = "auto"'
        )
    if regularity.free:
        raise refuse(f"regularity.free is of linear models and {kind}; use regularity.parameters")
    if regularity.validation == "leave-one-out":
        raise refuse(
            f'regularity.validation = "leave-one-out" needs a linear model and {kind}; '
            'set regularity.validation = "progressive" or "rotating"'
        )
    if model.hidden and ":" in model.kind:
        raise refuse(f"model.hidden is of the named networks and {kind}; remove it")
    if model.kind == "embedding-bag" and len(model.hidden) > 1:
        raise refuse('model.kind = "embedding-bag" has one hidden width; set, for example, model.hidden = [32]')
    _check_inputs(configuration)


def _check_linear(configuration: Configuration) -> None:
    """What would do nothing."""
    told = _of_networks(configuration)
    for key, default in _of_networks(Configuration()).items():
        if told[key] != default:
            raise refuse(
                f'{key} = {show(key, told[key])} is of networks and model.kind is "linear"; '
                'remove it, or set model.kind = "mlp"'
            )


def _of_networks(configuration: Configuration) -> dict[str, object]:
    """Keys that mean nothing to a linear model; that it is in float64 may be said."""
    model, training = configuration.model, configuration.training
    return {
        "features.kind": configuration.features.kind,
        "features.length": configuration.features.length,
        "model.hidden": model.hidden,
        "model.shape": model.shape,
        "model.vocabulary": model.vocabulary,
        "model.device": model.device,
        "model.dtype": "" if model.dtype == "float64" else model.dtype,
        "model.threads": model.threads,
        "training.curvature": training.curvature,
        "training.damping": training.damping,
        "regularity.parameters": configuration.regularity.parameters,
        "users.parameters": configuration.users.parameters,
    }


def _check_inputs(configuration: Configuration) -> None:
    """What a network is handed."""
    model, features = configuration.model, configuration.features
    tokens, width, default = features.kind == "tokens", math.prod(model.shape), Configuration()
    if model.kind == "cnn" and len(model.shape) != 3:
        raise refuse('model.kind = "cnn" needs the shape of its images; set, for example, model.shape = [1, 8, 8]')
    if model.kind == "embedding-bag" and not tokens:
        raise refuse('model.kind = "embedding-bag" takes token ids; set features.kind = "tokens"')
    if tokens and model.kind in ("mlp", "cnn"):
        raise refuse(
            f'features.kind = "tokens" is not for model.kind = "{model.kind}"; set model.kind = "embedding-bag"'
        )
    of_tokens = {
        "features.length": (features.length, default.features.length),
        "model.vocabulary": (model.vocabulary, default.model.vocabulary),
    }
    for key, (value, unset) in of_tokens.items():
        if value != unset and not tokens:
            raise refuse(
                f'{key} = {show(key, value)} is of tokens and features.kind is "{features.kind}"; '
                'remove it, or set features.kind = "tokens"'
            )
    if tokens and (model.shape or features.names):
        key = "model.shape" if model.shape else "features.names"
        raise refuse(f'{key} is given and features.kind = "tokens" has no use for it; remove it')
    if model.shape and features.names and len(features.names) != width:
        raise refuse(
            f"model.shape has {width} places and features.names names {len(features.names)}; make them the same number"
        )


def _check_users(configuration: Configuration) -> None:
    """Users deviate from one model, which every label tests before it is learned; scorers know that model alone."""
    users, unset = configuration.users, Configuration().users
    if users.kind == "none":
        for key in ("penalty", "cache", "queries_per_day", "directions", "parameters"):
            value = getattr(users, key)
            if value != getattr(unset, key):
                told = show(f"users.{key}", value)
                raise refuse(
                    f'users.{key} = {told} does nothing with users.kind = "none"; set users.kind, or remove it'
                )
        return
    kind, validation = f'users.kind = "{users.kind}"', configuration.regularity.validation
    if users.kind != "personality" and users.directions != unset.directions:
        raise refuse(
            f"users.directions = {users.directions} are what personalities have in common, and {kind}; remove one of the two"
        )
    if users.kind != "deviation" and users.penalty != "l2":
        raise refuse(f'{kind} measures by the square and users.penalty is "{users.penalty}"; remove one of the two')
    if users.parameters and (users.kind != "deviation" or users.penalty != "l2"):
        other = kind if users.kind != "deviation" else f'users.penalty = "{users.penalty}"'
        raise refuse(
            f"users.parameters = {show('users.parameters', users.parameters)} are deviated in by their square alone, and "
            f'{other}; remove users.parameters, or set users.kind = "deviation" and users.penalty = "l2"'
        )
    if users.kind in ("gamma-normal", "hierarchy"):
        _check_together(configuration)
    if users.kind not in ("deviation", "personality") and configuration.model.kind != "linear":
        raise refuse(
            f'{kind} needs a linear model and model.kind is "{configuration.model.kind}"; remove one of the two'
        )
    if validation != "progressive":
        raise refuse(
            f"{kind} tests λ on each user's own labels before they are learned, and regularity.validation is "
            f'"{validation}"; set regularity.validation = "progressive"'
        )
    if configuration.topics.candidates:
        raise refuse(
            f"{kind} is of a daemon that reads all events, and topics.candidates of scorers; remove one of the two"
        )


def _check_together(configuration: Configuration) -> None:
    """Kinds that solve for everybody at once have a regularizer of their own, and priors of what is standardised."""
    of_normal, told = configuration.users.kind == "gamma-normal", configuration.regularity
    kind, complexity = f'users.kind = "{configuration.users.kind}"', "½‖θ₀‖²" if of_normal else "Σ μ_u²"
    if of_normal and configuration.model.loss != "squared":
        raise refuse(f'{kind} is of values and model.loss is "{configuration.model.loss}"; set model.loss = "squared"')
    if not configuration.features.standardise:
        raise refuse(f"{kind} needs standardised features; set features.standardise = true")
    if told.regularizer != "l2" or told.increasing or told.origin:
        raise refuse(
            f'{kind} has the regularizer {complexity}; set regularity.regularizer = "l2", and remove regularity.increasing and '
            "regularity.origin"
        )
    if not of_normal and told.compensated:
        raise refuse(f"{kind} has priors that are normalised by themselves; remove regularity.compensated")
    if not of_normal and told.intercept_precision == 0.0:
        raise refuse(f"{kind} needs a prior of intercepts; set, for example, regularity.intercept_precision = 0.01")


def _check_regularizer(configuration: Configuration) -> None:
    told, training = configuration.regularity, configuration.training
    if told.regularizer == "l1" and training.solver == "cg":
        raise refuse(
            'training.solver = "cg" needs a smooth regularizer and "l1" is none; set training.solver = "auto" or "newton"'
        )
    if told.regularizer == "l1" and training.optimizer != "sgd":
        raise refuse(
            f'training.optimizer = "{training.optimizer}" needs a smooth regularizer and "l1" is none; '
            'set training.optimizer = "sgd"'
        )
    if told.increasing and told.regularizer == "l1":
        raise refuse(
            f'regularity.increasing = "{told.increasing}" needs a smooth regularizer and "l1" is none; '
            'set regularity.increasing = ""'
        )
    names = configuration.features.names
    unknown = [name for name in told.free if names and name not in names]
    if unknown:
        raise refuse(
            f'regularity.free names "{unknown[0]}", which is not among features.names; add it there or remove it here'
        )
    if told.origin and told.regularizer not in ("l2", "l1"):
        raise refuse(
            f'regularity.origin is given and regularity.regularizer = "{told.regularizer}" has no use for it; '
            'set regularity.regularizer = "l2" or "l1"'
        )
