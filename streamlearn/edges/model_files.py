"""Models in files: one that was exported, the topic of an embedded log, or a store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.edges.system import disk_errors, sync_folder, write_whole
from streamlearn.errors import CannotLoad, ConfigurationError
from streamlearn.service import model_messages, model_snapshot, restore
from streamlearn.service.model_messages import Heard
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.stored import Saved

SQLITE = b"SQLite format 3\0"


def write(value: ModelSnapshot, path: Path) -> int:
    """How many bytes were written. A reader of that name sees what was there before, or all of the new one; durable then."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigurationError(f"{path} cannot be written: name a file in a folder that is there")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    line = model_snapshot.encode(value) + b"\n"
    with disk_errors(path):
        try:
            write_whole(path, part, line, exclusive=True)
            sync_folder(path.absolute().parent)
        finally:
            part.unlink(missing_ok=True)
    return len(line)


def from_store(path: Path) -> ModelSnapshot:
    """What the store's last commit serves; it is only read, also beside a daemon."""
    store = SqliteStore(path, read_only=True)
    try:
        return served(path, store.load())
    finally:
        store.close()


def served(path: Path, saved: Saved) -> ModelSnapshot:
    """The model of a store whose contents these are."""
    held = restore.stored(saved)
    fit = held.learner.published if held else None
    if held is None or fit is None:
        raise ConfigurationError(f"the store {path} holds no model yet: it takes labels of two classes, or values")
    if held.transformer is not None:
        raise ConfigurationError(
            f"the store {path} is of features.river = {held.transformer.name}: its model takes what that makes of x, and means "
            "nothing without; ask a daemon for predictions (topics.predictions)"
        )
    if fit.model.kind != held.recipe.kind:
        raise ConfigurationError(
            f"the store {path} is of an earlier version, which does not say how its {fit.model.kind} is built: "
            "start the daemon once with this one"
        )
    asked = held.selector
    taken = model_snapshot.take(
        held.learner, held.name, held.recipe, held.version, saved.number, held.clock, held.acting, asked.threshold
    )
    assert taken is not None
    return taken


def read(path: Path, name: str = "") -> ModelSnapshot:
    """From a file of any of the three kinds; name: of the daemon, where a topic holds models of several."""
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                return from_store(path)
            file.seek(0)
            *lines, rest = file.read().split(b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); name a model's file, or a store"
        ) from error
    heard = Heard()
    with damage(str(path)):
        # What stands behind the last newline is being written, unless there is nothing else.
        for line in [line for line in lines if line] or [rest]:
            heard.take(model_messages.key_of(line), line)
        found = heard.newest(chosen(heard.names, name, str(path)))
        if found is None:
            raise ValueError("the newest model is not whole, chunks of it are missing")
    return found


@contextmanager
def damage(where: str) -> Iterator[None]:
    """Say in one line what is wrong with what was read."""
    try:
        yield
    except ValueError as error:
        raise CannotLoad(f"{where} cannot be loaded: {' '.join(str(error).split())}") from error


def chosen(names: Sequence[str], name: str, where: str) -> str:
    """This name, or the only one that there is."""
    if not name and len(names) == 1:
        return names[0]
    if name in names:
        return name
    there = ", ".join(f'"{each}"' for each in names[:10]) or "none"
    wanted = f'of the name "{name}"' if name else "without a name, of which there must be only one"
    raise ConfigurationError(f"{where} holds no model {wanted}; there are: {there}")
