"""kafka-python behind `client.py`'s classes, with what its version 3.0.12 needs to be guarded against.

- Offsets given to a transaction that is aborted are committed by the next one, and a commit succeeds although a batch
  in it failed. So every future is looked at before the commit, and after any fault the producer is thrown away.
- A producer that is fenced while it sends asks for a new epoch, and that request ends the transaction that its
  successor has open. It does so only where brokers are 2.5 or newer; told that this one is not, it stops instead.
- A request to a coordinator that refuses the connection is forgotten, and its sender spins: `Connection` is for that.
- Commit, abort and offsets wait for ever. So a transaction runs under a deadline, on a thread that is left behind when
  it is missed; its producer is ended, so that nothing that it does later reaches the broker.
- Pausing a partition loses what was fetched of it (it is parked and not always taken back): nothing is paused.
- A poll that finds nothing leaves a circle of an error and all frames that called it, with what they hold, until Python's
  collector comes by, which counts objects and not bytes. So a poll has a thread of its own, where nobody holds records.
- It tries again until a deadline and then tells that there was one: the reason is only in its log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

import kafka.errors as kafka_errors
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from streamlearn import config
from streamlearn.edges.kafka import python_errors as errors
from streamlearn.edges.kafka.admin import ANSWER_S, Admin
from streamlearn.edges.kafka.client import (
    CONNECT_S,
    FETCH_WAIT_MS,
    RECONNECT_MS,
    REFUSED,
    REQUEST_BYTES,
    TRANSACTION_S,
    Call,
    Client,
    Outgoing,
    Reader,
    Settled,
    Whose,
    Writer,
    record,
    refuse_reserved,
    scrub,
    unknown,
    within,
)
from streamlearn.edges.kafka.python_admin import KafkaPythonAdmin
from streamlearn.errors import ConfigurationError
from streamlearn.service.ports import POLL_BYTES, RECORD_BYTES, Record

CONSUMER_API = (4, 1)  # the newest protocol that the consumer speaks: given, so that its constructor does not connect
PRODUCER_API = (2, 4)  # no new epoch for a fenced producer; see above
METADATA_MS = 5000  # it asks for partitions by itself this often, and is asked for what it knows
POLL_LATE_S = 10.0  # beyond its time, after which a poll counts as hung
END = "\0"  # of metadata: confluent-kafka writes it too, and without it reads what happens to lie behind
RETRY_MS = 20  # a transaction that follows at once meets the end of the one before, and waits this long

# What exactly-once rests on, or what has its own key; never taken from [kafka.settings].
# fmt: off
RESERVED = frozenset({
    "acks", "allow_auto_create_topics", "api_version", "auto_offset_reset", "bootstrap_servers",
    "bootstrap_timeout_ms", "delivery_timeout_ms", "enable_auto_commit", "enable_idempotence", "group_id",
    "group_instance_id", "isolation_level", "kafka_client", "key_deserializer", "key_serializer", "max_block_ms",
    "max_poll_records", "partitioner", "retries", "selector", "transaction_timeout_ms", "transactional_id",
    "value_deserializer", "value_serializer",
})
# fmt: on
READING: dict[str, object] = {  # what all consumers have in common
    "api_version": CONSUMER_API,
    "allow_auto_create_topics": False,
    "isolation_level": "read_committed",  # of offsets too: none that a transaction has not settled
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "fetch_max_wait_ms": FETCH_WAIT_MS,
    "fetch_max_bytes": POLL_BYTES,  # what a consumer holds is bounded by this ...
    "max_partition_fetch_bytes": RECORD_BYTES,  # ... and by this, for each partition
}
KNOWN = frozenset(KafkaProducer.DEFAULT_CONFIG) | frozenset(KafkaConsumer.DEFAULT_CONFIG)


@final
class KafkaPython(Client):
    """The default library: pure Python, no more to install."""

    errors = (kafka_errors.KafkaError, OSError)
    rights = "kafka.settings.security_protocol and kafka.settings.sasl_*"

    def __init__(self, kafka: config.Kafka) -> None:
        refuse_reserved(kafka, RESERVED)
        for key in kafka.settings:
            if key not in KNOWN:
                raise unknown(key, kafka, KNOWN - RESERVED)
        self.kafka = kafka

    def reader(self, name: str, group: str, *, with_offsets: bool = False) -> Reader:
        own: dict[str, object] = {
            **READING,
            "client_id": name,
            "group_id": group if with_offsets else None,
        }
        began = time.monotonic()
        consumer = self.build(KafkaConsumer, own)
        reader = KafkaPythonReader(consumer)
        try:
            within(CONNECT_S + 1.0, lambda: consumer.bootstrap(timeout_ms=int(1000 * CONNECT_S)))
        except self.errors as error:
            reader.close()
            raise self.unreachable(errors.CAUSE.since(began) or error) from None
        return reader

    def writer(self, name: str, timeout_s: float) -> Writer:
        timeout_ms = int(1000 * timeout_s)
        own: dict[str, object] = {
            "api_version": PRODUCER_API,
            "client_id": f"{name}-sink",
            "transactional_id": name,
            "transaction_timeout_ms": int(1000 * TRANSACTION_S),
            "max_block_ms": timeout_ms,
            "delivery_timeout_ms": timeout_ms,
            "request_timeout_ms": timeout_ms // 2,
            "batch_size": 512 << 10,
            "linger_ms": 100,  # `flush` does not wait for it
            "max_request_size": REQUEST_BYTES,
            "retry_backoff_ms": RETRY_MS,
            "kafka_client": Connection,
        }
        return KafkaPythonWriter(self.build(KafkaProducer, own), name, timeout_s)

    def build(self, kind: type[Any], own: dict[str, object]) -> Any:
        """A client of this class. The operator's settings go before ours in `own`, where they are not reserved."""
        errors.silence()
        settings = {key: value for key, value in self.kafka.settings.items() if key in kind.DEFAULT_CONFIG}
        servers = [each.strip() for each in self.kafka.bootstrap_servers.split(",")]
        usual = {"metrics_enabled": False, "reconnect_backoff_max_ms": RECONNECT_MS, "metadata_max_age_ms": METADATA_MS}
        try:
            given = {**usual, **own, **settings, "bootstrap_servers": servers}
            return kind(**{key: value for key, value in given.items() if key in kind.DEFAULT_CONFIG})
        except (kafka_errors.KafkaConfigurationError, AssertionError, RuntimeError, TypeError, ValueError) as error:
            text = f"{REFUSED} {self.kafka.client}: {error}"
            raise ConfigurationError(scrub(text, self.kafka)) from None

    def whose(self, error: Exception) -> Whose:
        return errors.whose(error)

    def says(self, error: Exception) -> str:
        return errors.says(error)

    def _admin(self) -> Admin:
        own: dict[str, object] = {
            "bootstrap_timeout_ms": int(1000 * CONNECT_S),
            "request_timeout_ms": int(1000 * ANSWER_S),
        }
        return KafkaPythonAdmin(within(CONNECT_S + 1.0, lambda: self.build(KafkaAdminClient, own)))


