"""Ports that fail when they are told to: every call to a port is counted, and one of them goes wrong.

They wrap the real adapters. A `Crash` is a process that is gone: before the call, after it, or half way through what is
published. `Unavailable` is the world's fault, which a daemon has to outlast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, final

from streamlearn.errors import Unavailable
from streamlearn.service.ports import Commit, Inherited, Position, Record, Remembered, Saved, Sink, Source, Store

T = TypeVar("T")


@final
class Crash(BaseException):
    """The process is gone."""


@final
class Script:
    """Which moments go wrong, and how. Moments are counted over all ports, and over restarts."""

    def __init__(self, moments: Sequence[int], error: BaseException) -> None:
        self._left, self._error, self._count = list(moments), error, 0
        self.name = ""  # of the moment that went wrong last

    def pass_by(self, name: str) -> None:
        self._count += 1
        if self._count - 1 in self._left:
            self._left.remove(self._count - 1)
            self.name = name
            raise self._error

    def around(self, name: str, call: Callable[[], T], may_be_done: bool) -> T:
        """The call, with a moment before and (where it may have been done when it fails) one after it."""
        self.pass_by(f"before {name}")
        result = call()
        if may_be_done:
            self.pass_by(f"after {name}")
        return result

    @property
    def crashes(self) -> bool:
        return isinstance(self._error, Crash)

    @property
    def struck(self) -> bool:
        """Whether all of it went wrong."""
        return not self._left


def crash(*moments: int) -> Script:
    return Script(moments, Crash())


def unavailable(*moments: int) -> Script:
    return Script(moments, Unavailable("the world is away"))


@final
class FaultySource(Source):
    def __init__(self, inner: Source, script: Script) -> None:
        self._inner, self._script = inner, script

    def open(self, positions: dict[Position, int]) -> None:
        self._script.around("source.open", lambda: self._inner.open(positions), True)

    def poll(self, timeout_s: float) -> list[Record]:
        return self._script.around("source.poll", lambda: self._inner.poll(timeout_s), self._script.crashes)

    def lag(self) -> dict[Position, int]:
        return self._script.around("source.lag", self._inner.lag, False)

    def close(self) -> None:
        self._inner.close()


@final
class FaultySink(Sink):
    def __init__(self, inner: Sink, script: Script) -> None:
        self._inner, self._script = inner, script

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        return self._script.around("sink.open", lambda: self._inner.open(store_id, saved_number, replaces), True)

    def inherit(self) -> Inherited:
        return self._inner.inherit()

    def ends(self) -> dict[str, int]:
        return self._script.around("sink.ends", self._inner.ends, False)

    def publish(self, commit: Commit) -> None:
        def publish() -> None:
            if commit.outbox:
                half = replace(commit, outbox=commit.outbox[: len(commit.outbox) // 2])
                self._script.around("half of sink.publish", lambda: self._inner.publish(half), True)
            self._inner.publish(commit)

        self._script.around("sink.publish", publish, True)

    def close(self) -> None:
        self._inner.close()


@final
class FaultyStore(Store):
    """A commit that failed was not made: that is the store's promise, so only a crash comes after one."""

    def __init__(self, inner: Store, script: Script) -> None:
        self._inner, self._script = inner, script

    def load(self) -> Saved:
        return self._script.around("store.load", self._inner.load, True)

    def commit(self, commit: Commit) -> None:
        self._script.around("store.commit", lambda: self._inner.commit(commit), self._script.crashes)

    def recall(self, ids: Sequence[str]) -> dict[str, Remembered]:
        return self._script.around("store.recall", lambda: self._inner.recall(ids), False)

    def of_user(self, user: str) -> list[str]:
        return self._script.around("store.of_user", lambda: self._inner.of_user(user), False)

    def clear_outbox(self) -> None:
        self._script.around("store.clear_outbox", self._inner.clear_outbox, True)

    def close(self) -> None:
        self._inner.close()
