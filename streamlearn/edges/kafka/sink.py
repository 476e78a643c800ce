"""Messages to Kafka: one transaction a commit, which also carries the source's positions and the commit's number.

The store is written first. So on start it may be one commit ahead of Kafka, and never behind, and what was published
last has to be found out without a doubt: every transaction commits the positions of all source partitions to the group
`name`, with `store_id:number` as their metadata. `open` takes over the transactional id first, which ends whatever a
process before this one had begun, and reads the metadata then (`published` holds the rules).

After any fault the writer is thrown away: what it has begun is ended by the next one, which is the only way that all
client libraries do alike (`client.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka import topics as kafka_topics
from streamlearn.edges.kafka.client import TRANSACTION_S, Outgoing, Reader, Settled, Writer
from streamlearn.errors import REBUILD, SUCCEEDED, CannotStart, Fenced
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    MODELS,
    PREDICTIONS,
    QUERIES,
    REJECTED,
    Commit,
    Inherited,
    Position,
    Sink,
)

TIMEOUT_S = 25.0  # so that SIGTERM ends a daemon that waits here within 30 s, after which platforms kill
LOOK_S = 5.0  # how long to look for a successor
ATTEMPT_S = 5.0  # what the first two attempts may take, the next two twice as long, and so on ...
DOUBLINGS_MOST = 8  # ... up to here: the broker may be away for days
CREATE_S = 5.0  # how long to wait for an output topic that brokers may create by themselves


@final
class KafkaSink(Sink):
    """Publishes to the topics of queries, predictions, rejected records and models; `name` is transactional id and group."""

    def __init__(self, name: str, kafka: config.Kafka, topics: config.Topics, *, timeout_s: float = TIMEOUT_S) -> None:
        """timeout_s: the longest that an attempt to `open` or `publish` may take.

        A coordinator that is killed leaves libraries waiting for it, while new ones find the next. So the first attempts
        are short, and what they have left undone is recovered as it is after a kill.
        """
        assert 0 < timeout_s < TRANSACTION_S
        self._client = clients.client(kafka)
        self._topics, self._prepared = topics, False
        self._name, self._timeout_s, self._faults = name, timeout_s, 0
        self._inputs = {EVENTS: topics.events, LABELS: topics.labels}
        named = {
            QUERIES: topics.queries,
            PREDICTIONS: topics.predictions,
            REJECTED: topics.rejected,
            MODELS: topics.models,
        }
        self._outputs = {role: topic for role, topic in named.items() if topic}
        self._sources: list[Position] = []
        self._writer: Writer | None = None
        self._store_id = ""

    def open(self, store_id: str, saved_number: int, replaces: str | None = None) -> int | None:
        again = saved_number if self._store_id == store_id else None
        traces = [each.metadata for each in self._take_over(again, replaces).values()]
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

    def _take_over(self, again: int | None = None, replaces: str | None = None) -> dict[Position, Settled]:
        """Fence other writers; what is committed of the sources' partitions then. again: the number that this process was
        about to publish, where it was open before; replaces: as for `open`.
        """
        self.close()
        reader = self._client.reader(f"{self._name}-sink", self._name, with_offsets=True)
        try:
            if not self._prepared:
                kafka_topics.prepare(self._topics, self._client)
                self._prepared = True
            with self._client.faults("cannot open the outputs"):
                self._sources = []
                for role, topic in self._inputs.items():
                    numbers = reader.partitions(topic, self._attempt_s)
                    if not numbers:
                        raise self._client.missing(role, topic)
                    self._sources += [(role, number) for number in numbers]
                if again is not None:
                    self._look_for_successor(reader, again, replaces)
                writer = self._writer = self._client.writer(self._name, self._attempt_s)
                writer.take_over()
                self._check_outputs(writer)
                return self._committed(reader, self._attempt_s)
        except BaseException:
            self._give_up()
            raise
        finally:
            reader.close()

    def _check_outputs(self, writer: Writer) -> None:
        for role, topic in self._outputs.items():
            if not writer.knows(topic, min(CREATE_S, self._attempt_s)):
                raise self._client.missing(role, topic)

    def _look_for_successor(self, reader: Reader, number: int, replaces: str | None) -> None:
        """Raise `Fenced` where another daemon has gone on from here, while this one slept: taking over would end that one.

        Where nothing can be said, since a transaction is open, the taking over decides.
        """
        unanswered: tuple[type[Exception], ...] = (*self._client.errors, TimeoutError)
        try:
            settled = self._committed(reader, min(LOOK_S, self._attempt_s))
        except unanswered:
            return
        for each in settled.values():
            whose = owner(each.metadata)
            if whose == self._store_id and (_number(each.metadata) or 0) > number:
                raise Fenced(SUCCEEDED)
            if whose not in ("", self._store_id, replaces):
                raise Fenced(SUCCEEDED)

    def _committed(self, reader: Reader, timeout_s: float) -> dict[Position, Settled]:
        """What is committed, stable, of every source partition that anything is committed of."""
        found: dict[Position, Settled] = {}
        for role, topic in self._inputs.items():
            numbers = [number for each, number in self._sources if each == role]
            settled = reader.committed(topic, numbers, timeout_s)
            found |= {(role, number): each for number, each in settled.items()}
        return found

    def ends(self) -> dict[str, int]:
        return {}

    def publish(self, commit: Commit) -> None:
        assert self._writer is not None, "open comes before publish, and again after a fault"
        messages = [
            Outgoing(self._outputs[message.role], message.key, message.value)
            for message in commit.outbox
            if message.role in self._outputs
        ]
        # A partition of which nothing was read yet gets its trace too, and so does one that was added since `open`.
        sources = dict.fromkeys([*self._sources, *commit.positions])
        offsets = {(self._inputs[each[0]], each[1]): commit.positions.get(each, 0) for each in sources}
        try:
            with self._client.faults(f"cannot publish commit {commit.number}"):
                self._writer.publish(messages, offsets, f"{self._store_id}:{commit.number}")
        except BaseException:
            self._give_up()
            raise
        self._faults = 0

    def _give_up(self) -> None:
        self._faults += 1
        self.close()

    @property
    def _attempt_s(self) -> float:
        return attempt_s(self._faults, self._timeout_s)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def attempt_s(faults: int, most_s: float) -> float:
    """What the next attempt may take, after so many that failed in a row."""
    return min(ATTEMPT_S * 2.0 ** min(faults // 2, DOUBLINGS_MOST), most_s)


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
        number = _number(trace)
        if owner(trace) != store_id or number is None:
            raise CannotStart(f"this name's consumer group was written by another store ({trace[:80]!r}); {REBUILD}")
        numbers.append(number)
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


def _number(trace: str) -> int | None:
    """Of the commit that left it."""
    number = trace.rpartition(":")[2]
    return int(number) if number.isdecimal() else None
