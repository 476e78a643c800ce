"""A new store in the place of another, which is moved aside and never deleted.

Killed in between, there is no store, and the log says that there was one; the new one is built again then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from streamlearn.edges.system import beside, disk_errors, lock, sync_folder

PARTS = ("", "-wal", "-shm")


@final
class Swap:
    """new: where the new store is written; `put_in_place` once it is whole and closed."""

    def __init__(self, path: Path) -> None:
        self._path, self._aside = path, beside(path, "aside")
        self.new = path.with_name(f"{path.name}.new")

    def put_in_place(self) -> Path | None:
        """Where the store of before lies now, if there was one."""
        with disk_errors(self._path):
            moved = [part for part in PARTS if _with(self._path, part).exists()]
            for part in moved:
                _with(self._path, part).rename(_with(self._aside, part))
            self.new.rename(self._path)
            sync_folder(self._path.absolute().parent)
            self._clean()
        return self._aside if moved else None

    def _clean(self) -> None:
        for part in (*PARTS, ".lock"):
            _with(self.new, part).unlink(missing_ok=True)


@contextmanager
def swapping(path: Path) -> Iterator[Swap]:
    """While inside, no daemon can run on the store at `path`; what an earlier attempt left is removed."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = lock(path.with_name(path.name + ".lock"), path)
        try:
            swap = Swap(path)
            swap._clean()
        except BaseException:
            os.close(held)
            raise
    try:
        yield swap
    finally:
        os.close(held)


def _with(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)
