"""A copy of a store that a daemon may be writing to: one commit, whole, checked, and durable once it has its name.

SQLite's online backup copies every page as of one moment; the writer goes on meanwhile. The copy is one file without a
write-ahead log, which is how a copy that was put in the place of a store is told from that store.
"""

from __future__ import annotations

import os
from pathlib import Path

from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.edges.system import disk_errors, sync_folder
from streamlearn.errors import CannotStart, ConfigurationError


def backup(store: Path, to: Path) -> int:
    """Which commit the copy holds. Nothing is overwritten, and no file has that name before it is whole."""
    if not to.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {to.parent}: make it, or name another file")
    _refuse_to_overwrite(to)
    reader = SqliteStore(store, read_only=True)
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        with disk_errors(to):
            reader.copy_to(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            number = _number(store, part)
            _refuse_to_overwrite(to)
            part.rename(to)
            sync_folder(to.absolute().parent)
    finally:
        reader.close()
        part.unlink(missing_ok=True)
    return number


def _refuse_to_overwrite(path: Path) -> None:
    if path.exists():
        raise ConfigurationError(f"{path} is there already, and a backup overwrites nothing: name another file")


def _number(store: Path, part: Path) -> int:
    """The commit that the copy holds; all of it is read for that, since a page may be damaged that no commit touches."""
    try:
        copy = SqliteStore(part, read_only=True)
        try:
            return copy.load().number
        finally:
            copy.close()
    except CannotStart as error:
        raise CannotStart(f"{store} cannot be copied: {str(error).replace(str(part), str(store))}") from error
