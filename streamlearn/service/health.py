"""Health, from facts that the daemon states: whether its loop turns, and which parts of it are not ready, and why.

Liveness is the age of the loop's last turn, or of its last step in a long one, and nothing else. A broker that is away makes
the daemon unready, never dead: to restart it would not bring the broker back, and would lose what it holds in memory for
nothing.
"""

from __future__ import annotations

from threading import Lock
from typing import final

DEAD_AFTER_S = 60.0
LOG, STORE, NUMBERS, START = "log", "store", "numbers", "start"
MODEL = "model"  # of a scorer
PARTS = (LOG, STORE, NUMBERS, START, MODEL)
OF_A_DAEMON, OF_A_SCORER = (LOG, STORE, NUMBERS, START), (LOG, START, MODEL)


@final
class Health:
    """Stated by the daemon's thread, read by the HTTP server's. Until `ready("start")` it is starting.

    parts: those that there are, here; all are ready of which nothing else was said.
    """

    def __init__(self, parts: tuple[str, ...] = OF_A_DAEMON) -> None:
        self._lock, self.parts = Lock(), parts
        self._last_turn: float | None = None
        self._reasons: dict[str, str] = {START: "starting"}

    def turned(self, now_monotonic: float) -> None:
        """The loop has come round once more."""
        with self._lock:
            self._last_turn = now_monotonic

    def unready(self, part: str, reason: str) -> None:
        assert part in PARTS, f"{part} is not one of {PARTS}"
        with self._lock:
            self._reasons[part] = reason

    def ready(self, part: str) -> None:
        assert part in PARTS, f"{part} is not one of {PARTS}"
        with self._lock:
            self._reasons.pop(part, None)

    def age(self, now_monotonic: float) -> float:
        """Seconds since the last turn; before the first one, since this was first asked."""
        with self._lock:
            if self._last_turn is None:
                self._last_turn = now_monotonic
            return max(0.0, now_monotonic - self._last_turn)

    def live(self, now_monotonic: float) -> bool:
        return self.age(now_monotonic) < DEAD_AFTER_S

    def readiness(self) -> dict[str, str]:
        """Part → reason, of those that are not ready; empty when all are."""
        with self._lock:
            return {part: self._reasons[part] for part in PARTS if part in self._reasons}
