"""Logs: human lines on a terminal, one JSON object a line elsewhere, each with an `action`. On stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import final


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


def set_up_logs() -> logging.Logger:
    """Streamlearn's own logger at INFO; others' only when they warn."""
    handler = logging.StreamHandler(sys.stderr)
    if not sys.stderr.isatty():
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log = logging.getLogger("streamlearn")
    log.setLevel(logging.INFO)
    return log
