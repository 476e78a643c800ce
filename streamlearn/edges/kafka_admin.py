"""Topics as an administrator sees them: looked at, and created. The rules of what they should be are in `kafka_topics`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, final

import kafka.errors as kafka_errors
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streamlearn.edges.kafka_client import CONNECT_S, Client, within
from streamlearn.edges.kafka_python import KafkaPython

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


@contextmanager
def admin(client: Client) -> Iterator[Admin]:
    """A connection for as long as it is needed. Raises the daemon's errors."""
    made: Admin | None = None
    try:
        with client.faults("cannot look at the topics"):
            made = _made(client)
            yield made
    finally:
        if made is not None:
            made.close()


def _made(client: Client) -> Admin:
    if isinstance(client, KafkaPython):
        return KafkaPythonAdmin(client)
    from streamlearn.edges.kafka_confluent import KafkaConfluent
    from streamlearn.edges.kafka_confluent_admin import ConfluentAdmin

    assert isinstance(client, KafkaConfluent)
    return ConfluentAdmin(client)


@final
class KafkaPythonAdmin(Admin):
    """By kafka-python."""

    def __init__(self, client: KafkaPython) -> None:
        own: dict[str, object] = {
            "bootstrap_timeout_ms": int(1000 * CONNECT_S),
            "request_timeout_ms": int(1000 * ANSWER_S),
        }
        self._client: Any = within(CONNECT_S + 1.0, lambda: client.build(KafkaAdminClient, own))

    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        found = within(ANSWER_S, lambda: self._client.describe_topics(list(names)))
        known = {each["name"]: each for each in found if each["error_code"] not in (UNKNOWN_TOPIC, DENIED)}
        denied = {each["name"]: Topic(0, 0, frozenset(), {}, True) for each in found if each["error_code"] == DENIED}
        settings = self._settings(list(known))
        return denied | {name: _topic(each, settings.get(name, {})) for name, each in known.items()}

    def _settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        told = within(ANSWER_S, lambda: self._client.describe_configs(asked, config_filter="all")).get("topic", {})
        return {name: {key: str(each["value"]) for key, each in of.items()} for name, of in told.items()}

    def create(self, wanted: dict[str, dict[str, str]], partitions: int, replicas: int) -> dict[str, Refused]:
        asked = {
            name: {"num_partitions": partitions, "replication_factor": replicas, "configs": settings}
            for name, settings in wanted.items()
        }
        timeout_ms = int(1000 * ANSWER_S)
        answer = within(ANSWER_S, lambda: self._client.create_topics(asked, timeout_ms=timeout_ms, raise_errors=False))[
            "topics"
        ]
        refused = {
            each["name"]: Refused(each["error_code"], each.get("error_message") or _named(each["error_code"]))
            for each in answer
            if each["error_code"] not in (0, EXISTS)
        }
        made = [name for name in wanted if name not in refused]
        within(2.0 * ANSWER_S, lambda: self._client.wait_for_topics(made, timeout_ms=timeout_ms))
        return refused

    def brokers(self) -> list[Broker]:
        # As told by the server that was named first: to ask once more, the library goes to where that one says.
        return [Broker(each.node_id, each.host, each.port) for each in self._client._manager.cluster.brokers()]

    def close(self) -> None:
        with suppress(kafka_errors.KafkaError, OSError):
            within(2.0, self._client.close)


def _named(code: int) -> str:
    return str(kafka_errors.for_code(code).__name__)


def _topic(told: dict[str, Any], settings: dict[str, str]) -> Topic:
    partitions, rights = told["partitions"], told.get("authorized_operations")
    replicas = min((len(each["replica_nodes"]) for each in partitions), default=0)
    return Topic(len(partitions), replicas, None if rights is None else frozenset(rights), settings)
