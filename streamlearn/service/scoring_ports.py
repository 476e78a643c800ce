"""What a scorer needs from the outside, and is told. It keeps nothing of its own: where it goes on is the group's to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.ports import Message, Position, Record


@final
@dataclass(frozen=True)
class Rules:
    """seed, audit_rate, sample_rate: of what chance draws; predictions: whether they are published, of every event.

    stale_s: age of a model from which the scorer is not ready; 0: whatever its age; stops: whether it reads no event then.
    """

    seed: int
    audit_rate: float
    sample_rate: float
    predictions: bool = False
    stale_s: float = 0.0
    stops: bool = False


class Group(ABC):
    """Events, shared by partition with whoever else is in the group."""

    @abstractmethod
    def open(self) -> None:
        """Join, also after `close`."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """At most `POLL_RECORDS` events of the partitions that are this member's now."""

    @abstractmethod
    def handed(self) -> bool:
        """Whether partitions were handed out since the last call: what is polled then begins where the group has come to."""

    @abstractmethod
    def commit(self, offsets: Mapping[int, int]) -> None:
        """Where whoever reads these partitions next begins. Of a partition that is another's by now nothing is said."""

    @abstractmethod
    def lag(self) -> dict[Position, int]:
        """Records unread, of the partitions that are this member's."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""


class Feed(ABC):
    """The models of a name, as they are published."""

    @abstractmethod
    def newer(self) -> ModelSnapshot | None:
        """The newest, where it was not told yet; what came before another is never told after it."""

    @abstractmethod
    def close(self) -> None: ...


class Outlet(ABC):
    """Where a scorer's messages go."""

    @abstractmethod
    def open(self) -> None:
        """Look whether they can."""

    @abstractmethod
    def publish(self, messages: Sequence[Message]) -> None:
        """All are acknowledged on return. After `Unavailable` any of them may be there, and all are to be sent again."""

    @abstractmethod
    def close(self) -> None: ...
