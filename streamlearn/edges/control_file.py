"""Commands in a file beside the store: a line each, appended, never changed.

Numbers go on behind both the file's last and the last one obeyed, so that a file that was removed is no way to be ignored.
A line counts once its newline is there.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import final

import msgspec

from streamlearn.edges.system import disk_errors
from streamlearn.service.ports import Command, Control


@final
class ControlFile(Control):
    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".control")
        self._seen: tuple[int, int, int] | None = None  # inode, size and time of the file when it was last read
        self._commands: list[Command] = []

    def after(self, number: int) -> list[Command]:
        with disk_errors(self._path):
            try:
                status = self._path.stat()
            except FileNotFoundError:
                return []
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                self._commands = _commands(self._path.read_bytes())
                self._seen = seen
        return [command for command in self._commands if command.number > number]

    def append(self, action: str, commit: int, obeyed: int, user: str = "") -> int:
        """Leave one more command, durable on return; its number. obeyed: that of the last one that was."""
        with disk_errors(self._path):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                content = os.pread(file, os.fstat(file).st_size, 0)
                number = 1 + max([obeyed, *(command.number for command in _commands(content))])
                half = b"" if content.endswith(b"\n") or not content else b"\n"
                os.write(file, half + msgspec.json.encode(Command(number, action, commit, user)) + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        return number


def _commands(content: bytes) -> list[Command]:
    found = []
    for line in content.split(b"\n")[:-1]:
        try:
            found.append(msgspec.json.decode(line, type=Command))
        except msgspec.MsgspecError:
            continue  # half a line, of a writer that was killed
    return sorted(found)
