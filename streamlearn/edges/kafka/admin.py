"""Topics as an administrator sees them: looked at, and created. The rules of what they should be are in `topics.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

ANSWER_S = 10.0  # how long the cluster may take for one answer
DENIED, UNKNOWN_TOPIC = 29, 3  # Kafka's error codes
EXISTS, BAD_PARTITIONS, BAD_REPLICATION = 36, 37, 38
RIGHTS = {DENIED, 31}  # on the topic, on the cluster
OPERATORS = {17, 40, 44}  # a name, a setting, or the cluster's policy does not allow it


class Topic(NamedTuple):
    """What is known of a topic. rights: what we may do with it (READ, WRITE, ...), None where that is not told.

    settings: its effective ones, empty where we may not see them. denied: nothing else is known, for it is not shown to us.
    """

    partitions: int
    replicas: int
    rights: frozenset[str] | None
    settings: dict[str, str]
    denied: bool = False


class Refused(NamedTuple):
    """Why a topic was not created: Kafka's error code, and the broker's words."""

    code: int
    text: str


class Broker(NamedTuple):
    """Where a broker says that it is."""

    number: int
    host: str
    port: int


class Admin(ABC):
    """Raises what its client's `faults` turn into ours."""

    @abstractmethod
    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """Those that exist."""

    @abstractmethod
    def create(self, wanted: dict[str, dict[str, str]], partitions: int, replicas: int) -> dict[str, Refused]:
        """Topics by name with their settings (-1: as the cluster has it); those that were not created, save existing ones."""

    @abstractmethod
    def brokers(self) -> list[Broker]: ...

    @abstractmethod
    def close(self) -> None: ...
