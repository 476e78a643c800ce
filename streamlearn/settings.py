"""Reads the configuration: defaults, then the TOML file, then the environment, then `--set`; later ones win.

Every value passes the same two gates whatever its source, its type (from the tree's annotations) and its limit (from
`limits.py`), and is refused in one line that begins with the source. The environment and `--set` give text: it is read
as the key's type, so `a,b` is a list where a list is due, and a text needs no quotes.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from streamlearn import contradictions, limits
from streamlearn.config import Configuration
from streamlearn.edges import secrets
from streamlearn.errors import ConfigurationError
from streamlearn.limits import refuse

PREFIX = "STREAMLEARN__"
KEY = re.compile(r"[A-Za-z0-9_.-]+")
TABLE = "kafka.settings"  # the only key with free names below it


def _leaves(section: type[Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, type, default) of every key, in the tree's order."""
    hints = get_type_hints(section)
    for field in fields(section):
        hint, key = hints[field.name], prefix + field.name
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _leaves(hint, key + ".")
        elif field.default_factory is not MISSING:
            yield key, hint, field.default_factory()
        else:
            yield key, hint, field.default


TYPES: dict[str, Any] = {key: hint for key, hint, _ in _leaves(Configuration)}
DEFAULTS: dict[str, Any] = {key: default for key, _, default in _leaves(Configuration)}
SECTIONS = {key.rpartition(".")[0] for key in TYPES} - {""}


def read(path: Path | None, environment: Mapping[str, str], overrides: Sequence[str]) -> Configuration:
    """The configuration; ConfigurationError where anything in it cannot be meant."""
    values: dict[str, Any] = {}
    if path is not None:
        for key, value in _flat(_load(path), "", str(path)):
            values[key] = _checked(key, value, str(path))
    for name in sorted(environment):
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            _override(values, key, environment[name], name)
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not KEY.fullmatch(key):
            shown = f" {key}" if key in TYPES or key in SECTIONS else ""  # what is no key may be a secret
            raise refuse(f"--set{shown} is not of the form KEY=VALUE; write, for example, --set queries.budget=0.05")
        _override(values, key, text.strip(), "--set")
    configuration: Configuration = _tree(Configuration, "", values)
    contradictions.check(configuration)
    if configuration.log.kind != "kafka":
        return configuration
    kafka = configuration.kafka
    return replace(configuration, kafka=replace(kafka, settings=secrets.resolved(kafka.settings, environment)))


def given(values: Mapping[str, object], origin: str) -> Configuration:
    """The configuration with these values of keys, which come from a program; ConfigurationError as above."""
    configuration: Configuration = _tree(Configuration, "", {k: _checked(k, v, origin) for k, v in values.items()})
    contradictions.check(configuration)
    return configuration


