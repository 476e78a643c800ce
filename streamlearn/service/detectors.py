"""Detectors of change: the door to river's ADWIN, Page-Hinkley and KSWIN, by name.

They are fed values in [0, 1] (`drift.py`), so their constants need no tuning; those here were chosen for few false alarms, by
`benchmarks/drift.py`. A detector of river's has no state that could be kept, but for a pickle, which another version could not
read. So what is kept is what it was fed since it began, and it is built again from that. That is bounded: when there are more
values than `KEPT_MOST`, a new detector goes on from the newer half of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, final

import numpy as np
from numpy.typing import NDArray

from streamlearn.core.losses import Array

NONE: Final = "none"
KEPT_MOST: Final = {"adwin": 1024, "page-hinkley": 1024, "kswin": 256}  # KSWIN looks at 100, and is slow
SIDE_LEAST: Final = 5  # values on each side of a change


class Detector(Protocol):
    """As much of river's as is needed."""

    drift_detected: bool

    def update(self, x: float) -> Any: ...


def load(name: str) -> None:
    """Have river at hand: it takes a second or two, which a daemon spends before it is ready, and a command does not."""
    if name != NONE:
        detector(name, 0)


def detector(name: str, seed: int) -> Detector:
    """A new one. river is a heavy import."""
    from river import drift

    if name == "adwin":
        return cast(Detector, drift.ADWIN(delta=0.02, clock=1))
    if name == "page-hinkley":
        return cast(Detector, drift.PageHinkley(delta=0.1, threshold=8.0, mode="both"))
    assert name == "kswin", name
    return cast(Detector, drift.KSWIN(alpha=1e-5, seed=seed))


@final
@dataclass(frozen=True)
class Series:
    """values (n,): what a detector was fed since it began; marks (n,): where in the stream each was."""

    values: Array
    marks: NDArray[np.int64]


EMPTY: Final = Series(np.empty(0), np.empty(0, dtype=np.int64))


def change(values: Array) -> tuple[int, float]:
    """Where a change is likeliest among values (n,), and by how much the mean rises there.

    The split with the largest sum of squares between its two sides.
    """
    n, least = len(values), min(SIDE_LEAST, len(values) // 2)
    sizes, sums = np.arange(1, n), np.cumsum(values)[:-1]
    rises = (values.sum() - sums) / (n - sizes) - sums / sizes
    place = least + int((rises**2 * sizes * (n - sizes))[least - 1 : n - least].argmax())
    return place, float(rises[place - 1])


@final
class Watch:
    """One detector over one series. It is always as one that was fed the kept values, and those alone."""

    def __init__(self, name: str, seed: int, falls: bool = True) -> None:
        """falls: whether a fall of the mean is an alarm, too; a rise is one."""
        self._name, self._seed, self._falls = name, seed, falls
        self._values, self._marks = list[float](), list[int]()
        self._detector: Detector | None = None

    def restore(self, kept: Series) -> None:
        """Go on where another process was."""
        self._values, self._marks, self._detector = kept.values.tolist(), kept.marks.tolist(), None

    def kept(self) -> Series:
        return Series(np.array(self._values), np.array(self._marks, dtype=np.int64))

    def feed(self, value: float, mark: int) -> int | None:
        """An alarm by this value: the mark from which on values are likeliest to have changed. The watch begins anew then."""
        if self._detector is None:
            self._detector = self._built()
        self._values.append(value)
        self._marks.append(mark)
        self._detector.update(value)
        if not self._detector.drift_detected:
            if len(self._values) > KEPT_MOST[self._name]:
                self._go_on_from(len(self._values) // 2)
            return None
        place, rise = change(np.array(self._values))
        since = self._marks[place]
        if rise <= 0.0 and not self._falls:
            self._go_on_from(place)
            return None
        self.start_again()
        return since

    def start_again(self) -> None:
        self._go_on_from(len(self._values))

    def _go_on_from(self, place: int) -> None:
        """What was before means nothing any more."""
        self._values, self._marks, self._detector = self._values[place:], self._marks[place:], None

    def _built(self) -> Detector:
        made = detector(self._name, self._seed)
        for value in self._values:
            made.update(value)
        return made
