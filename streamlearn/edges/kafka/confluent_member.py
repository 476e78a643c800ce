"""confluent-kafka behind `member.py`'s classes.

Its callbacks run within `poll`, on the caller's thread, but whatever asks the broker hangs there. So they take nothing at
first, since what they leave unsaid the library decides, and `poll` takes the partitions once it knows from where. What was read
ahead before that is dropped by the library.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Producer as Library

from streamlearn.edges.kafka import client as common
from streamlearn.edges.kafka import confluent_errors as errors
from streamlearn.edges.kafka.client import Outgoing, within
from streamlearn.edges.kafka.confluent import LOOK_S, READING, ConfluentReader, KafkaConfluent
from streamlearn.edges.kafka.member import HEARTBEAT_S, SESSION_S, TAKEN, WORK_S, Called, Member, Positions, Producer
from streamlearn.errors import Fenced
from streamlearn.service.ports import Record

GONE = {  # the partition, or the membership
    KafkaError._STATE,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNKNOWN_MEMBER_ID,
}


@final
class ConfluentMember(Member):
    def __init__(self, client: KafkaConfluent, called: Called, role: str, topic: str) -> None:
        began, cause = time.monotonic(), errors.LastCause()
        own: dict[str, Any] = {
            "bootstrap.servers": client.kafka.bootstrap_servers,
            "client.id": called.client,
            "group.id": called.group,
            **({"group.instance.id": called.instance} if called.instance else {}),
            "partition.assignment.strategy": "range",  # both libraries know it
            "session.timeout.ms": int(1000 * SESSION_S),
            "heartbeat.interval.ms": int(1000 * HEARTBEAT_S),
            "max.poll.interval.ms": int(1000 * WORK_S),
            **READING,
            "error_cb": cause,
        }
        self._role, self._topic, self._numbers, self._handed = role, topic, list[int](), False
        self._consumer = client.build(Consumer, own)
        self.reader = reader = ConfluentReader(self._consumer, cause, role, topic)
        try:
            reader.find(common.CONNECT_S)
        except client.errors as error:
            why = reader.cause(began) or error
            reader.close()
            raise client.unreachable(why) from None
        self._consumer.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)

    def _assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._numbers, self._handed = sorted(each.partition for each in partitions), True
        consumer.assign([])

    def _revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._numbers, self._handed = [], False
        consumer.unassign()

    def poll(self, wait_s: float, most: int, positions: Positions) -> list[Record]:
        try:
            records = self.reader.poll(wait_s, most)
        except KafkaException as error:
            raise _ended(error) from None
        if self._handed:
            self.reader.assign(self._role, self._topic, positions(self._numbers))
            self._handed, records = False, []
        return records

    def assigned(self) -> list[int]:
        return list(self._numbers)

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> bool:
        told = [TopicPartition(self._topic, each, at) for each, at in offsets.items()]
        try:
            for each in within(timeout_s, partial(self._consumer.commit, offsets=told, asynchronous=False)):
                if each.error is not None:
                    raise KafkaException(each.error)
        except KafkaException as error:
            if error.args[0].code() not in GONE:
                raise _ended(error) from None
            return False
        return True

    def close(self) -> None:
        self.reader.close()


def _ended(error: KafkaException) -> Exception:
    """A consumer has no other fatal error than that its name is another's."""
    return Fenced(TAKEN) if error.args[0].code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) else error


@final
class ConfluentProducer(Producer):
    def __init__(self, client: KafkaConfluent, name: str, timeout_s: float) -> None:
        self._cause, self._timeout_s = errors.LastCause(), timeout_s
        own: dict[str, Any] = {
            "bootstrap.servers": client.kafka.bootstrap_servers,
            "client.id": name,
            "enable.idempotence": True,
            "delivery.timeout.ms": int(1000 * timeout_s),
            "message.max.bytes": common.REQUEST_BYTES,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "error_cb": self._cause,
        }
        self._producer: Any = client.build(Library, own)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        began, failed = time.monotonic(), list[KafkaError]()

        def report(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                failed.append(error)

        for each in messages:
            while True:
                try:
                    self._producer.produce(each.topic, each.value, each.key, on_delivery=report)
                    break
                except BufferError:  # its queue is full; it has room once something was sent
                    if time.monotonic() - began > self._timeout_s:
                        raise TimeoutError("messages were not acknowledged") from None
                    self._producer.poll(LOOK_S)
        unsent = self._producer.flush(self._timeout_s)
        if failed or unsent:
            cause = self._cause.since(began)
            raise cause or (
                KafkaException(failed[0]) if failed else TimeoutError(f"{unsent} messages were not acknowledged")
            )

    def close(self) -> None:
        with suppress(KafkaException):
            self._producer.purge(blocking=False)
        self._producer = None
