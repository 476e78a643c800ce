"""Logs: human lines on a terminal, one JSON object a line elsewhere, each with an `action`. On stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import final

from streamlearn.edges import secrets


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
        return json.dumps(
            {
                "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "action": getattr(record, "action", record.name),
                "message": record.getMessage(),
            }
        )


def set_up_logs(settings: Mapping[str, object]) -> logging.Logger:
    """Streamlearn's own logger at INFO; others' only when they warn. settings: whose secrets are not to be shown."""
    handler = logging.StreamHandler(sys.stderr)
    terminal = sys.stderr.isatty()
    inner = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S") if terminal else JsonLines()
    handler.setFormatter(Hiding(inner, settings))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log = logging.getLogger("streamlearn")
    log.setLevel(logging.INFO)
    return log
