"""How far reading is behind, as records say it: how many are unread, and how old the last one is that was read.

A record's time is when the log got it, as Kafka tells it. Lines of the embedded log have none: there an age is how long there
has been more to read, which is at least as long as the oldest unread line has been there, as far as this process knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import Clock, Position, Record


@final
class Lag:
    def __init__(self, measurements: Measurements, clock: Clock) -> None:
        self._measurements, self._clock = measurements, clock
        self._times: dict[Position, float] = {}  # of the last record read, where that has one
        self._behind: dict[Position, float] = {}  # since when (monotonic time) there is more to read
        self._told: set[Position] = set()

    def read(self, records: Sequence[Record]) -> None:
        """These records were dealt with, in order."""
        self._times.update({(each.role, each.partition): each.time for each in records if each.time is not None})

    def tell(self, unread: Mapping[Position, int]) -> None:
        """State it, by how much is unread. Of a position that is another's to read now, nothing is."""
        for position in self._told - unread.keys():
            self._times.pop(position, None)
        for position, many in (dict.fromkeys(self._told - unread.keys(), 0) | dict(unread)).items():
            role, partition = position[0], str(position[1])
            self._measurements.set("streamlearn_lag", many, topic=role, partition=partition)
            if many:
                self._measurements.since(
                    "streamlearn_lag_seconds", self._since(position), topic=role, partition=partition
                )
            else:
                self._behind.pop(position, None)
                self._measurements.set("streamlearn_lag_seconds", 0, topic=role, partition=partition)
        self._told = set(unread)

    def _since(self, position: Position) -> float:
        now, written = self._clock.monotonic(), self._times.get(position)
        began = self._behind.setdefault(position, now)
        return began if written is None else now - max(0.0, self._clock.now() - written)
