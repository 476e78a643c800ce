"""confluent-kafka behind `client.py`'s classes: librdkafka, in C, which is several times faster; an extra to install.

Its settings are librdkafka's, `security.protocol` and the like; written with underscores they are the same, since the
environment knows no dots. What was found out about version 2.16:

- A consumer's position goes past the markers of transactions as soon as they are taken from its queue, though none is
  handed out. `consume` waits for as many records as were asked for, so it is asked only for what is there already.
- A producer that is fenced says so and sends nothing more: its successor's transaction stays as it is. The fatal error
  is raised before the reports of what was sent are handed out, which Python takes for an error of its own (SystemError).
- A partition's begin and end are asked for by the times -2 and -1: one request, and no wait for each partition.
- What is committed with offsets is written with a NUL and read up to one: without, memory behind it is read too.
- Reasons for being disconnected come by `error_cb` only, and its log goes to stderr unless it is told not to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streamlearn import config
from streamlearn.edges.kafka import client as common
from streamlearn.edges.kafka import confluent_errors as errors
from streamlearn.edges.kafka.admin import Admin
from streamlearn.edges.kafka.client import Client, Outgoing, Reader, Settled, Whose, Writer, record, within
from streamlearn.edges.kafka.confluent_admin import ConfluentAdmin
from streamlearn.edges.kafka.confluent_settings import RESERVED, UNKNOWN, text
from streamlearn.errors import ConfigurationError
from streamlearn.service.ports import POLL_BYTES, Record

READING: dict[str, Any] = {  # what all consumers have in common
    "isolation.level": "read_committed",  # of offsets too: none that a transaction has not settled
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "fetch.max.bytes": POLL_BYTES,
    "fetch.wait.max.ms": common.FETCH_WAIT_MS,
    "fetch.queue.backoff.ms": 10,  # after a full queue; the default, a second, stalls fast readers
    "queued.max.messages.kbytes": 2 * POLL_BYTES >> 10,  # what was read ahead is bounded by this ...
    "queued.min.messages": 10_000,  # ... and of small records by this, for each partition
}
COMMITTED_S = 10.0  # how long a group's offsets may be waited for
LOOK_S = 0.1  # between two questions after what is not there yet, a topic or the leader of a partition


@final
class KafkaConfluent(Client):
    """The fast library."""

    errors = (KafkaException, OSError)
    rights = "kafka.settings.security.protocol and kafka.settings.sasl.*"

    def __init__(self, kafka: config.Kafka) -> None:
        self.kafka = kafka
        self._settings = {key.replace("_", "."): text(key, value) for key, value in kafka.settings.items()}
        common.refuse_reserved(kafka, {key for key in kafka.settings if key.replace("_", ".") in RESERVED})
        self.build(Consumer, {"group.id": "none"}).close()  # without a server: only the settings are looked at

    def reader(self, name: str, group: str, *, with_offsets: bool = False) -> Reader:
        began, cause = time.monotonic(), errors.LastCause()
        own: dict[str, Any] = {
            "bootstrap.servers": self.kafka.bootstrap_servers,
            "client.id": name,
            "group.id": group,  # asked for its coordinator, whatever is done; not joined, as nothing is subscribed to
            "max.poll.interval.ms": 86_400_000,  # a pause is no fault
            **READING,
            "error_cb": cause,
        }
        reader = ConfluentReader(self.build(Consumer, own), cause)
        try:
            reader.find(common.CONNECT_S)
        except self.errors as error:
            why = reader.cause(began) or error
            reader.close()
            raise self.unreachable(why) from None
        return reader

    def writer(self, name: str, timeout_s: float) -> Writer:
        cause = errors.LastCause()
        own: dict[str, Any] = {
            "bootstrap.servers": self.kafka.bootstrap_servers,
            "client.id": f"{name}-sink",
            "transactional.id": name,
            "transaction.timeout.ms": int(1000 * common.TRANSACTION_S),
            "delivery.timeout.ms": int(1000 * timeout_s),
            "message.max.bytes": common.REQUEST_BYTES,
            "partitioner": "murmur2_random",  # a key goes where other clients would put it
            "error_cb": cause,
        }
        group = self.build(Consumer, {"group.id": name})
        try:
            member = group.consumer_group_metadata()
        finally:
            group.close()
        return ConfluentWriter(self.build(Producer, own), member, cause, timeout_s)

    def build(self, kind: type[Any], own: dict[str, Any]) -> Any:
        """A client of this class. The operator's settings go before ours in `own`, where they are not reserved."""
        usual = {"log_level": 0, "reconnect.backoff.max.ms": common.RECONNECT_MS}
        try:
            return kind({**usual, **own, **self._settings})
        except (KafkaException, TypeError, ValueError) as error:
            said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            unknown = UNKNOWN.match(said)
            if unknown is not None:
                raise common.unknown(unknown[1], self.kafka, frozenset()) from None
            refused = f"{common.REFUSED} {self.kafka.client}: {said}"
            raise ConfigurationError(common.scrub(refused, self.kafka)) from None

    def whose(self, error: Exception) -> Whose:
        return errors.whose(error)

    def says(self, error: Exception) -> str:
        return errors.says(error)

    def _admin(self) -> Admin:
        return ConfluentAdmin(self.build(AdminClient, {"bootstrap.servers": self.kafka.bootstrap_servers}))


