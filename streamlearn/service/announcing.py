"""The model on the `models` topic: put into the outbox of a commit, so once, whenever the process is killed.

It is due when it is not what was announced last and enough labels were learned or enough time has passed since; a first one,
and the last before the end, at once. So a stream that falls quiet leaves its last model there. Where scorers pass events on it
goes out again after that time though it be the same: the score from which they do so has followed the stream, and they see that
the daemon is there. What was announced is part of the commit, too: a daemon that is started again does not repeat it.

One that no message holds goes over several commits, one after the other, and counts as announced with the last, which has its
manifest. Learning goes on meanwhile, and what it brings is due after that. A daemon that is killed in between begins again,
with the model that it has then: nobody has seen a manifest of what was begun (`model_messages.py`).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import final

from streamlearn.learner.fit import Fit
from streamlearn.service import model_snapshot
from streamlearn.service.model_messages import CHUNKS_A_COMMIT, SLOTS, Parcel
from streamlearn.service.standing import Announced, Standing


@final
@dataclass(frozen=True)
class _UnderWay:
    """A model that commits are carrying; version, mark, slot: as they will be announced."""

    parcel: Parcel
    version: int
    mark: int
    slot: int


@final
class Announcing:
    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._marked: Fit | None = None
        self._mark = 0
        self._under_way: _UnderWay | None = None

    @property
    def under_way(self) -> bool:
        """Whether a model waits for further commits to carry the rest of it."""
        return self._under_way is not None

    def due(self, now: float, ending: bool = False) -> bool:
        """Whether the model, or more of it, is to be announced with the next commit."""
        standing = self._standing
        told, last, fit = standing.rules.models, standing.announced, standing.state.published
        if told is None or fit is None:
            self._under_way = None  # what it was made of has been forgotten
            return False
        if self._under_way is not None:
            return True
        labels, seconds = standing.version - last.version, now - last.time
        waited = labels >= told.every_labels or not 0 <= seconds < told.every_s  # a clock may be put back
        if standing.rules.of_candidates and not 0 <= seconds < told.every_s:
            return True
        return (last.mark == 0 or ending or waited) and self._mark_of(fit) != last.mark

    def announce(self, number: int, now: float, ending: bool = False) -> None:
        """Put the model, or the next part of it, into the outbox of commit `number`; ending: the model of now."""
        standing, fit = self._standing, self._standing.state.published
        assert fit is not None
        under_way, mark = self._under_way, self._mark_of(fit)
        if under_way is None or (ending and under_way.mark != mark):
            taken, last = model_snapshot.of(standing, number, now), standing.announced.slot
            assert taken is not None
            under_way = _UnderWay(Parcel(taken, (last + 1) % SLOTS), standing.version, mark, (last + 1) % SLOTS)
        parcel = under_way.parcel
        standing.outbox += parcel.take(CHUNKS_A_COMMIT)
        self._under_way = None if parcel.delivered else under_way
        if parcel.delivered:
            slot = under_way.slot if parcel.in_chunks else standing.announced.slot
            standing.announced = Announced(now, under_way.version, under_way.mark, slot)
            standing.measurements.set("streamlearn_model_bytes", parcel.size)
            standing.measurements.add("streamlearn_models_total", 1)

    def _mark_of(self, fit: Fit) -> int:
        if fit is not self._marked:
            mark = zlib.crc32(repr((fit.model.blocks, fit.regularity, fit.frame.target_scale)).encode())
            for part in (fit.theta, fit.log_tangent, fit.frame.scaling.shift, fit.frame.scaling.scale):
                mark = zlib.crc32(part.tobytes(), mark)
            self._marked, self._mark = fit, mark or 1
        return self._mark
