"""Patience with the world: its faults (`Unavailable`) are waited out with growing pauses, unready meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, final

from streamlearn.errors import Unavailable
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import Clock

T = TypeVar("T")
PAUSE_LEAST_S, PAUSE_MOST_S = 0.1, 15.0

log = logging.getLogger("streamlearn")


@final
class Stopped(Exception):
    """Asked to stop while waiting for the world: nothing is lost, what was not committed is read again."""


@final
class Patience:
    """Every call of the daemon to a port goes through here."""

    def __init__(
        self, clock: Clock, health: Health, measurements: Measurements, pause: Callable[[float], bool]
    ) -> None:
        """pause(seconds) waits and says whether the daemon should stop."""
        self._clock, self._health, self._measurements, self._pause = clock, health, measurements, pause

    def __call__(self, part: str, action: Callable[[], T]) -> T:
        """What `action` returns, tried until it does; `part` of the daemon is unready as long as that takes."""
        pause_s, away_since = PAUSE_LEAST_S, None
        while True:
            self.alive()
            try:
                result = action()
            except Unavailable as error:
                self._health.unready(part, str(error))
                self._measurements.set("streamlearn_ready", 0, part=part)
                away_since = self._clock.monotonic() if away_since is None else away_since
                log.warning(
                    "%s; trying again", error, extra={"action": "unavailable", "part": part, "pause_s": pause_s}
                )
                if self._pause(pause_s):
                    raise Stopped from error
                pause_s = min(2.0 * pause_s, PAUSE_MOST_S)
            else:
                self._health.ready(part)
                if away_since is not None:
                    away_s = round(self._clock.monotonic() - away_since, 3)
                    log.info(
                        "%s: back after %.1f s", part, away_s, extra={"action": "back", "part": part, "away_s": away_s}
                    )
                return result

    def alive(self) -> None:
        """Whoever calls this is: between two steps of what may take long."""
        self._health.turned(self._clock.monotonic())

    def over(self, rest_s: float = 0.0) -> bool:
        """Whether the daemon was asked to stop, or is within so many seconds; whoever asks is alive."""
        self.alive()
        return self._pause(rest_s)
