"""Logs on stderr: human lines on a terminal, one JSON object a line elsewhere, unless the configuration says which.

An object has `time` (UTC, ISO 8601), `level`, `action`, `message`, and what numbers the message holds as fields of their own.
`action` is one of few constant words, listed in the README: filter by it, not by the message. Of other libraries, which are
heard when they warn, it is `library`. What ends the process unexpectedly is one line, too, with its traceback in it.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import final

from streamlearn import config
from streamlearn.edges import secrets

STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "action", "taskName"}  # what any record has


@final
class Hiding(logging.Formatter):
    """Another formatter's lines, without the values of secret settings."""

    def __init__(self, inner: logging.Formatter, settings: Mapping[str, object]) -> None:
        super().__init__()
        self._inner, self._settings = inner, settings

    def format(self, record: logging.LogRecord) -> str:
        return secrets.hide(self._inner.format(record), self._settings)


@final
class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        own = record.name == "streamlearn"
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "action": getattr(record, "action", "library"),
            "message": record.getMessage(),
            **({} if own else {"logger": record.name}),
            **{name: value for name, value in vars(record).items() if own and name not in STANDARD},
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def set_up_logs(told: config.Logging, settings: Mapping[str, object]) -> logging.Logger:
    """Streamlearn's own logger at the level that was told; others' only when they warn. settings: whose secrets are hidden."""
    human = told.format == "human" or (told.format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        Hiding(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S") if human else JsonLines(), settings)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    log = logging.getLogger("streamlearn")
    log.setLevel(told.level.upper())
    _catch(log)
    return log


def _catch(log: logging.Logger) -> None:
    """What nobody expected is logged from now on, in any thread."""

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        where = (kind, error or kind(), trace)
        log.critical("unexpected %s: %s", kind.__name__, error, exc_info=where, extra={"action": "crashed"})

    sys.excepthook = tell
    threading.excepthook = lambda given: tell(given.exc_type, given.exc_value, given.exc_traceback)
