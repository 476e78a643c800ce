"""Errors, named by whose fault they are; each one's text is one line that a user can act on.

The data's fault is not an exception: it is a `Rejected` record. Our own fault is an `AssertionError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class StreamlearnError(Exception):
    """What all of streamlearn's own errors have in common: an exit code."""

    exit_code = 1


class ConfigurationError(StreamlearnError):
    """The operator's fault: names the key and the fix. Exit code 2."""

    exit_code = 2


class CannotStart(StreamlearnError):
    """The stored state and the outside do not fit together. Exit code 3."""

    exit_code = 3


class CannotLoad(StreamlearnError):
    """A model that is damaged, or not of this version. Exit code 1."""


class Fenced(StreamlearnError):
    """Another daemon of the same name has taken over; this one must stop. Exit code 1."""


class Unavailable(StreamlearnError):
    """The world's fault (broker away, disk full): try again later. The daemon backs off and goes on."""


# What to do where the store is not there, not whole, or not of the same history as the log.
SUCCEEDED = "another daemon of the same name has taken over; stop one, or give it its own name and store"
REBUILD = "put the store of before back, or start once with `streamlearn run --rebuild`, which builds one from the log"


def line(error: BaseException) -> str:
    """What a user's code raised, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that is most like a mistyped one."""
    return (difflib.get_close_matches(word, known, 1, 0.0) or known)[0]
