"""The record of an evaluation: `trials.jsonl`, a line a finished trial. What stands there is not played again.

A line is worth something as long as the same plan would give the same trial: a fingerprint of the code that trials run, of
the libraries below it and of the user's own data is in each. A record with another one is moved aside and told of, so that
no table mixes two programs. A last line that a crash tore is cut off.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final, final

import msgspec

import streamlearn
from streamlearn.errors import ConfigurationError
from streamlearn.evaluation.trial import Outcome, Plan

FORMAT: Final = 1
ROOMS: Final = ("core/**", "queries", "learner", "service", "edges/**", "evaluation")  # what a trial runs
MODULES: Final = ("config.py", "assemble.py")
LIBRARIES: Final = ("numpy", "scipy", "river", "scikit-learn")


@final
@dataclass(frozen=True)
class Version:
    """What every version's lines say."""

    version: str


@final
@dataclass(frozen=True)
class Line:
    """One trial; of what it asked only the counts are kept. acted: strategies that asked, where another had to stand in."""

    version: str
    outcome: Outcome
    issued: int
    acted: tuple[str, ...]


@final
class Record:
    """Open while an evaluation runs, and locked so that no other one writes to it. Raises ConfigurationError, OSError."""

    def __init__(self, path: Path, version: str) -> None:
        self._path, self._version = path, version
        self.moved: Path | None = None
        self.lines: dict[Plan, Line] = {}
        self._open()
        if self._read():
            self.moved = self._aside()
            self._file.close()
            self._open()

    def append(self, outcome: Outcome) -> None:
        """Keep a trial."""
        acted = tuple(sorted({asked.strategy for asked in outcome.asked}))
        line = Line(self._version, replace(outcome, asked=()), len(outcome.asked), acted)
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()
        self.lines[outcome.plan] = line

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file = self._path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ConfigurationError(
                f"{self._path} is being written by another evaluation; name another --out"
            ) from None

    def _read(self) -> bool:
        """Take in what is there; whether it is of another version."""
        self._file.seek(0)
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        self._file.truncate(whole)
        for each in text[:whole].splitlines():
            try:
                if msgspec.json.decode(each, type=Version).version != self._version:
                    return True
                line = msgspec.json.decode(each, type=Line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # damaged: that trial is played again
            self.lines[line.outcome.plan] = line
        return False

    def _aside(self) -> Path:
        """The file under a name that is free."""
        self.lines.clear()
        number = 1
        while (moved := self._path.with_name(f"{self._path.name}.aside-{number}")).exists():
            number += 1
        self._path.replace(moved)
        return moved


def fingerprint(files: Iterable[Path], label: str | None) -> str:
    """Of what trials depend on beside their plans. Raises OSError."""
    root = Path(streamlearn.__file__).parent
    code = [*(root / name for name in MODULES), *(path for room in ROOMS for path in root.glob(f"{room}/*.py"))]
    digest = hashlib.sha256(f"{FORMAT} {label} {[version(name) for name in LIBRARIES]}".encode())
    for path in [*sorted(code), *files]:
        digest.update(str(path.relative_to(root) if path.is_relative_to(root) else path.name).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
