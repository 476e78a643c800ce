"""The pipeline: records in, state and messages out. No I/O; what it needs from the store is one look-up.

    poll → **decode → split → learn → score → select** → commit → publish

What a record does is defined one by one, in the order given: an event is counted, joined by a label that waited for it, and
asked about or not; a label joins its event and is learned. So the result depends on the records and their order, and not on
how they were cut into polls, nor on how many came in one record. What is at fault goes to `rejected` with its reason and
changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, final

from streamlearn.learner import learner
from streamlearn.learner.state import State
from streamlearn.service.events import Events
from streamlearn.service.labels import Labels
from streamlearn.service.ledger import Ledger
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, Asked, Codec, Message, Record, Remembered
from streamlearn.service.standing import Rules, Standing
from streamlearn.service.transforming import Transforming

LABELS_AT_ONCE = 8


def _together(numbered: tuple[int, Record]) -> tuple[str, int]:
    """What is the same of records that are dealt with at once."""
    i, record = numbered
    return record.role, i // LABELS_AT_ONCE if record.role == LABELS else 0


@final
class _GivenUp(Exception):
    """There is no time for it now."""


@final
class Pipeline:
    """Mutable shell around the learner's values: one per daemon. `standing` is all that it carries."""

    def __init__(
        self,
        rules: Rules,
        state: State,
        codec: Codec,
        recall: Callable[[Sequence[str]], dict[str, Remembered]],
        measurements: Measurements,
        transforming: Transforming | None = None,
    ) -> None:
        self.standing = Standing(rules, state, codec, measurements)
        self.standing.transforming = transforming
        self._codec, self.recall = codec, recall
        self._labels = Labels(self.standing, codec, recall)
        self._events = Events(self.standing, self._labels, codec)

    @property
    def state(self) -> State:
        """The learner's state."""
        return self.standing.state

    @property
    def ledger(self) -> Ledger:
        return self.standing.ledger

    def step(
        self,
        records: Sequence[Record],
        now: float | None,
        most: int | None = None,
        over: Callable[[], bool] = lambda: False,
    ) -> int:
        """Deal with these records, and how many it was: all, or as many of the first as hold `most` events and labels, or as
        were dealt with when it was `over`, which is asked every few records of labels: each may take seconds.

        now: s since 1970; None: time is what the records say (replay).
        """
        standing = self.standing
        if now is not None:
            standing.tell_time(now)
        taken, held = 0, 0
        for (role, _), numbered in groupby(enumerate(records), key=_together):
            decode = self._codec.events if role == EVENTS else self._codec.labels
            run: list[tuple[Record, Sequence[Any]]] = []
            for _, record in numbered:
                run.append((record, () if record.skipped else decode(record)))
                held += len(run[-1][1])
                if most is not None and held >= most:
                    break
            if role == EVENTS:
                self._events.step(run, now is None)
            else:
                self._labels.step(run)
            taken += len(run)
            if (most is not None and held >= most) or (role == LABELS and over()):
                break
        return taken

    def asked(self, query: Asked) -> None:
        """An event that a daemon before this one has asked about, from its query."""
        self._events.asked(query)

    def settle(self, over: Callable[[], bool] = lambda: False) -> None:
        """The stream is quiet: learn what has been waiting for a cut to fill; given up, as if not begun, once it is `over`."""
        standing, before = self.standing, self.standing.state
        if standing.learning_paused:
            return
        told = standing.rules.learner

        def alive() -> None:
            told.alive()
            if over():
                raise _GivenUp

        try:
            standing.state = learner.settle(before, replace(told, alive=alive))
        except _GivenUp:
            return
        if standing.state is not before:
            standing.asking.outlook.moved()
            standing.ledger.drop_examples(standing.state.examples.first)

    def take_outbox(self) -> list[Message]:
        messages, self.standing.outbox = self.standing.outbox, []
        return messages
