"""Events and labels from Kafka, by positions of our own.

The daemon's state and its positions are one commit in the store, so the store says where reading goes on and Kafka's
committed offsets are for dashboards. The source therefore joins no group: it takes all partitions and seeks, and no
rebalance can hand a partition to two readers. A position that the log no longer holds raises (`auto_offset_reset` is
`none`): a silent jump to the beginning would learn every label twice.

Labels and events have a consumer each. One consumer for both empties a partition after the other, so that labels queue
behind a backlog of events; and pausing the events loses what was fetched of them (kafka-python 3.0.12 parks it and does
not always take it back). Labels fill at most half a poll, so that they do not outrun the events that they belong to.

A transaction ends with a marker that has an offset and no record. `Record.next` of the last record read from a
partition is the consumer's position, past such markers, or lag would show 1 for ever.

A quiet topic and a dead broker look alike to a consumer, so after some silence the partitions' ends are asked for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, final

import kafka.errors as kafka_errors

from streamlearn import config
from streamlearn.edges import kafka_settings
from streamlearn.errors import CannotStart, Unavailable
from streamlearn.service.ports import EVENTS, LABELS, POLL_BYTES, POLL_RECORDS, RECORD_BYTES, Position, Record, Source

POLL_S = 0.5  # the longest that `poll` may hold up a shutdown
SLICE_S = 0.05  # how long to wait for events before looking for labels again
LABELS_S = 0.1  # how long to wait for labels that are known to be there
PROBE_S = 2.0  # silence after which the broker is asked whether it is there ...
PROBE_ANSWER_S = 0.4  # ... and the time that it has to answer
KEPT_BYTES = 4096  # of a record that is too large


@final
class KafkaSource(Source):
    """Reads all partitions of the topics of events and labels; only committed records."""

    def __init__(self, name: str, kafka: config.Kafka, topics: config.Topics, *, timeout_s: float = 10.0) -> None:
        """timeout_s: how long a broker may be silent before it counts as away."""
        kafka_settings.check(kafka)
        self._name, self._kafka, self._timeout_s = name, kafka, timeout_s
        self._topics = {EVENTS: topics.events, LABELS: topics.labels}
        self._consumers: dict[str, Any] = {}  # by role
        self._partitions: dict[Position, Any] = {}
        self._ends: dict[Any, int] = {}
        self._buffer: deque[Record] = deque()  # read and not handed out: what went over POLL_BYTES
        self._waited: dict[Any, int] = {}  # where labels were waited for last
        self._heard = 0.0

    def open(self, positions: dict[Position, int]) -> None:
        self.close()
        try:
            for role, topic in self._topics.items():
                consumer = self._consumers[role] = self._connect(role)
                with kafka_settings.faults(self._kafka, f"cannot open topic '{topic}'"):
                    self._seek(role, consumer, positions)
            unknown = sorted(positions.keys() - self._partitions.keys())
            if unknown:
                raise CannotStart(
                    f"the store has a position in partition {unknown[0][1]} of the {unknown[0][0]} topic, which has no"
                    " such partition: was it made anew? Set the topic of before, or use a new name and store"
                )
        except BaseException:
            self.close()
            raise
        self._heard = time.monotonic()

    def _connect(self, role: str) -> Any:
        return kafka_settings.connect(
            self._kafka,
            client_id=f"{self._name}-{role}",
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_bytes=POLL_BYTES,  # what a consumer holds is bounded by this ...
            max_partition_fetch_bytes=RECORD_BYTES,  # ... and by this, for each partition
        )

    def _seek(self, role: str, consumer: Any, positions: dict[Position, int]) -> None:
        found = kafka_settings.partitions(consumer, self._kafka, role, self._topics[role], self._timeout_s)
        begins = _offsets(consumer.beginning_offsets, list(found.values()), self._timeout_s)
        ends = _offsets(consumer.end_offsets, list(found.values()), self._timeout_s)
        consumer.assign(list(found.values()))
        for position, partition in found.items():
            offset = positions.get(position, begins[partition])
            if not begins[partition] <= offset <= ends[partition]:
                raise CannotStart(
                    f"topic '{partition.topic}' partition {partition.partition} holds offsets {begins[partition]} to"
                    f" {ends[partition]}, and the store goes on at {offset}: records were deleted unread, or the topic"
                    " was made anew; use a new name and store"
                )
            consumer.seek(partition, offset)
        self._partitions |= found
        self._ends |= ends

    def poll(self, timeout_s: float) -> list[Record]:
        assert self._consumers, "open comes before poll"
        if not self._buffer:
            with kafka_settings.faults(self._kafka, "cannot read"):
                self._fill(time.monotonic() + min(timeout_s, POLL_S))
        taken: list[Record] = []
        size = 0
        while self._buffer and size < POLL_BYTES:
            taken.append(self._buffer.popleft())
            size += len(taken[-1].value or b"") + len(taken[-1].key or b"")
        return taken

    def _fill(self, until: float) -> None:
        """Read a poll's worth into the empty buffer, labels first."""
        if time.monotonic() - self._heard > PROBE_S and not self._probe():
            return
        while not self._buffer:
            self._fetch_labels(until - time.monotonic())
            left_s = 0.0 if self._buffer else min(SLICE_S, until - time.monotonic())
            self._fetch(EVENTS, left_s, POLL_RECORDS - len(self._buffer))
            if time.monotonic() >= until:
                break
        if self._buffer:
            self._heard = time.monotonic()

    def _fetch_labels(self, left_s: float) -> None:
        """Wait for labels that are known to be there, once at each place: an open transaction may hide them."""
        unread = self._unread(LABELS)
        wait_s = min(LABELS_S, left_s) if unread != self._waited else 0.0
        self._fetch(LABELS, wait_s if unread else 0.0, POLL_RECORDS // 2)
        self._waited = unread

    def _fetch(self, role: str, wait_s: float, records: int) -> None:
        fetched = self._consumers[role].poll(timeout_ms=max(0, int(1000 * wait_s)), max_records=records)
        for partition in sorted(fetched):
            batch = fetched[partition]
            following = [each.offset for each in batch[1:]] + [self._at(role, partition)]
            self._buffer.extend(map(record, [role] * len(batch), batch, following))

    def _unread(self, role: str) -> dict[Any, int]:
        """Where reading stands in the partitions that hold more."""
        places = {each: self._at(role, each) for position, each in self._partitions.items() if position[0] == role}
        return {partition: at for partition, at in places.items() if at < self._end(role, partition)}

    def _probe(self) -> bool:
        """Ask for the ends, which a broker that is there tells. Raises when it has been silent for too long."""
        try:
            for role, consumer in self._consumers.items():  # each knows the leaders of its own topic only
                own = [partition for position, partition in self._partitions.items() if position[0] == role]
                self._ends |= _offsets(consumer.end_offsets, own, PROBE_ANSWER_S)
        except (kafka_errors.RetriableError, OSError):
            silent_s = time.monotonic() - self._heard
            if silent_s < self._timeout_s:
                return False
            raise Unavailable(f"Kafka at {self._kafka.bootstrap_servers}: no answer for {silent_s:.0f} s") from None
        self._heard = time.monotonic()
        return True

    def _at(self, role: str, partition: Any) -> int:
        """The next offset that will be read from the log."""
        return int(self._consumers[role].position(partition, timeout_ms=0))

    def _end(self, role: str, partition: Any) -> int:
        return max(self._consumers[role].highwater(partition) or 0, self._ends[partition])

    def lag(self) -> dict[Position, int]:
        if not self._consumers:
            return {}
        handed: dict[Position, int] = {}
        for each in self._buffer:
            handed.setdefault((each.role, each.partition), each.offset)
        return {
            (role, number): max(0, self._end(role, partition) - handed.get((role, number), self._at(role, partition)))
            for (role, number), partition in self._partitions.items()
        }

    def close(self) -> None:
        consumers, self._consumers = self._consumers, {}
        self._partitions, self._ends, self._waited = {}, {}, {}
        self._buffer.clear()
        for consumer in consumers.values():
            kafka_settings.close(consumer)


def _offsets(ask: Callable[..., dict[Any, int]], partitions: list[Any], timeout_s: float) -> dict[Any, int]:
    """Begins or ends. A partition without a leader just now is left out by kafka-python 3.0.12, which stumbles then."""
    try:
        return ask(partitions, timeout_ms=int(1000 * timeout_s))
    except KeyError as missing:
        raise kafka_errors.LeaderNotAvailableError(f"no leader of {missing}") from None


def record(role: str, read: Any, following: int) -> Record:
    """The client's record as ours, cut where it is too large."""
    size = len(read.key or b"") + len(read.value or b"")
    if size <= RECORD_BYTES:
        return Record(role, read.partition, read.offset, following, read.key, read.value)
    key, value = read.key and read.key[:KEPT_BYTES], read.value and read.value[:KEPT_BYTES]
    return Record(role, read.partition, read.offset, following, key, value, size)
