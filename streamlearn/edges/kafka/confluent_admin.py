"""Topics by confluent-kafka, for settings that only librdkafka understands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from streamlearn.edges.kafka.admin import ANSWER_S, DENIED, EXISTS, UNKNOWN_TOPIC, Admin, Broker, Refused, Topic
from streamlearn.edges.kafka.client import CONNECT_S, within

LOOK_S = 0.1


@final
class ConfluentAdmin(Admin):
    def __init__(self, client: Any) -> None:
        """client: an `AdminClient`."""
        self._client = client

    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        asked = self._client.describe_topics(
            TopicCollection(list(names)), include_authorized_operations=True, request_timeout=ANSWER_S
        )
        found: dict[str, Topic] = {}
        for name, future in asked.items():
            told, code = _outcome(future)
            if code == DENIED:
                found[name] = Topic(0, 0, frozenset(), {}, True)
            elif code != UNKNOWN_TOPIC:
                replicas = min((len(each.replicas) for each in told.partitions), default=0)
                rights = told.authorized_operations
                may = None if rights is None else frozenset(each.name for each in rights)
                found[name] = Topic(len(told.partitions), replicas, may, {})
        settings = self._settings([name for name, topic in found.items() if not topic.denied])
        return {name: topic._replace(settings=settings.get(name, {})) for name, topic in found.items()}

    def _settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        found = {}
        for resource, future in self._client.describe_configs(asked, request_timeout=ANSWER_S).items():
            told, code = _outcome(future)
            if code != DENIED:
                found[resource.name] = {key: str(entry.value) for key, entry in told.items()}
        return found

    def create(self, wanted: dict[str, dict[str, str]], partitions: int, replicas: int) -> dict[str, Refused]:
        asked = [NewTopic(name, partitions, replicas, config=settings) for name, settings in wanted.items()]
        refused = {}
        for name, future in self._client.create_topics(asked, request_timeout=ANSWER_S).items():
            try:
                future.result(ANSWER_S)
            except KafkaException as error:
                if error.args[0].code() != EXISTS:
                    refused[name] = Refused(error.args[0].code(), error.args[0].str())
        self._wait({name for name in wanted if name not in refused})
        return refused

    def _wait(self, names: set[str]) -> None:
        """Until every broker that is asked knows a leader of every partition; or for so long, then others will tell."""
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            known = self._client.list_topics(timeout=ANSWER_S).topics
            made = [known[name] for name in names if name in known]
            led = [each.leader >= 0 for topic in made for each in topic.partitions.values()]
            if len(made) == len(names) and all(led):
                return
            time.sleep(LOOK_S)

    def brokers(self) -> list[Broker]:
        told = within(CONNECT_S, lambda: self._client.list_topics(timeout=CONNECT_S)).brokers
        return [Broker(each.id, each.host, each.port) for each in told.values()]

    def close(self) -> None:
        self._client = None  # it has no other end


def _outcome(future: Future[Any]) -> tuple[Any, int]:
    """What came, and 0; or nothing, and which of the two errors that say something of a topic."""
    try:
        return future.result(ANSWER_S), 0
    except KafkaException as error:
        code = error.args[0].code()
        if code in (DENIED, UNKNOWN_TOPIC):
            return None, code
        raise
