"""Events as a member of a consumer group, for scorers: Kafka hands out partitions, and knows where the group has come to.

What a scorer does can be done twice, since events have ids; so nothing is fenced, and the rules are few. Offsets are committed
once what came of them is acknowledged. Whatever partition it is handed, also one that it had before, it reads from where the
group has come to. What was read of a partition before it was lost is dropped, or done by two. A commit that comes too late is
refused by the broker, and whoever has the partition then goes on from before it.

A group of which nothing is committed begins at the beginning of the topic. Where the log does not hold what is next,
`kafka.lost` says what to do, as for the daemon.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import final

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka import topics as kafka_topics
from streamlearn.edges.kafka.client import Outgoing
from streamlearn.edges.kafka.lost import resume
from streamlearn.edges.kafka.member import Called, Member, Producer
from streamlearn.errors import Unavailable
from streamlearn.service.ports import CANDIDATES, EVENTS, POLL_RECORDS, PREDICTIONS, REJECTED, Message, Position, Record
from streamlearn.service.scoring_ports import Group, Outlet

POLL_S = 0.5  # the longest that `poll` may hold up a shutdown
PROBE_S = 2.0  # silence after which the broker is asked whether it is there
ANSWER_S = 10.0

log = logging.getLogger("streamlearn")


@final
class KafkaGroup(Group):
    """Reads `topic`, as one of the group NAME-scorers: that of NAME is the daemon's, and tells its commits."""

    def __init__(self, name: str, kafka: config.Kafka, topic: str, instance: str = "") -> None:
        """instance: the member's name, by which its partitions wait for it for a while; "": it leaves when it ends."""
        self._client, self._name, self._topic, self._instance = clients.client(kafka), name, topic, instance
        self._member: Member | None = None
        self._ends: dict[int, int] = {}  # as of when partitions were handed out; later ones come with what is read
        self._handed, self._heard = False, 0.0

    def open(self) -> None:
        self.close()
        called = Called(f"{self._name}-scorer", f"{self._name}-scorers", self._instance)
        member = clients.member(self._client, called, EVENTS, self._topic)
        try:
            with self._client.faults(f"cannot open topic '{self._topic}'"):
                if not member.reader.partitions(self._topic, ANSWER_S):
                    raise self._client.missing(EVENTS, self._topic)
        except BaseException:
            member.close()
            raise
        self._member, self._heard = member, time.monotonic()

    def poll(self, timeout_s: float) -> list[Record]:
        assert self._member is not None, "open comes before poll"
        with self._client.faults("cannot read events"):
            records = self._member.poll(min(timeout_s, POLL_S), POLL_RECORDS, self._positions)
            if not records and time.monotonic() - self._heard > PROBE_S:  # a quiet topic and a dead broker look alike
                self._member.reader.ends(self._topic, self._member.assigned() or [0], ANSWER_S)
            if records or time.monotonic() - self._heard > PROBE_S:
                self._heard = time.monotonic()
        return records

    def handed(self) -> bool:
        handed, self._handed = self._handed, False
        return handed

    def _positions(self, numbers: Sequence[int]) -> dict[int, int]:
        """Where the group has come to."""
        assert self._member is not None
        self._handed = True
        told = ", ".join(map(str, numbers)) or "none"
        log.info("partitions of events: %s", told, extra={"action": "partitions", "partitions": list(numbers)})
        if not numbers:
            return {}
        reader, topic, at = self._member.reader, self._topic, dict[int, int]()
        begins, ends = (ask(topic, numbers, ANSWER_S) for ask in (reader.begins, reader.ends))
        settled, self._ends = reader.committed(topic, numbers, ANSWER_S), ends
        for number in numbers:
            at[number] = settled[number].offset if number in settled else begins[number]
            where = f"topic '{topic}' partition {number}"
            skip = resume(self._client.kafka.lost, where, at[number], begins[number], ends[number])
            if skip is not None:
                fields = {"topic": EVENTS, "partition": number, "offset": skip.next, "lost": skip.lost}
                text = "%s: going on at %d, not at %d"
                log.warning(text, where, skip.next, at[number], extra={"action": "skipped", **fields})
                at[number] = skip.next
        return at

    def commit(self, offsets: Mapping[int, int]) -> None:
        assert self._member is not None
        mine = set(self._member.assigned())
        with self._client.faults("cannot commit offsets"):
            told = {number: at for number, at in offsets.items() if number in mine}
            if told and not self._member.commit(told, ANSWER_S):
                log.info("partitions went to another while their events were scored", extra={"action": "partitions"})

    def lag(self) -> dict[Position, int]:
        if self._member is None:
            return {}
        reader, lags = self._member.reader, dict[Position, int]()
        for number in self._member.assigned():
            with suppress(*self._client.errors, KeyError, AssertionError, TypeError):  # it has just been lost
                end = max(self._ends[number], reader.highwater(number))
                lags[EVENTS, number] = max(0, end - reader.position(number))
        return lags

    def close(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            member.close()


@final
class KafkaOutlet(Outlet):
    """Writes candidates, predictions and rejected events, acknowledged by all replicas."""

    def __init__(self, name: str, kafka: config.Kafka, topics: config.Topics, timeout_s: float = ANSWER_S) -> None:
        self._client, self._name, self._timeout_s = clients.client(kafka), name, timeout_s
        self._topics = {
            CANDIDATES: topics.candidates,
            PREDICTIONS: topics.predictions,
            REJECTED: topics.rejected,
        }
        self._own = replace(topics, labels="", queries="", models="")
        self._producer: Producer | None = None

    def open(self) -> None:
        kafka_topics.prepare(self._own, self._client)
        wanted = {role: topic for role, topic in self._topics.items() if topic}
        with self._client.admin() as admin:
            found = admin.topics(list(wanted.values()))
        for role, topic in wanted.items():
            if topic not in found:
                raise self._client.missing(role, topic)

    def publish(self, messages: Sequence[Message]) -> None:
        sent = [Outgoing(self._topics[each.role], each.key, each.value) for each in messages if self._topics[each.role]]
        if self._producer is None:
            self._producer = clients.producer(self._client, f"{self._name}-scorer", self._timeout_s)
        try:
            with self._client.faults("cannot publish candidates"):
                self._producer.publish(sent)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Unavailable):
                producer.close()
