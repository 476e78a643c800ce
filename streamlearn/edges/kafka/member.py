"""What differs between client libraries of a member of a consumer group, and of a producer without transactions.

The rules are in `group.py`. Both raise what their library raises, as `client.py` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from streamlearn.edges.kafka.client import Outgoing, Reader
from streamlearn.service.ports import Record

SESSION_S = 10.0  # a member that is silent for so long has none of its partitions any more
HEARTBEAT_S = 2.0
WORK_S = 60.0  # the longest that it may take from one poll to the next: so long others wait for it to share anew
TAKEN = "another scorer has taken over under the name of this one; give each a scorers.instance of its own"
Positions = Callable[[Sequence[int]], dict[int, int]]


class Called(NamedTuple):
    """How brokers see a member: client, group, and a name that outlives it ("": none)."""

    client: str
    group: str
    instance: str


class Member(ABC):
    """A consumer that has joined a group for one topic. reader: the same consumer, to ask about offsets."""

    reader: Reader

    @abstractmethod
    def poll(self, wait_s: float, most: int, positions: Positions) -> list[Record]:
        """Records. Where it was handed partitions meanwhile, it goes on from these positions; what it had read is dropped."""

    @abstractmethod
    def assigned(self) -> list[int]:
        """The partitions that it has now."""

    @abstractmethod
    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> bool:
        """Whether the group has taken them: not from one that is no member any more, or of a generation before."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group, so that others need not wait until it is missed; not where its name outlives it."""


class Producer(ABC):
    """After any fault it is to be closed, as a `Writer` is."""

    @abstractmethod
    def publish(self, messages: Sequence[Outgoing]) -> None:
        """All acknowledged on return."""

    @abstractmethod
    def close(self) -> None:
        """End it at once, without sending anything more."""
