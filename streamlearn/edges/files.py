"""The embedded log: a folder with one JSON-lines file a topic, so that any tool can write events and read queries.

An offset is a byte position, the only partition is 0. There are no transactions, so two rules stand in for them:

- A line counts once its newline is there. A half-written last line is read again from its beginning whenever the file
  has changed, and never kept: its writer may crash and write it anew. Only of a line above `RECORD_BYTES` is the
  scanning kept, as a size and its first bytes.
- Outputs are written from the byte that the commit names. What is already there is kept as far as it agrees, since
  somebody may be reading it; what does not agree is cut off. So publishing twice is publishing once. An output file cut
  or moved away by its reader is begun again; if that happens between commit and publish, a line may be there twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import final

from streamlearn.config import Topics
from streamlearn.edges import files_trace
from streamlearn.edges.system import disk_errors, lock, sync_folder
from streamlearn.errors import CannotStart
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    MODELS,
    POLL_BYTES,
    POLL_RECORDS,
    PREDICTIONS,
    QUERIES,
    RECORD_BYTES,
    REJECTED,
    Commit,
    Inherited,
    Position,
    Record,
    Sink,
    Source,
)

PARTITION = 0
CHUNK_BYTES = RECORD_BYTES  # not above: then only a chunk's first line, begun in an earlier chunk, can be oversize
HEAD_BYTES = 4096  # what is kept of an oversize line
PAUSE_S = 0.02  # between looks at a file that does not grow


@final
class _Tail:
    """One topic's file, read from a position on."""

    def __init__(self, role: str, path: Path, position: int) -> None:
        self.role = role
        self.path = path
        self.position = position  # where the next line to deliver begins
        self.read_to = position
        self._seen_to = position  # the file's size when its end was last read
        self._lines: Iterator[bytes] = iter(())  # complete, without newline
        self._oversize = 0  # the true size of the first of `_lines`, where only its head is there
        self._head = b""  # the line that is not complete: all of it, or its first bytes once it is oversize
        self._head_size = 0
        self._file = -1
        self._status: os.stat_result

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.close()
        self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT, 0o666)
        self._status = os.fstat(self._file)
        self._refuse_if_shorter(self._status.st_size)
        if self.position > 0 and os.pread(self._file, 1, self.position - 1) != b"\n":
            raise CannotStart(
                f"{self.path} is not the file that was read before (no line ends at byte {self.position}): "
                "put the file back, or start once with --rebuild, which takes what is left"
            )

    def _refuse_if_shorter(self, size: int) -> None:
        if size < self.position:
            raise CannotStart(
                f"{self.path} is shorter ({size} bytes) than what has been read of it ({self.position} bytes): "
                "put the file back, or start once with --rebuild, which takes what is left"
            )

    def take(self, taken: list[Record], room: int) -> int:
        """Appends records to `taken` while there is room (in bytes); returns the room left."""
        while True:
            position = self.position
            for line in self._lines if len(taken) < POLL_RECORDS and room > 0 else ():
                begin, oversize, self._oversize = position, self._oversize, 0
                position = begin + (oversize or len(line)) + 1
                room -= len(line) + 1
                if line.endswith(b"\r"):
                    line = line[:-1]
                if oversize or (line and not line.isspace()):
                    taken.append(Record(self.role, PARTITION, begin, position, None, line, oversize))
                if len(taken) >= POLL_RECORDS or room <= 0:
                    break
            self.position = position
            if len(taken) >= POLL_RECORDS or room <= 0 or not self._read():
                return room
            if self._head_size > RECORD_BYTES:
                room -= CHUNK_BYTES  # scanning is work too: one poll does not go through a line without end

    def _read(self) -> bool:
        """Reads one chunk, once all earlier lines were taken; False: nothing has come since the end was last read."""
        size = self.size()
        if size == self._seen_to:
            return False
        self._refuse_if_shorter(size)
        if size < self.read_to:
            self._forget_head()  # the writer has cut off what it had not finished
        chunk = os.pread(self._file, CHUNK_BYTES, self.read_to)
        self.read_to += len(chunk)
        self._seen_to = self.read_to
        first, *others = chunk.split(b"\n")
        self._head_size += len(first)
        self._head = self._head + first if self._head_size <= RECORD_BYTES else (self._head + first)[:HEAD_BYTES]
        if others:
            self._oversize = self._head_size if self._head_size > RECORD_BYTES else 0
            head = others.pop()
            self._lines = iter([self._head, *others])
            self._head, self._head_size = head, len(head)
        if len(chunk) < CHUNK_BYTES and self._head_size <= RECORD_BYTES:
            self._forget_head()
        return True

    def _forget_head(self) -> None:
        self.read_to -= self._head_size
        self._head, self._head_size = b"", 0

    def size(self) -> int:
        status = self.path.stat()
        if not os.path.samestat(status, self._status):  # replaced by another file, as editors do
            self.open()
            self._forget_head()
            self._seen_to = self.read_to
        return status.st_size

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@final
class FilesSource(Source):
    """Reads `events` and `labels` of an embedded log."""

    def __init__(self, path: Path, topics: Topics) -> None:
        self._folder = path
        self._paths = _paths(path, {LABELS: topics.labels, EVENTS: topics.events})  # labels are polled first
        self._tails: list[_Tail] = []

    def open(self, positions: dict[Position, int]) -> None:
        self.close()
        with disk_errors(self._folder):
            for role, path in self._paths.items():
                self._tails.append(_Tail(role, path, positions.get((role, PARTITION), 0)))
                self._tails[-1].open()

    def poll(self, timeout_s: float) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        with disk_errors(self._folder):
            while True:
                read_to = [tail.read_to for tail in self._tails]
                records = self._take()
                left = deadline - time.monotonic()
                if records or left <= 0:
                    return records
                if read_to == [tail.read_to for tail in self._tails]:  # otherwise amid an oversize line
                    time.sleep(min(PAUSE_S, left))

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        room = POLL_BYTES
        for tail in self._tails:
            try:
                room = tail.take(taken, room)
            except (OSError, CannotStart):
                if not taken:
                    raise
                break  # what was read is delivered; the fault is still there at the next poll
        return taken

    def lag(self) -> dict[Position, int]:
        with disk_errors(self._folder):
            return {(tail.role, PARTITION): max(0, tail.path.stat().st_size - tail.position) for tail in self._tails}

    def close(self) -> None:
        for tail in self._tails:
            tail.close()
        self._tails = []


