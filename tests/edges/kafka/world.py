"""What the tests of the Kafka source and sink share: a broker's topics, seen and written by a client of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, final

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streamlearn import config
from streamlearn.edges.kafka.sink import KafkaSink
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.errors import Unavailable
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, Changes, Commit, Message, Position, Record
from tests.kafka_fixtures import make_topics

CLIENTS = ("kafka-python", "confluent")
STORE = "store-a"
POSITIONS: dict[Position, int] = {(EVENTS, 0): 5, (EVENTS, 1): 7, (LABELS, 0): 3}
PATIENCE_S = 30.0  # after which a test gives up waiting for something that should come


def mostly(often: str) -> pytest.MarkDecorator:
    """This client library by default, to spare time; the soak has the others too."""
    rarely = [pytest.param(each, marks=pytest.mark.soak) for each in CLIENTS if each != often]
    return pytest.mark.parametrize("client", [often, *rarely])


@final
class World:
    """A broker's address with topics of this test's own."""

    def __init__(self, address: str, prefix: str, client: str, *, create: bool = True, queries: int = 1) -> None:
        """create: False where another world of this prefix has; queries: partitions of that topic."""
        self.name = prefix
        self.address = address
        self.kafka = config.Kafka(address, client)
        names = {role: f"{prefix}-{role}" for role in ("events", "labels", "queries", "rejected")}
        self.topics = config.Topics(**names)
        if create:
            partitions = {"events": 2, "queries": queries}
            make_topics(address, {name: partitions.get(role, 1) for role, name in names.items()})

    def source(self, timeout_s: float = 10.0) -> KafkaSource:
        return KafkaSource(self.name, self.kafka, self.topics, timeout_s=timeout_s)

    def sink(self, timeout_s: float = 30.0) -> KafkaSink:
        return KafkaSink(self.name, self.kafka, self.topics, timeout_s=timeout_s)

    def produce(
        self, topic: str, values: list[bytes], partition: int = 0, transaction: str = "", end: str = ""
    ) -> None:
        """Write values; in a transaction that is committed, or with end="abort" aborted."""
        own = {"transactional_id": f"{self.name}-{transaction}"} if transaction else {}
        producer = KafkaProducer(bootstrap_servers=self.address, max_request_size=8 << 20, **own)
        if transaction:
            producer.init_transactions()
            producer.begin_transaction()
        sent = [producer.send(topic, value=value, key=b"k", partition=partition) for value in values]
        producer.flush(PATIENCE_S)
        for each in sent:
            each.get(PATIENCE_S)
        if transaction:
            (producer.abort_transaction if end == "abort" else producer.commit_transaction)()
        producer.close(PATIENCE_S)

    def visible(self, topic: str) -> list[bytes]:
        """All values of a topic's first partition, as a read_committed reader sees them."""
        return [each.value for each in self._visible(topic, 0)]

    def keys(self, topic: str, number: int) -> list[bytes]:
        """The keys in a partition."""
        return [each.key for each in self._visible(topic, number)]

    def _visible(self, topic: str, number: int) -> list[Any]:
        own = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "group_id": None}
        consumer = KafkaConsumer(bootstrap_servers=self.address, **own)
        partition = TopicPartition(topic, number)
        end = consumer.end_offsets([partition])[partition]
        consumer.assign([partition])
        consumer.seek(partition, 0)
        found: list[Any] = []
        limit = time.monotonic() + PATIENCE_S
        while consumer.position(partition) < end and time.monotonic() < limit:
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        consumer.close()
        return found

    def settled(self, topic: str) -> int:
        """The offset behind which nothing is settled yet, of the first partition."""
        own = {"isolation_level": "read_committed", "group_id": None}
        consumer, partition = KafkaConsumer(bootstrap_servers=self.address, **own), TopicPartition(topic, 0)
        end: int = consumer.end_offsets([partition])[partition]
        consumer.close()
        return end

    def committed(self, positions: Iterable[Position] = POSITIONS) -> dict[Position, tuple[int, str]]:
        """What the group has committed on the source partitions."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.address,
            group_id=self.name,
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        found = {}
        for role, number in positions:
            topic = self.topics.events if role == EVENTS else self.topics.labels
            each = consumer.committed(TopicPartition(topic, number), metadata=True)
            if each is not None:
                assert each.metadata.endswith("\0")  # else confluent-kafka reads on
                found[role, number] = (each.offset, each.metadata[:-1])
        consumer.close(autocommit=False)
        return found


def commit(number: int, values: list[bytes], positions: dict[Position, int] = POSITIONS) -> Commit:
    outbox = [Message(QUERIES, b"id", value) for value in values]
    return Commit(number, positions, b"", Changes(), {}, outbox)


def read(source: KafkaSource, count: int) -> list[Record]:
    """Poll until so many records came."""
    records: list[Record] = []
    limit = time.monotonic() + PATIENCE_S
    while len(records) < count and time.monotonic() < limit:
        records += source.poll(0.5)
    return records


def until_unavailable(call: Callable[[], object]) -> str:
    """Call again and again until it says that the broker is away; what it says."""
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        try:
            call()
        except Unavailable as error:
            return str(error)
    return "never unavailable"


def until_available(call: Callable[[], object]) -> object:
    limit = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > limit:
                raise
