"""Secrets of `[kafka.settings]`: where they come from, and that they are never shown.

A value may be written down, or be `{ env = "NAME" }` or `{ file = "/run/secrets/password" }`, which is read at the start.
Secret is what has a name like a secret's, and whatever came from the environment or a file. A secret is struck from every
text that is printed, logged or served, also where the text holds it escaped or line by line.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

from streamlearn.errors import ConfigurationError

# As the client libraries name them, with underscores or dots.
NAMES = re.compile(
    r"passw|passphrase|secret|token(?!.endpoint)|credential|proxy|jaas|oauthbearer.config|private|ssl.key.pem|kinit",
    re.IGNORECASE,
)
FILE_BYTES_MOST = 1 << 20
LINE_LEAST = 8  # characters of a line of a longer secret, such as a key, that are struck wherever they are
HIDDEN = "***"
SOURCES = ("env", "file")


@final
class Secret(str):
    """A text that a `repr`, and so a traceback or a printed configuration, does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret."""
    return NAMES.search(name) is not None


def is_reference(value: object) -> bool:
    """Whether a value says where it is to be read: a table of `env` or `file`."""
    return isinstance(value, dict) and bool(value) and set(value) <= set(SOURCES)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings with tables in them as one table: `sasl.password = ...` in TOML is the setting `sasl.password`."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found


def with_setting(settings: Mapping[str, Any], name: str, value: object) -> dict[str, Any]:
    """The flat settings with one more, in the place of any that says the same from elsewhere."""
    own = flat({name: value})
    said = {_parts(each)[0] for each in own}
    return {**{key: each for key, each in settings.items() if _parts(key)[0] not in said}, **own}


def resolved(settings: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The flat settings with their references read. Raises ConfigurationError where one cannot be."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name, source = _parts(key)
        if not source:
            found[name] = Secret(value) if isinstance(value, str) and is_secret(name) else value
            continue
        shown = f"kafka.settings.{name}"
        if not isinstance(value, str) or not value:
            what = "a path" if source == "file" else "the name of a variable"
            raise ConfigurationError(f'{shown}: {source} must be {what}; write {{ {source} = "..." }}')
        if any(f"{name}.{other}" in settings for other in SOURCES if other != source):
            raise ConfigurationError(f"{shown} is both in the environment and in a file; give env or file")
        found[name] = _from_file(shown, value) if source == "file" else _from_environment(shown, value, environment)
    return found


def _parts(key: str) -> tuple[str, str]:
    """(setting, where it is read from or "")."""
    name, _, source = key.rpartition(".")
    return (name, source) if name and source in SOURCES else (key, "")


def _from_environment(shown: str, variable: str, environment: Mapping[str, str]) -> Secret:
    text = environment.get(variable)
    if not text:
        what = "is empty" if text is not None else "is not set"
        raise ConfigurationError(f"{shown}: the environment variable {variable} {what}; set it, or correct the name")
    return Secret(text)


def _from_file(shown: str, path: str) -> Secret:
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MOST + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "not a path"
        raise ConfigurationError(f"{shown}: {path} cannot be read ({why}); put the secret there, or name it") from None
    if len(content) > FILE_BYTES_MOST:
        raise ConfigurationError(f"{shown}: {path} is larger than {FILE_BYTES_MOST} bytes; name the secret's file")
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{shown}: {path} is not UTF-8 text; name a file that holds the text alone") from None
    if not text:
        raise ConfigurationError(f"{shown}: {path} is empty; put the secret there, or name another file")
    return Secret(text)


def hide(text: str, settings: Mapping[str, object]) -> str:
    """The text without the values of secret settings."""
    forms = {form for key, value in settings.items() for form in _forms(key, value)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(key: str, value: object) -> Iterator[str]:
    """A secret as texts may hold it."""
    if not (isinstance(value, Secret) or is_secret(key)) or value in (None, ""):
        return
    plain = str.__str__(value) if isinstance(value, str) else str(value)
    yield from (plain, repr(plain)[1:-1], json.dumps(plain)[1:-1], " ".join(plain.split()) or plain)
    yield from (line for line in map(str.strip, plain.splitlines()) if len(line) >= LINE_LEAST)


def line(text: str, settings: Mapping[str, object]) -> str:
    """The same, on one line."""
    return " ".join(hide(text, settings).split())


def guard(settings: Mapping[str, object]) -> None:
    """From now on a traceback of this process is without them, in any thread."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        print(hide(text, settings), end="", file=sys.stderr, flush=True)

    sys.excepthook = show
    threading.excepthook = lambda given: show(given.exc_type, given.exc_value, given.exc_traceback)
