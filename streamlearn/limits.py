"""What each key of the configuration allows: one table. The rules that tie keys together are in `contradictions.py`.

A refusal is one line that names the key, its value, what is allowed, and what to do. Words that are designed
but not built yet are told apart from mistakes. Values of secret keys are never shown: whoever reads the line may not be
the one who may read the secret.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from streamlearn.errors import ConfigurationError
from streamlearn.queries import names

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")  # also a file name, a consumer group and a transactional id
SERVERS = re.compile(
    r"[^\s,:@]+:\d{1,5}(\s*,\s*[^\s,:@]+:\d{1,5})*|(\[[0-9A-Fa-f:.]+\]:\d{1,5})(\s*,\s*\[[0-9A-Fa-f:.]+\]:\d{1,5})*"
)
SECRET = re.compile(r"password|secret|token|credential|^kafka\.settings\.", re.IGNORECASE)
USER = re.compile(r".*@", re.DOTALL)  # before a host: may be a password, wherever somebody has put it
PLUGIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")  # package.module:function
KINDS = ("linear", "mlp", "cnn", "embedding-bag")
CLASSES_MOST = 256
SEED_MOST = 2**63 - 1
SHOWN_MOST = 80  # characters of a value


@final
@dataclass(frozen=True)
class Limit:
    """What a key allows, in words and as a predicate on a value of the right type. `later`: words not built yet."""

    allowed: str
    accepts: Callable[[Any], bool]
    later: re.Pattern[str] | None = None


def _words(*words: str, later: str = "") -> Limit:
    text = [f'"{word}"' for word in words]
    allowed = text[0] if len(text) == 1 else f"one of {', '.join(text[:-1])} or {text[-1]}"
    return Limit(allowed, lambda value: value in words, re.compile(later) if later else None)


def _whole(least: int, most: int | None = None) -> Limit:
    allowed = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    return Limit(allowed, lambda value: value >= least and (most is None or value <= most))


def _topic(optional: bool) -> Limit:
    allowed = 'a topic name (letters, digits, ".", "_", "-")' + (', or "" for none' if optional else "")
    return Limit(allowed, lambda value: bool(NAME.fullmatch(value)) or (optional and value == ""))


def _distinct(values: tuple[Any, ...]) -> bool:
    return len({(isinstance(value, bool), value) for value in values}) == len(values)  # True is not 1 here


def _classes(values: tuple[Any, ...]) -> bool:
    fractions = any(isinstance(value, float) and not value.is_integer() for value in values)
    return not fractions and _distinct(values) and (not values or 2 <= len(values) <= CLASSES_MOST)


def _sizes(values: tuple[int, ...], most: int) -> bool:
    return all(1 <= value <= most for value in values)


def _shape(values: tuple[int, ...]) -> bool:
    return _sizes(values, 4096) and math.prod(values) <= 4096


def _bounds(values: tuple[float, float]) -> bool:
    return 0 < values[0] < values[1] < math.inf


STRATEGIES = ("auto", *names.NAMES)
_FLAG = Limit("true or false", lambda _: True)
_PATH = Limit("a path", lambda value: value != "" and "\0" not in value)
_POSITIVE = Limit("a number above 0", lambda value: 0 < value < math.inf)
_NOT_NEGATIVE = Limit("a number of at least 0", lambda value: 0 <= value < math.inf)

LIMITS: dict[str, Limit] = {
    "name": Limit('up to 200 letters, digits, ".", "_" and "-"', lambda value: bool(NAME.fullmatch(value))),
    "log.kind": _words("files", "kafka", "memory"),
    "log.path": _PATH,
    "kafka.bootstrap_servers": Limit("host:port, or several with commas", lambda value: bool(SERVERS.fullmatch(value))),
    "kafka.client": _words("kafka-python", "confluent"),
    "kafka.lost": _words("stop", "earliest", "latest"),
    "kafka.overload": _words("wait", "sample"),
    "kafka.backlog": _whole(1),
    "kafka.settings": Limit("a table of the client library's settings", lambda _: True),
    "kafka.create_topics": _FLAG,
    "kafka.partitions": _whole(0, 10_000),
    "kafka.replication": _whole(0, 100),
    "kafka.format": _words("json", "protobuf"),
    "kafka.framing": _words("", "schema-registry"),
    "kafka.schema_ids.queries": _whole(0, 2**31 - 1),
    "kafka.schema_ids.predictions": _whole(0, 2**31 - 1),
    "kafka.schema_ids.rejected": _whole(0, 2**31 - 1),
    "topics.events": _topic(optional=False),
    "topics.candidates": _topic(optional=True),
    "topics.labels": _topic(optional=False),
    "topics.queries": _topic(optional=True),
    "topics.predictions": _topic(optional=True),
    "topics.rejected": _topic(optional=True),
    "topics.models": _topic(optional=True),
    "models.every_labels": _whole(1),
    "models.every_s": _POSITIVE,
    "models.for_scorers": _FLAG,
    "scorers.stale_s": _NOT_NEGATIVE,
    "scorers.when_stale": _words("go-on", "stop"),
    "scorers.instance": Limit(
        'up to 200 letters, digits, ".", "_" and "-", or ""', lambda value: value == "" or bool(NAME.fullmatch(value))
    ),
    "features.kind": _words("dense", "tokens", later="sparse"),
    "features.names": Limit("a list of distinct names", lambda value: _distinct(value) and "" not in value),
    "features.length": _whole(1, 4096),
    "features.standardise": _FLAG,
    "features.river": Limit(
        '"package.module:transformer", or "" for none', lambda value: value == "" or bool(PLUGIN.fullmatch(value))
    ),
    "model.kind": Limit(
        'one of "linear", "mlp", "cnn", "embedding-bag" or "package.module:factory"',
        lambda value: value in KINDS or bool(PLUGIN.fullmatch(value)),
    ),
    "model.loss": _words("", "squared", "logistic", "softmax", "poisson"),
    "model.classes": Limit(f"a list of 2 to {CLASSES_MOST} distinct texts, whole numbers or booleans, or []", _classes),
    "model.hidden": Limit("a list of whole numbers from 1 to 65536, or []", lambda value: _sizes(value, 65_536)),
    "model.shape": Limit("a list of whole numbers of at least 1, 4096 in all, or []", _shape),
    "model.vocabulary": _whole(1, 10_000_000),
    "model.device": _words("cpu", "cuda", "auto"),
    "model.dtype": _words("", "float32", "float64"),
    "model.threads": _whole(1, 1024),
    "labels.wait": _whole(0),
    "labels.remember": _whole(0),
    "training.solver": _words("auto", "newton", "cg", "sgdf"),
    "training.optimizer": _words("sgd", "momentum", "adagrad", "adam"),
    "training.learning_rate": _NOT_NEGATIVE,
    "training.batch_size": _whole(1),
    "training.steps_per_label": _whole(1),
    "training.tangent": _words("at-once", "settled"),
    "training.curvature": _words("gauss-newton", "hessian"),
    "training.damping": _NOT_NEGATIVE,
    "training.keep": _whole(0),
    "regularity.regularizer": Limit(
        '"l2", "l1" or "package.module:function"', lambda value: value in ("l2", "l1") or bool(PLUGIN.fullmatch(value))
    ),
    "regularity.free": Limit("a list of distinct names", lambda value: _distinct(value) and "" not in value),
    "regularity.parameters": Limit(
        "a list of distinct names or patterns", lambda value: _distinct(value) and "" not in value
    ),
    "regularity.origin": Limit('a path, or "" for none', lambda value: "\0" not in value),
    "regularity.increasing": _words("", "log", "square"),
    "regularity.compensated": _FLAG,
    "regularity.learn": _FLAG,
    "regularity.initial_precision": _NOT_NEGATIVE,
    "regularity.precision_bounds": Limit("two numbers above 0, the smaller first", _bounds),
    "regularity.fixed": _POSITIVE,
    "regularity.intercept_precision": _NOT_NEGATIVE,
    "regularity.validation": _words("progressive", "holdout", "rotating", "leave-one-out"),
    "validation.test_share": Limit("a number above 0 and below 1", lambda value: 0 < value < 1),
    "validation.folds": _whole(2, 100),
    "queries.strategy": _words(*STRATEGIES),
    "queries.count_pending": _words("auto", "always", "never"),
    "queries.budget": Limit("a number above 0 and at most 1", lambda value: 0 < value <= 1),
    "queries.outstanding": _whole(1),
    "queries.audit_share": Limit("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "queries.expire_s": _POSITIVE,
    "queries.rest_below": _NOT_NEGATIVE,
    "queries.shadows": Limit(
        f"a list of distinct strategies: {', '.join(STRATEGIES)}",
        lambda value: _distinct(value) and set(value) <= set(STRATEGIES),
    ),
    "queries.seed": _whole(0, SEED_MOST),
    "drift.detector": _words("none", "adwin", "page-hinkley", "kswin"),
    "drift.response": _words("none", "audit", "forget"),
    "drift.audit_share": Limit("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "drift.for_events": _whole(1),
    "users.kind": _words("none", "deviation", "personality", "gamma-normal", "hierarchy"),
    "users.penalty": _words("l2", "l1"),
    "users.cache": _whole(1),
    "users.queries_per_day": _whole(0),
    "users.directions": _whole(1),
    "users.parameters": Limit(
        "a list of distinct names or patterns", lambda value: _distinct(value) and "" not in value
    ),
    "store.path": Limit('a path, or "" for the usual one', lambda value: "\0" not in value),
    "http.host": Limit("a host name or address", lambda value: bool(re.fullmatch(r"\S+", value))),
    "http.port": _whole(-1, 65_535),
    "logging.level": _words("debug", "info", "warning"),
    "logging.format": _words("auto", "json", "human"),
}


def refuse(text: str) -> ConfigurationError:
    """The error, on one line and safe to print, whatever was in the value."""
    return ConfigurationError("".join(c if c.isprintable() else "?" for c in " ".join(text.split())))


def show(key: str, value: object) -> str:
    """The value as TOML writes it, cut where it is long, hidden where it is secret."""
    if SECRET.search(key) or key == "kafka.settings":
        return "***"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if key == "kafka.bootstrap_servers":
        text = USER.sub('"***@', text)
    return text if len(text) <= SHOWN_MOST else text[:SHOWN_MOST] + "..."


def check(key: str, value: Any, default: object, origin: str) -> None:
    """Refuse a value (of the right type) that its key does not allow."""
    limit = LIMITS[key]
    if limit.accepts(value):
        return
    if limit.later is not None and limit.later.fullmatch(value):
        use = f"use {key} = {show(key, default)}"
        raise refuse(f"{origin}: {key} = {show(key, value)} is not available in this version; {use} ({limit.allowed})")
    raise not_allowed(key, value, default, origin)


def not_allowed(key: str, value: object, default: object, origin: str) -> ConfigurationError:
    example = f"set, for example, {key} = {show(key, default)}" if default != {} else f"write a section [{key}]"
    return refuse(f"{origin}: {key} = {show(key, value)} is not {LIMITS[key].allowed}; {example}")
