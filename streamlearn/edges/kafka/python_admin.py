"""Topics by kafka-python."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, final

import kafka.errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from streamlearn.edges.kafka.admin import ANSWER_S, DENIED, EXISTS, UNKNOWN_TOPIC, Admin, Broker, Refused, Topic
from streamlearn.edges.kafka.client import within


@final
class KafkaPythonAdmin(Admin):
    def __init__(self, client: Any) -> None:
        """client: a `KafkaAdminClient`."""
        self._client = client

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
