"""`streamlearn backup`: a copy of a store, also while a daemon writes to it."""

from __future__ import annotations

from pathlib import Path

from streamlearn.edges.sqlite import backup as sqlite_backup


def backup(store: Path, to: Path) -> int:
    """Prints which commit the copy holds."""
    number = sqlite_backup.backup(store, to)
    print(f"{to} holds commit {number} of {store}, {to.stat().st_size} bytes")
    return 0
