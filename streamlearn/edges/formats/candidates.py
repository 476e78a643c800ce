"""What scorers pass on, in the place of events: candidates and tallies, always JSON. All else is in the format as told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import msgspec

from streamlearn.edges.formats.codec import identity, reason
from streamlearn.edges.formats.json import FAULTS, Features
from streamlearn.service import tally
from streamlearn.service.ports import EVENTS, Asked, Codec, Event, Label, Passed, Prediction, Query, Record
from streamlearn.service.tally import Said, Tally


@final
class _Candidate(msgspec.Struct):
    id: str
    x: Features
    reason: str
    partition: int
    offset: int
    events: int
    time: float | None = None


@final
class _Line(msgspec.Struct):
    """A tally is told by its only field."""

    tally: Said | None = None


@final
class CandidateCodec(Codec):
    def __init__(self, inner: Codec) -> None:
        self._inner = inner
        self._candidate, self._line = msgspec.json.Decoder(_Candidate), msgspec.json.Decoder(_Line)

    def events(self, record: Record) -> Sequence[Event | Tally | str]:
        if record.oversize or record.value is None:
            return ["a candidate is empty or too large"]
        try:
            return [self._tally(record.value) or self._event(record.value)]
        except FAULTS as error:
            return [reason(error)]

    def _tally(self, value: bytes) -> Tally | None:
        said = self._line.decode(value).tally if value.startswith(b'{"tally"') else None
        return None if said is None else tally.decode(said)

    def _event(self, value: bytes) -> Event:
        told = self._candidate.decode(value)
        stretch, reason = told.offset // tally.STRETCH, told.reason
        passed = Passed(told.partition, stretch, told.events, reason == "audit", reason == "sample")
        return Event(identity(told.id), told.x, told.time, passed)

    def labels(self, record: Record) -> Sequence[Label | str]:
        return self._inner.labels(record)

    def one(self, record: Record, index: int) -> Record:
        return record if record.role == EVENTS else self._inner.one(record, index)

    def query(self, query: Query) -> bytes:
        return self._inner.query(query)

    def asked(self, record: Record) -> Asked | str:
        return self._inner.asked(record)

    def prediction(self, prediction: Prediction) -> bytes:
        return self._inner.prediction(prediction)

    def rejected(self, record: Record, reason: str) -> bytes:
        return self._inner.rejected(record, reason)
