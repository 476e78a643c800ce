"""kafka-python behind `member.py`'s classes, with what its version 3.0.12 needs to be guarded against.

- Listeners run on the thread that does its I/O, where whatever asks the broker hangs: they set a flag, and `poll` acts on it.
- A partition that was lost and won back keeps the position of before, though others have read on from elsewhere meanwhile: on a
  new generation what was polled is dropped, and every partition is put where the group has come to.
- A member whose name another has taken over is told by its heart only, which then stops, while it goes on reading. It ends
  when it commits.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

import kafka.errors as kafka_errors
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

from streamlearn.edges.kafka.client import CONNECT_S, REQUEST_BYTES, Outgoing, Whose, within
from streamlearn.edges.kafka.member import HEARTBEAT_S, SESSION_S, TAKEN, WORK_S, Called, Member, Positions, Producer
from streamlearn.edges.kafka.python import PRODUCER_API, READING, Connection, KafkaPython, KafkaPythonReader
from streamlearn.errors import Fenced
from streamlearn.service.ports import Record

GONE = (  # the partition, or the membership
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
)


@final
class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no types
    """That there were any, told from another thread."""

    def __init__(self) -> None:
        self.met = threading.Event()

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.met.set()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.met.set()


@final
class KafkaPythonMember(Member):
    def __init__(self, client: KafkaPython, called: Called, role: str, topic: str) -> None:
        own: dict[str, object] = {
            **READING,
            "client_id": called.client,
            "group_id": called.group,
            "group_instance_id": called.instance or None,
            "partition_assignment_strategy": (RangePartitionAssignor,),  # both libraries know it
            "session_timeout_ms": int(1000 * SESSION_S),
            "heartbeat_interval_ms": int(1000 * HEARTBEAT_S),
            "max_poll_interval_ms": int(1000 * WORK_S),
        }
        self._client, self._topic, self._changes = client, topic, _Changes()
        self._consumer = client.build(KafkaConsumer, own)
        self.reader = KafkaPythonReader(self._consumer, role, topic)
        try:
            within(CONNECT_S + 1.0, lambda: self._consumer.bootstrap(timeout_ms=int(1000 * CONNECT_S)))
        except client.errors as error:
            self.reader.close()
            raise client.unreachable(error) from None
        self._consumer.subscribe([topic], listener=self._changes)

    def poll(self, wait_s: float, most: int, positions: Positions) -> list[Record]:
        try:
            records = self.reader.poll(wait_s, most)
        except self._client.errors as error:
            if not self._changes.met.is_set() or self._client.whose(error) is not Whose.LOGS:
                raise
            records = []  # a partition that is new to the group has no position yet
        if not self._changes.met.is_set():
            return records
        self._changes.met.clear()
        for number, offset in positions(self.assigned()).items():
            with suppress(
                AssertionError, kafka_errors.IllegalStateError
            ):  # lost again: there is another change to come
                self._consumer.seek(TopicPartition(self._topic, number), offset)
        return []

    def assigned(self) -> list[int]:
        return sorted(each.partition for each in self._consumer.assignment())

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> bool:
        told = {TopicPartition(self._topic, each): OffsetAndMetadata(at, "", -1) for each, at in offsets.items()}
        try:
            within(timeout_s, partial(self._consumer.commit, told, timeout_ms=int(1000 * timeout_s)))
        except GONE:
            return False
        except kafka_errors.FencedInstanceIdError:
            raise Fenced(TAKEN) from None
        return True

    def close(self) -> None:
        self.reader.close()


@final
class KafkaPythonProducer(Producer):
    def __init__(self, client: KafkaPython, name: str, timeout_s: float) -> None:
        timeout_ms = int(1000 * timeout_s)
        own: dict[str, object] = {
            "api_version": PRODUCER_API,
            "client_id": name,
            "acks": "all",
            "max_block_ms": timeout_ms,
            "delivery_timeout_ms": timeout_ms,
            "request_timeout_ms": timeout_ms // 2,
            "batch_size": 512 << 10,
            "linger_ms": 100,  # `flush` does not wait for it
            "max_request_size": REQUEST_BYTES,
            "kafka_client": Connection,
        }
        self._producer, self._timeout_s = client.build(KafkaProducer, own), timeout_s

    def publish(self, messages: Sequence[Outgoing]) -> None:
        within(self._timeout_s, lambda: self._publish(messages))

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        sent = [self._producer.send(each.topic, key=each.key, value=each.value) for each in messages]
        self._producer.flush(self._timeout_s)
        for future in sent:
            if not future.is_done:
                raise kafka_errors.KafkaTimeoutError("a message was not acknowledged")
            if future.failed():
                raise future.exception

    def close(self) -> None:
        self._producer._sender.force_close()
        with suppress(kafka_errors.KafkaError, OSError):
            self._producer.close(timeout=1.0)