@final
class Connection(KafkaNetClient):  # type: ignore[misc]  # it has no types
    """A producer's, as its sender takes it to be: one that cannot be made is told, and what was to be sent is kept."""

    def await_ready(self, node_id: Any, timeout_ms: int = 30_000) -> bool:
        try:
            return bool(super().await_ready(node_id, timeout_ms=timeout_ms))
        except kafka_errors.KafkaConnectionError:
            return False


@final
class KafkaPythonReader(Reader):
    """A consumer; role and topic are told by `assign`, or here where it has subscribed (`python_member.py`)."""

    def __init__(self, consumer: Any, role: str = "", topic: str = "") -> None:
        self._consumer, self._role, self._topic = consumer, role, topic
        self._late: Call[dict[Any, list[Any]]] | None = None  # a poll that was not over in time

    def partitions(self, topic: str, timeout_s: float) -> list[int]:
        return sorted(within(timeout_s, partial(self._consumer.partitions_for_topic, topic)) or ())

    def begins(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        return _offsets(self._consumer.beginning_offsets, topic, partitions, timeout_s)

    def ends(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        return _offsets(self._consumer.end_offsets, topic, partitions, timeout_s)

    def committed(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, Settled]:
        ask, timeout_ms = self._consumer.committed, int(1000 * timeout_s)
        found = {each: ask(TopicPartition(topic, each), metadata=True, timeout_ms=timeout_ms) for each in partitions}
        return {
            number: Settled(each.offset, (each.metadata or "").partition(END)[0])
            for number, each in found.items()
            if each is not None and each.offset >= 0
        }

    def assign(self, role: str, topic: str, offsets: dict[int, int]) -> None:
        self._role, self._topic = role, topic
        self._consumer.assign([TopicPartition(topic, each) for each in offsets])
        for each, offset in offsets.items():
            self._consumer.seek(TopicPartition(topic, each), offset)

    def poll(self, wait_s: float, most: int) -> list[Record]:
        fetched = self._fetched(wait_s, most)
        records: list[Record] = []
        for partition in sorted(fetched):
            batch = fetched[partition]
            following = [each.offset for each in batch[1:]] + [self.position(partition.partition)]
            for each, after in zip(batch, following, strict=True):
                at = each.partition, each.offset, after
                records.append(record(self._role, *at, each.key, each.value, each.timestamp))
        fetched.clear()  # the library's frames may hold it
        return records

    def _fetched(self, wait_s: float, most: int) -> dict[Any, list[Any]]:
        """A poll that is late is waited for again: what it reads, the consumer will not read a second time.

        The process may only have been stopped for a while, with the answer on its way.
        """
        poll = partial(self._consumer.poll, timeout_ms=max(0, int(1000 * wait_s)), max_records=most)
        call, self._late = self._late or Call(poll), None
        try:
            return call.answer(wait_s + POLL_LATE_S)
        finally:
            if not call.answered:
                self._late = call

    def position(self, partition: int) -> int:
        return int(self._consumer.position(TopicPartition(self._topic, partition), timeout_ms=0))

    def highwater(self, partition: int) -> int:
        return self._consumer.highwater(TopicPartition(self._topic, partition)) or 0

    def cause(self, since: float) -> Exception | None:
        return errors.CAUSE.since(since)

    def close(self) -> None:
        with suppress(kafka_errors.KafkaError, OSError):
            within(2.0, lambda: self._consumer.close(autocommit=False, timeout_ms=1000))


def _offsets(
    ask: Callable[..., dict[Any, int]], topic: str, partitions: Sequence[int], timeout_s: float
) -> dict[int, int]:
    """Begins or ends. A partition without a leader just now is left out by kafka-python 3.0.12, which stumbles then."""
    try:
        told = ask([TopicPartition(topic, each) for each in partitions], timeout_ms=int(1000 * timeout_s))
    except KeyError as missing:
        raise kafka_errors.LeaderNotAvailableError(f"no leader of {missing}") from None
    return {partition.partition: offset for partition, offset in told.items()}


@final
class KafkaPythonWriter(Writer):
    """A producer with its transactional id."""

    def __init__(self, producer: Any, name: str, timeout_s: float) -> None:
        self.producer, self._name, self._timeout_s = producer, name, timeout_s

    def take_over(self) -> None:
        within(self._timeout_s, self.producer.init_transactions)

    def knows(self, topic: str, timeout_s: float) -> bool:
        try:
            within(timeout_s, partial(self.producer.partitions_for, topic))
        except (kafka_errors.KafkaTimeoutError, TimeoutError):
            return False
        return True

    def publish(self, messages: Iterable[Outgoing], offsets: dict[tuple[str, int], int], metadata: str) -> None:
        ended = metadata + END
        told = {TopicPartition(*each): OffsetAndMetadata(offset, ended, -1) for each, offset in offsets.items()}
        try:
            within(self._timeout_s, lambda: self._transaction(messages, told))
        except (kafka_errors.KafkaError, TimeoutError) as error:
            # The first error says why; later ones only that there was one.
            raise self.producer._transaction_manager.last_error or error from None

    def _transaction(self, messages: Iterable[Outgoing], offsets: dict[Any, Any]) -> None:
        producer = self.producer
        producer.begin_transaction()
        sent = [producer.send(each.topic, key=each.key, value=each.value) for each in messages]
        producer.flush(self._timeout_s)
        for future in sent:
            if not future.is_done:
                raise kafka_errors.KafkaTimeoutError("a message was not acknowledged")
            if future.failed():
                raise future.exception
        producer.send_offsets_to_transaction(offsets, self._name)
        producer.commit_transaction()

    def close(self) -> None:
        """Its own `close` would flush first, and stop with an error where it cannot."""
        self.producer._sender.force_close()
        with suppress(kafka_errors.KafkaError, OSError):
            self.producer.close(timeout=1.0)