@final
class ConfluentReader(Reader):
    """A consumer; role and topic are told by `assign`, or here where it has subscribed (`confluent_member.py`)."""

    def __init__(self, consumer: Any, cause: errors.LastCause, role: str = "", topic: str = "") -> None:
        self._consumer, self._cause, self._role, self._topic = consumer, cause, role, topic
        self._from: dict[int, int] = {}  # where reading began
        self._fault: KafkaError | None = None  # met behind records, which are handed out first

    def find(self, timeout_s: float) -> None:
        within(timeout_s + 1.0, partial(self._consumer.list_topics, timeout=timeout_s))

    def partitions(self, topic: str, timeout_s: float) -> list[int]:
        told = within(timeout_s, partial(self._consumer.list_topics, topic, timeout_s)).topics[topic]
        if told.error is not None and told.error.code() not in errors.ABSENT:
            raise KafkaException(told.error)
        return sorted(told.partitions)

    def begins(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        return self._offsets(topic, partitions, OFFSET_BEGINNING, timeout_s)

    def ends(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        return self._offsets(topic, partitions, OFFSET_END, timeout_s)

    def _offsets(self, topic: str, partitions: Sequence[int], at: int, timeout_s: float) -> dict[int, int]:
        asked, until = [TopicPartition(topic, each, at) for each in partitions], time.monotonic() + timeout_s
        while True:
            ask = partial(self._consumer.offsets_for_times, asked, _left(until))
            try:
                return {each.partition: each.offset for each in _whole(within(_left(until) + 0.1, ask))}
            except KafkaException as error:
                if error.args[0].code() not in errors.MOVING or _left(until) < LOOK_S:
                    raise
            time.sleep(LOOK_S)

    def committed(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, Settled]:
        asked = [TopicPartition(topic, each) for each in partitions]
        timeout_s = min(timeout_s, COMMITTED_S)
        try:
            told = within(timeout_s + 0.1, partial(self._consumer.committed, asked, timeout_s))
        except (KafkaException, TimeoutError):
            met = self._consumer.poll(0)  # a group that we may not see is told of here only
            if met is not None and met.error() is not None:
                raise KafkaException(met.error()) from None
            raise
        found = [each for each in _whole(told) if each.offset >= 0]
        return {each.partition: Settled(each.offset, (each.metadata or "").rstrip("\0")) for each in found}

    def assign(self, role: str, topic: str, offsets: dict[int, int]) -> None:
        self._role, self._topic, self._from = role, topic, dict(offsets)
        self._consumer.assign([TopicPartition(topic, each, offset) for each, offset in offsets.items()])

    def poll(self, wait_s: float, most: int) -> list[Record]:
        self._raise()
        first = self._consumer.poll(wait_s)
        messages = [] if first is None else [first, *self._consumer.consume(most - 1, 0)]
        batches: dict[int, list[Any]] = {}
        for each in messages:
            if each.error() is not None:
                self._fault = each.error()
            else:
                batches.setdefault(each.partition(), []).append(each)
        if not batches:
            self._raise()
        records: list[Record] = []
        for partition, batch in sorted(batches.items()):
            following = [each.offset() for each in batch[1:]] + [self.position(partition)]
            for each, after in zip(batch, following, strict=True):
                _, time_ms = each.timestamp()  # -1 where there is none
                records.append(record(self._role, partition, each.offset(), after, each.key(), each.value(), time_ms))
        return records

    def _raise(self) -> None:
        error, self._fault = self._fault, None
        if error is not None:
            raise KafkaException(error)

    def position(self, partition: int) -> int:
        (told,) = self._consumer.position([TopicPartition(self._topic, partition)])
        return int(told.offset) if told.offset >= 0 else self._from[partition]

    def highwater(self, partition: int) -> int:
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
        return max(int(high), 0)

    def cause(self, since: float) -> Exception | None:
        if not self._from:
            with suppress(KafkaException):
                self._consumer.poll(0)  # tells what there is to tell
        return self._cause.since(since)

    def close(self) -> None:
        with suppress(KafkaException, OSError, RuntimeError):
            within(2.0, self._consumer.close)


def _whole(told: list[Any]) -> list[Any]:
    """Partitions of which each one was answered."""
    for each in told:
        if each.error is not None:
            raise KafkaException(each.error)
    return told


@final
class ConfluentWriter(Writer):
    """A producer with its transactional id."""

    def __init__(self, producer: Any, member: Any, cause: errors.LastCause, timeout_s: float) -> None:
        self.producer, self._member, self._cause, self._timeout_s = producer, member, cause, timeout_s

    def take_over(self) -> None:
        within(self._timeout_s + 1.0, partial(self.producer.init_transactions, self._timeout_s))

    def knows(self, topic: str, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        while True:
            left_s = max(LOOK_S, until - time.monotonic())
            told = within(left_s + 1.0, partial(self.producer.list_topics, topic, left_s)).topics[topic]
            if told.error is None:
                return True
            if told.error.code() not in errors.ABSENT:
                raise KafkaException(told.error)
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_S)

    def publish(self, messages: Iterable[Outgoing], offsets: dict[tuple[str, int], int], metadata: str) -> None:
        began, told = time.monotonic(), [TopicPartition(*each, at, metadata) for each, at in offsets.items()]
        try:
            within(self._timeout_s + 0.5, partial(self._transaction, list(messages), told, began + self._timeout_s))
        except SystemError as error:
            raise error.__cause__ or error from None
        except (KafkaException, TimeoutError) as error:
            raise (self._cause.since(began) if errors.is_silent(error) else None) or error from None

    def _transaction(self, messages: list[Outgoing], offsets: list[Any], until: float) -> None:
        producer, failed = self.producer, []

        def report(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                failed.append(error)

        producer.begin_transaction()
        for each in messages:
            while True:
                try:
                    producer.produce(each.topic, each.value, each.key, on_delivery=report)
                    break
                except BufferError:  # its queue is full; it has room once something was sent
                    if time.monotonic() >= until:
                        raise TimeoutError("messages were not acknowledged") from None
                    producer.poll(LOOK_S)
        unsent = producer.flush(_left(until))
        if failed:  # the commit would fail too, but only tell that a delivery has
            raise KafkaException(failed[0])
        if unsent:
            raise TimeoutError(f"{unsent} messages were not acknowledged")
        producer.send_offsets_to_transaction(offsets, self._member, _left(until))
        producer.commit_transaction(_left(until))

    def close(self) -> None:
        """Its own `close` would end the transaction and flush first."""
        with suppress(KafkaException):
            self.producer.purge(blocking=False)
        self.producer = None


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())