@final
class FilesSink(Sink):
    """Writes the outputs of an embedded log."""

    def __init__(self, path: Path, topics: Topics) -> None:
        self._folder = path
        names = {
            QUERIES: topics.queries,
            PREDICTIONS: topics.predictions,
            REJECTED: topics.rejected,
            MODELS: topics.models,
        }
        self._paths = _paths(path, names)
        self._lock, self._store_id = -1, ""

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        self._take_over()
        files_trace.check(self._folder, store_id, saved_number, replaces)
        self._store_id = store_id
        return None

    def inherit(self) -> Inherited:
        self._take_over()
        trace = files_trace.read(self._folder)
        return Inherited(trace.store, trace.places()) if trace else Inherited("", {})

    def _take_over(self) -> None:
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._lock < 0:
                self._lock = lock(self._folder / ".lock", self._folder)
            for path in self._paths.values():
                path.touch()
            sync_folder(self._folder)

    def ends(self) -> dict[str, int]:
        with disk_errors(self._folder):
            return {role: path.stat().st_size if path.exists() else 0 for role, path in self._paths.items()}

    def publish(self, commit: Commit) -> None:
        assert self._lock >= 0, "publish needs an open sink"
        lines: dict[str, list[bytes]] = {}
        for message in commit.outbox:
            # In JSON a newline can only stand between tokens, where a space means the same.
            lines.setdefault(message.role, []).append(message.value.replace(b"\n", b" ") + b"\n")
        with disk_errors(self._folder):
            if lines:
                files_trace.write(self._folder, self._store_id, commit)
            for role, path in self._paths.items():
                if role in lines and role in commit.outputs:  # not in outputs: it was switched off at that commit
                    _write_from(path, commit.outputs[role], b"".join(lines[role]))

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _paths(folder: Path, names: dict[str, str]) -> dict[str, Path]:
    return {role: folder / f"{name}.jsonl" for role, name in names.items() if name}


def _write_from(path: Path, begin: int, lines: bytes) -> None:
    """Makes the file end with `lines` at `begin`, touching as little as possible of what is there; durable then."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        size = os.fstat(file).st_size
        begin = min(begin, size)
        if begin > 0 and os.pread(file, 1, begin - 1) != b"\n":
            lines = b"\n" + lines  # somebody else's half line stays, as a line of its own
        there = os.pread(file, len(lines), begin)
        agreed = next((at for at, (a, b) in enumerate(zip(lines, there, strict=False)) if a != b), len(there))
        if size > begin + agreed:
            os.ftruncate(file, begin + agreed)
        while agreed < len(lines):
            agreed += os.pwrite(file, lines[agreed:], begin + agreed)
        os.fsync(file)
    finally:
        os.close(file)
