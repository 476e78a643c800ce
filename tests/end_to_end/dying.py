"""`streamlearn` that kills itself (SIGKILL) at one step of a commit: `python dying.py STEP NTH run …`.

NTH: of the commits that have something to publish; 0: the one whose outbox was found at the start. The product has no hook
for this: what it calls at that step is wrapped here, in the process that is to die.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, final

from kafka import KafkaProducer

from streamlearn import cli
from streamlearn.edges.kafka import python
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.edges.sqlite import store
from streamlearn.edges.sqlite.store import SqliteStore

STORED = ("before the store's transaction", "in the store's transaction", "before the publication")
PUBLISHED = ("after begin", "after the messages", "after the offsets", "after Kafka's commit")
STEPS = (*STORED, *PUBLISHED, "before the outbox is cleared", "before the next poll")


@final
class Death:
    """Comes at one step, once it is time."""

    def __init__(self, step: str, nth: int) -> None:
        self._step, self._left, self._due = step, nth, nth == 0

    def commit_begins(self, outbox: bool) -> None:
        self._left -= outbox
        self._due = self._due or (outbox and self._left == 0)

    def at(self, step: str) -> None:
        if self._due and step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, before: Callable[..., None] | None, after: Callable[..., None] | None) -> None:
    """From now on these are called around owner.name, with its arguments."""
    inner = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before(*arguments)
        result = inner(*arguments, **named)
        if after is not None:
            after(*arguments)
        return result

    setattr(owner, name, call)


def mortal(producer: type, death: Death) -> type:
    """The library's producer; its messages are with the broker once it has flushed."""
    made = type(producer.__name__, (producer,), {})
    calls = ("begin_transaction", "flush", "send_offsets_to_transaction", "commit_transaction")
    for name, step in zip(calls, PUBLISHED, strict=True):
        around(made, name, None, lambda *_, step=step: death.at(step))
    return made


def main(step: str, nth: int, arguments: list[str]) -> int:
    assert step in STEPS
    death = Death(step, nth)

    def commit_begins(_: SqliteStore, commit: Any) -> None:
        death.commit_begins(bool(commit.outbox))
        death.at("before the store's transaction")

    around(SqliteStore, "commit", commit_begins, lambda *_: death.at("before the publication"))
    around(store, "write_changes", None, lambda *_: death.at("in the store's transaction"))
    around(SqliteStore, "clear_outbox", lambda *_: death.at("before the outbox is cleared"), None)
    around(KafkaSource, "poll", lambda *_: death.at("before the next poll"), None)
    python.KafkaProducer = mortal(KafkaProducer, death)
    confluent = importlib.import_module("streamlearn.edges.kafka.confluent")  # an extra
    confluent.Producer = mortal(confluent.Producer, death)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
