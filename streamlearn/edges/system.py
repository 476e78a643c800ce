"""What the operating system gives: the clock, a lock that keeps a second daemon out, and the names of disk errors.

The lock is `flock` on a file that stays: the kernel lets go of it when its holder dies, however it dies, so a crash
leaves nothing to clean up; and a file that is never removed cannot be locked twice under one name.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from streamlearn.errors import CannotStart, Unavailable
from streamlearn.service.ports import Clock


@final
class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """An `OSError` inside (disk full, permission, a volume gone) is the world's fault: the daemon tries again later."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{error.filename or path}: {error.strerror or error}") from error


def lock(path: Path, guarded: Path) -> int:
    """Locks `path` until the returned descriptor is closed; `CannotStart` where another one holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise CannotStart(f"another streamlearn is running on {guarded} (pid {pid})") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sync_folder(folder: Path) -> None:
    """New names in a folder are durable once the folder itself is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, part: Path, content: bytes, exclusive: bool = False) -> None:
    """A reader of `path` sees what was there before, or all of the content, which is on the disk by then.

    part: where it is written first, in the same folder; exclusive: where nothing may be. The name is durable once the folder
    is (`sync_folder`).
    """
    with part.open("xb" if exclusive else "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def beside(path: Path, what: str) -> Path:
    """A name that says what was put beside a file, and when; no earlier one is overwritten."""
    return path.with_name(f"{path.name}.{what}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
