"""Messages to Kafka: one transaction a commit, which also carries the source's positions and the commit's number.

The store is written first. So on start it may be one commit ahead of Kafka, and never behind, and what was published
last has to be found out without a doubt: every transaction commits the positions of all source partitions to the group
`name`, with `store_id:number` as their metadata. `open` takes over the transactional id first, which ends whatever a
process before this one had begun, and reads the metadata then (`published` holds the rules).

What kafka-python 3.0.12 needs to be guarded against:

- Offsets given to a transaction that is aborted are committed by the next one, and a commit succeeds although a batch
  in it failed. So every future is looked at before the commit, and after any fault the producer is thrown away.
- A producer that is fenced while it sends asks for a new epoch, and that request ends the transaction that its
  successor has open. It does so only where brokers are 2.5 or newer; told that this one is not, it stops instead.
- Commit, abort and offsets wait for ever. So a transaction runs under a deadline, on a thread that is left behind when
  it is missed; its producer is ended, so that nothing that it does later reaches the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, final

import kafka.errors as kafka_errors
from kafka import KafkaProducer
from kafka.structs import OffsetAndMetadata

from streamlearn import config
from streamlearn.edges import kafka_settings
from streamlearn.errors import REBUILD, CannotStart
from streamlearn.service.ports import EVENTS, LABELS, PREDICTIONS, QUERIES, REJECTED, Commit, Inherited, Position, Sink

PRODUCER_API = (2, 4)  # no new epoch for a fenced producer; see above
TRANSACTION_S = 60.0  # the broker ends a transaction after this time; our own deadline has to come before
REQUEST_BYTES = 8 << 20  # the broker, not the client, says which message is too large
RETRY_MS = 20  # a transaction that follows at once meets the end of the one before, and waits this long
CREATE_S = 5.0  # how long to wait for an output topic that brokers may create by themselves


@final
class KafkaSink(Sink):
    """Publishes to the topics of queries, predictions and rejected records; `name` is transactional id and group."""

    def __init__(self, name: str, kafka: config.Kafka, topics: config.Topics, *, timeout_s: float = 30.0) -> None:
        """timeout_s: the longest that `open` or `publish` may take."""
        assert 0 < timeout_s < TRANSACTION_S
        kafka_settings.check(kafka)
        self._name, self._kafka, self._timeout_s = name, kafka, timeout_s
        self._inputs = {EVENTS: topics.events, LABELS: topics.labels}
        named = {QUERIES: topics.queries, PREDICTIONS: topics.predictions, REJECTED: topics.rejected}
        self._outputs = {role: topic for role, topic in named.items() if topic}
        self._sources: dict[Position, Any] = {}
        self._producer: Any = None
        self._store_id = ""

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        traces = [each.metadata for each in self._take_over().values()]
        self._store_id = store_id
        try:
            return published(traces, store_id, saved_number, replaces)
        except CannotStart:
            self.close()
            raise

    def inherit(self) -> Inherited:
        committed = self._take_over()
        owners = {owner(each.metadata) for each in committed.values() if each.metadata}
        return Inherited(max(owners, default=""), {position: each.offset for position, each in committed.items()})

    def _take_over(self) -> dict[Position, Any]:
        """Fence other writers; what is committed of the sources' partitions then."""
        self.close()
        reader = kafka_settings.connect(
            self._kafka,
            client_id=f"{self._name}-sink",
            group_id=self._name,
            isolation_level="read_committed",  # of offsets too: none that a transaction has not settled
            auto_offset_reset="none",
            enable_auto_commit=False,
        )
        try:
            with kafka_settings.faults(self._kafka, "cannot open the outputs"):
                self._sources = {}
                for role, topic in self._inputs.items():
                    found = kafka_settings.partitions(reader, self._kafka, role, topic, self._timeout_s)
                    self._sources |= found
                self._new_producer()
                self._check_outputs()
                return self._committed(reader)
        except BaseException:
            self.close()
            raise
        finally:
            kafka_settings.close(reader)

    def _new_producer(self) -> None:
        """A new producer under the same transactional id: older ones are fenced, their open transaction is aborted."""
        timeout_ms = int(1000 * self._timeout_s)
        own: dict[str, object] = {
            "api_version": PRODUCER_API,
            "client_id": f"{self._name}-sink",
            "transactional_id": self._name,
            "transaction_timeout_ms": int(1000 * TRANSACTION_S),
            "max_block_ms": timeout_ms,
            "delivery_timeout_ms": timeout_ms,
            "request_timeout_ms": timeout_ms // 2,
            "batch_size": 512 << 10,
            "linger_ms": 100,  # `flush` does not wait for it
            "max_request_size": REQUEST_BYTES,
            "retry_backoff_ms": RETRY_MS,
        }
        producer = self._producer = kafka_settings.build(KafkaProducer, self._kafka, own)
        kafka_settings.within(self._timeout_s, producer.init_transactions)

    def _check_outputs(self) -> None:
        """Asking for a topic creates it where brokers are set up to; else there is no such topic, and that is said."""
        producer = self._producer
        for role, topic in self._outputs.items():
            try:
                kafka_settings.within(min(CREATE_S, self._timeout_s), partial(producer.partitions_for, topic))
            except kafka_errors.KafkaTimeoutError:
                raise kafka_settings.missing(role, topic, self._kafka) from None

    def _committed(self, reader: Any) -> dict[Position, Any]:
        """What is committed, stable, of every source partition that anything is committed of."""
        timeout_ms = int(1000 * self._timeout_s)
        committed = {
            position: reader.committed(partition, metadata=True, timeout_ms=timeout_ms)
            for position, partition in self._sources.items()
        }
        return {position: each for position, each in committed.items() if each is not None and each.offset >= 0}

    def ends(self) -> dict[str, int]:
        return {}

    def publish(self, commit: Commit) -> None:
        assert self._producer is not None, "open comes before publish, and again after a fault"
        producer = self._producer
        try:
            with kafka_settings.faults(self._kafka, f"cannot publish commit {commit.number}"):
                try:
                    kafka_settings.within(self._timeout_s, lambda: self._transaction(producer, commit))
                except kafka_errors.KafkaError as error:
                    # The first error says why; later ones only that there was one.
                    raise producer._transaction_manager.last_error or error from None
        except BaseException:
            self.close()
            raise

    def _transaction(self, producer: Any, commit: Commit) -> None:
        producer.begin_transaction()
        sent = [
            producer.send(self._outputs[message.role], key=message.key, value=message.value)
            for message in commit.outbox
            if message.role in self._outputs
        ]
        producer.flush(self._timeout_s)
        for future in sent:
            if not future.is_done:
                raise kafka_errors.KafkaTimeoutError("a message was not acknowledged")
            if future.failed():
                raise future.exception
        trace = f"{self._store_id}:{commit.number}"
        offsets = {
            # A partition of which nothing was read yet gets its trace too.
            partition: OffsetAndMetadata(commit.positions.get(position, 0), trace, -1)
            for position, partition in self._sources.items()
        }
        producer.send_offsets_to_transaction(offsets, self._name)
        producer.commit_transaction()

    def close(self) -> None:
        """End the producer at once. Its own `close` would flush first, and stop with an error where it cannot."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._sender.force_close()
            with suppress(kafka_errors.KafkaError, OSError):
                producer.close(timeout=1.0)


def published(traces: Iterable[str], store_id: str, saved_number: int, replaces: str | None = None) -> int:
    """Which commit of this store was published last (0: none), from what is committed on the source partitions.

    The store is written before Kafka and its outbox cleared before the next commit, so it is `saved_number` or the one
    before. Anything else means that store and log are not of one history, and going on would lose or repeat queries.
    A store that was built from the log finds the traces of the one that it `replaces`, or none, until it has published.
    """
    numbers, traces = [], list(filter(None, traces))
    if replaces is not None and all(owner(trace) == replaces for trace in traces):
        return saved_number - 1
    for trace in traces:
        number = trace.rpartition(":")[2]
        if owner(trace) != store_id or not number.isdecimal():
            raise CannotStart(f"this name's consumer group was written by another store ({trace[:80]!r}); {REBUILD}")
        numbers.append(int(number))
    last = max(numbers, default=0)
    if not numbers and saved_number > 1:
        raise CannotStart(f"the store is at commit {saved_number} and Kafka has no trace of it; {REBUILD}")
    if last > saved_number:
        raise CannotStart(f"the store is at commit {saved_number} and Kafka already at {last}: an old copy; {REBUILD}")
    if last < saved_number - 1:
        raise CannotStart(f"the store is at commit {saved_number} and Kafka only at {last}; {REBUILD}")
    return last


def owner(trace: str) -> str:
    """The id of the store that left it."""
    return trace.rpartition(":")[0]
