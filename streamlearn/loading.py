"""`streamlearn.load`: a daemon's model in a program of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from streamlearn import config
from streamlearn.core.models.model import Model, in_words
from streamlearn.edges import model_files, networks, secrets
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.errors import CannotLoad, ConfigurationError
from streamlearn.service import own_model, restore
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.own_model import Own
from streamlearn.service.predictor import Predictor
from streamlearn.service.scorer import Scorer


def load(
    source: str | Path,
    name: str = "",
    settings: Mapping[str, object] | None = None,
    client: str = "kafka-python",
    device: str = "cpu",
) -> Predictor:
    """See `streamlearn.load`."""
    if isinstance(source, str) and source.startswith("kafka://"):
        from streamlearn.edges.kafka import models as kafka_models  # a heavy import, needed only here

        kafka = config.Kafka(client=client, settings=secrets.resolved(secrets.flat(settings or {}), os.environ))
        return predictor(kafka_models.read(source, name, kafka), device)
    return predictor(model_files.read(Path(source), name), device)


def own(path: Path, user: str) -> tuple[Own, bool]:
    """The model of this user in a store, and whether the store knows of anybody of that name."""
    store = SqliteStore(path, read_only=True)
    try:
        saved, remembered = store.load(), store.of_user(user)
    finally:
        store.close()
    shared, held = model_files.served(path, saved), restore.stored(saved)
    users = held.users if held else None
    if users is None:
        raise ConfigurationError(
            f"the store {path} is of an earlier version, without what users are: let a daemon of this one commit once"
        )
    if users.kind == "none":
        raise ConfigurationError(
            f'export --user: the store {path} is of users.kind "none", one model for all; leave --user out, or set users.kind'
        )
    model, computing = _built(shared, "cpu")
    try:
        with computing():
            found = own_model.of_user(shared, restore.with_examples(saved), users, model, user)
    except ValueError as error:
        raise ConfigurationError(
            f"export --user: {model.kind} {error}, so no file can be theirs: ask a daemon for predictions (topics.predictions)"
        ) from error
    rows = (saved.examples, saved.pending, saved.asked)
    return found, bool(not user or remembered or any(user == each.user for kept in rows for each in kept))


def predictor(snapshot: ModelSnapshot, device: str = "cpu") -> Predictor:
    return Predictor(snapshot, *_built(snapshot, device))


def scorer(snapshot: ModelSnapshot, device: str = "cpu") -> Scorer:
    """Raises CannotLoad where it was not published for scorers."""
    try:
        return Scorer(snapshot, *_built(snapshot, device))
    except ValueError as error:
        raise CannotLoad(f"version {snapshot.version} of {snapshot.name} is not for scorers: {error}") from error


def _built(snapshot: ModelSnapshot, device: str) -> tuple[Model, Callable[[], AbstractContextManager[object]]]:
    """The model with what it computes with, and what is entered around that. torch is imported for networks only."""
    model, recipe = snapshot.model, snapshot.recipe
    if model.kind == "linear":
        return model, nullcontext
    told = config.Configuration(
        features=config.Features("tokens" if recipe.tokens else "dense", length=recipe.length or 64),
        model=config.Model(
            kind=model.kind,
            loss=model.loss.name,
            classes=snapshot.classes,
            hidden=recipe.hidden,
            shape=recipe.shape,
            vocabulary=recipe.vocabulary,
            device=device,
            dtype=recipe.dtype,
            threads=recipe.threads,
        ),
        training=config.Training(curvature=recipe.curvature, damping=recipe.damping),
        regularity=config.Regularity(parameters=recipe.parameters),
        queries=config.Queries(seed=recipe.seed),
    )
    computing = partial(networks.threads, recipe.threads)
    with computing():
        built = networks.architecture(told).model(model.loss, model.outputs_count, model.columns)
    if built.blocks != model.blocks:
        raise CannotLoad(
            f"model.kind {model.kind} has other parameters here ({', '.join(in_words(built.blocks))[:200]}) than where it "
            f"was trained ({', '.join(in_words(model.blocks))[:200]}): use the factory of there"
        )
    return built, computing
