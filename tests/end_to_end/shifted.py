"""`streamlearn` by a wall clock that is wrong: `python shifted.py FILE run …`, by as many seconds as the file says just now."""

from __future__ import annotations

import sys
import time
from pathlib import Path

real = time.time


def shift(file: Path) -> None:
    """Before anything is imported that keeps the function. C libraries still see the machine's clock."""
    time.time = lambda: real() + float(file.read_text() or 0.0)


if __name__ == "__main__":
    shift(Path(sys.argv[1]))
    from streamlearn import cli

    sys.exit(cli.main(sys.argv[2:]))
