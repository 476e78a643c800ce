"""The model on the `models` topic: put into the outbox of a commit, so once, whenever the process is killed.

It is due when it is not what was announced last and enough labels were learned or enough time has passed since; a first one,
and the last before the end, at once. So a stream that falls quiet leaves its last model there. What was announced is part of
the commit, too: a daemon that is started again does not repeat it.
"""

from __future__ import annotations

import logging
import zlib
from typing import final

from streamlearn.learner.fit import Fit
from streamlearn.service import model_snapshot
from streamlearn.service.ports import MODEL_BYTES, MODELS, Message
from streamlearn.service.standing import Announced, Standing

log = logging.getLogger("streamlearn")


@final
class Announcing:
    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._marked: Fit | None = None
        self._mark = 0
        self._refused = False

    def due(self, now: float, ending: bool = False) -> bool:
        """Whether the model is to be announced with the next commit."""
        standing = self._standing
        told, last, fit = standing.rules.models, standing.announced, standing.state.published
        if told is None or fit is None:
            return False
        labels, seconds = standing.version - last.version, now - last.time
        waited = labels >= told.every_labels or not 0 <= seconds < told.every_s  # a clock may be put back
        return (last.mark == 0 or ending or waited) and self._mark_of(fit) != last.mark

    def announce(self, number: int, now: float) -> None:
        """Put the model into the outbox of commit `number`; one that is too large for a message is left out and counted."""
        standing = self._standing
        taken, fit = model_snapshot.of(standing, number, now), standing.state.published
        assert taken is not None
        assert fit is not None
        value = model_snapshot.encode(taken)
        standing.announced = Announced(now, standing.version, self._mark_of(fit))
        standing.measurements.set("streamlearn_model_bytes", len(value))
        fits = len(value) <= MODEL_BYTES
        if fits:
            standing.outbox.append(Message(MODELS, standing.rules.name.encode(), value))
        elif not self._refused:
            log.warning(
                "the model takes %d bytes and a message holds %d: it is not published; use `streamlearn export`",
                len(value),
                MODEL_BYTES,
                extra={"action": "models"},
            )
        self._refused = not fits
        standing.measurements.add("streamlearn_models_total", 1, outcome="published" if fits else "too large")

    def _mark_of(self, fit: Fit) -> int:
        if fit is not self._marked:
            mark = zlib.crc32(repr((fit.model.blocks, fit.regularity, fit.frame.target_scale)).encode())
            for part in (fit.theta, fit.log_tangent, fit.frame.scaling.shift, fit.frame.scaling.scale):
                mark = zlib.crc32(part.tobytes(), mark)
            self._marked, self._mark = fit, mark or 1
        return self._mark