def differences(configuration: Configuration) -> dict[str, str]:
    """Key → value, as TOML, of what is not at its default; secrets hidden."""
    found = {}
    for key, default in DEFAULTS.items():
        value: Any = configuration
        for name in key.split("."):
            value = getattr(value, name)
        if key == TABLE:
            found.update({f"{key}.{name}": limits.show(f"{key}.{name}", each) for name, each in value.items()})
        elif value != default:
            found[key] = secrets.hide(limits.show(key, value), configuration.kafka.settings)
    return found


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise refuse(f"{path}: there is no such file; name a TOML file, or none for the defaults") from None
    except OSError as error:
        raise refuse(f"{path}: cannot be read ({error.strerror}); name a TOML file that can") from None
    except UnicodeDecodeError as error:
        raise refuse(f"{path}: is not UTF-8 text at byte {error.start}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: also a number with thousands of digits
        where = "" if "line" in str(error) else f" (in line {text.count(chr(10)) + 1})"
        raise refuse(f"{path}: is not TOML: {error}{where}; correct that line") from None


def _flat(table: Mapping[str, Any], prefix: str, origin: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of every key in nested tables; what is unknown is refused."""
    for name, value in table.items():
        key = prefix + name
        if key in TYPES:
            yield key, value
        elif key in SECTIONS and not isinstance(value, dict):
            raise refuse(f"{origin}: {key} is a section, not a value; write [{key}] and its keys below it")
        elif key in SECTIONS or (isinstance(value, dict) and value):
            yield from _flat(value, key + ".", origin)
        else:
            raise _unknown(key, origin)


def _override(values: dict[str, Any], key: str, text: str, origin: str) -> None:
    """Take one value that came as text."""
    if key.startswith(TABLE + "."):
        name, value = key.removeprefix(TABLE + "."), _toml(text, text)
        if secrets.is_secret(name) and not secrets.is_reference(value):
            value = text  # a password of digits is a text
        values[TABLE] = secrets.with_setting(values.get(TABLE, {}), name, value)
    elif key in TYPES:
        value = _checked(key, _read_as(TYPES[key], text), origin)
        values[key] = {**values.get(TABLE, {}), **value} if key == TABLE else value
    elif key in SECTIONS:
        nearest = next(each for each in TYPES if each.startswith(key + "."))
        raise refuse(f"{origin}: {key} is a section, not a value; set a key of it, such as {nearest}")
    else:
        raise _unknown(key, origin)


def _unknown(key: str, origin: str) -> ConfigurationError:
    def likeness(known: str) -> float:  # the name counts once more, so that a key in the wrong section is found
        pairs = ((key, known), (key.rpartition(".")[2], known.rpartition(".")[2]))
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return refuse(f"{origin}: {key} is not a key; did you mean {max(TYPES, key=likeness)}?")


def _toml(text: str, otherwise: Any) -> Any:
    """The text as a TOML value on one line, or `otherwise`."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return otherwise
    return table["value"] if len(table) == 1 else otherwise


def _read_as(hint: Any, text: str) -> Any:
    """Text as a value of this type, or as it is where it cannot be one: then the type is refused later."""
    if hint is str:
        return text
    if get_origin(hint) is tuple and not text.startswith("["):
        return [_element(hint, each.strip()) for each in text.split(",")] if text else []
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return hint(text) if hint in (int, float) else _toml(text, text)
    except ValueError:
        return text


def _element(hint: Any, text: str) -> Any:
    return text if str in get_args(hint) and len(set(get_args(hint))) == 2 else _toml(text, text)  # tuple[str, ...]


def _checked(key: str, value: Any, origin: str) -> Any:
    """The value as the tree's type, within its limit."""
    hint = TYPES[key]
    if isinstance(value, list) and get_origin(hint) is tuple:
        value = tuple(map(_number, value)) if hint == tuple[float, float] else tuple(value)
    value = _number(value) if hint is float else value
    value = secrets.flat(value) if key == TABLE and isinstance(value, dict) else value
    if not _is_a(hint, value):
        raise limits.not_allowed(key, value, DEFAULTS[key], origin)
    limits.check(key, value, DEFAULTS[key], origin)
    return value


def _number(value: Any) -> Any:
    """A whole number as a float; anything else as it is."""
    if type(value) is not int:
        return value
    return float(value) if abs(value) < 2**1000 else math.inf


def _is_a(hint: Any, value: Any) -> bool:
    if get_origin(hint) is dict:
        return isinstance(value, dict)
    if get_origin(hint) is not tuple:
        return type(value) is hint
    if not isinstance(value, tuple):
        return False
    if hint == tuple[float, float]:
        return len(value) == 2 and all(type(each) is float for each in value)
    kinds = {tuple[str, ...]: (str,), tuple[int, ...]: (int,)}.get(hint, (str, int, float, bool))
    return all(type(each) in kinds for each in value)


def _tree(section: type[Any], prefix: str, values: Mapping[str, Any]) -> Any:
    given = {}
    for name, hint in get_type_hints(section).items():
        key = prefix + name
        if is_dataclass(hint):
            assert isinstance(hint, type)
            given[name] = _tree(hint, key + ".", values)
        elif key in values:
            given[name] = values[key]
    return section(**given)
