"""Whose log this is: a small file in the embedded log's folder, as a consumer group's offsets are on Kafka.

It names the last store and commit that published anything, and the positions of that commit. It is written before the
outputs are: an output that nobody speaks for would be written again by an old copy of the store. So a store that is not the
one that the log was written by, or an old copy of it, is told from the right one.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import msgspec

from streamlearn.edges.system import disk_errors, write_whole
from streamlearn.errors import REBUILD, CannotStart
from streamlearn.service.ports import Commit, Position

NAME = ".published"


@final
class Trace(msgspec.Struct, frozen=True):
    """positions: (role, partition, next) each."""

    store: str
    commit: int
    positions: list[tuple[str, int, int]]

    def places(self) -> dict[Position, int]:
        return {(role, partition): next for role, partition, next in self.positions}


def read(folder: Path) -> Trace | None:
    """None: nothing was published, or by a version that left no trace."""
    path = folder / NAME
    with disk_errors(folder):
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Trace)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CannotStart(f"{path} cannot be read ({error}): remove it, and {REBUILD}") from error


def write(folder: Path, store_id: str, commit: Commit) -> None:
    """After a power cut it is there, or the one of the commit before, which says no less of whose log this is."""
    positions = [(role, partition, next) for (role, partition), next in sorted(commit.positions.items())]
    write_whole(folder / NAME, folder / f"{NAME}.part", msgspec.json.encode(Trace(store_id, commit.number, positions)))


def check(folder: Path, store_id: str, saved_number: int, replaces: str | None) -> None:
    """Refuse a store that is not the one that this log was written by."""
    trace = read(folder)
    if trace is None or trace.store == replaces:
        return
    if trace.store != store_id:
        raise CannotStart(f"{folder} was written by another store, or by this one before it was lost; {REBUILD}")
    if trace.commit > saved_number:
        raise CannotStart(
            f"the store is at commit {saved_number} and {folder} already at {trace.commit}: an old copy; {REBUILD}"
        )
