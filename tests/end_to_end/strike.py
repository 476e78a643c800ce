"""`streamlearn` that is struck at one step of a commit: `python strike.py STEP NTH SIGNAL PID run …`.

NTH: of the commits that have something to publish; 0: the one whose outbox was found at the start. The signal goes, once, to
the process PID (a broker's), or with 0 to the daemon itself. The product has no hook for this: what it calls at that step is
wrapped here.
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
class Strike:
    """Comes at one step, once it is time."""

    def __init__(self, step: str, nth: int, number: int, pid: int) -> None:
        self._step, self._left, self._due = step, nth, nth == 0
        self._number, self._pid = number, pid or os.getpid()

    def commit_begins(self, outbox: bool) -> None:
        self._left -= outbox
        self._due = self._due or (outbox and self._left == 0)

    def at(self, step: str) -> None:
        if self._due and step == self._step:
            self._due = False
            os.kill(self._pid, self._number)


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


def struck(producer: type, strike: Strike) -> type:
    """The library's producer; its messages are with the broker once it has flushed."""
    made = type(producer.__name__, (producer,), {})
    calls = ("begin_transaction", "flush", "send_offsets_to_transaction", "commit_transaction")
    for name, step in zip(calls, PUBLISHED, strict=True):
        around(made, name, None, lambda *_, step=step: strike.at(step))
    return made


def launcher(step: str, nth: int, number: signal.Signals = signal.SIGKILL, pid: int = 0) -> tuple[str, ...]:
    """What Python is to be told (see `DaemonProcess`)."""
    assert step in STEPS
    return __file__, step, str(nth), str(int(number)), str(pid)


def main(step: str, nth: int, number: int, pid: int, arguments: list[str]) -> int:
    strike = Strike(step, nth, number, pid)

    def commit_begins(_: SqliteStore, commit: Any) -> None:
        strike.commit_begins(bool(commit.outbox))
        strike.at("before the store's transaction")

    around(SqliteStore, "commit", commit_begins, lambda *_: strike.at("before the publication"))
    around(store, "write_changes", None, lambda *_: strike.at("in the store's transaction"))
    around(SqliteStore, "clear_outbox", lambda *_: strike.at("before the outbox is cleared"), None)
    around(KafkaSource, "poll", lambda *_: strike.at("before the next poll"), None)
    python.KafkaProducer = struck(KafkaProducer, strike)
    confluent = importlib.import_module("streamlearn.edges.kafka.confluent")  # an extra
    confluent.Producer = struck(confluent.Producer, strike)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5:]))
