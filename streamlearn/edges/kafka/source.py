"""Events and labels from Kafka, by positions of our own.

The daemon's state and its positions are one commit in the store, so the store says where reading goes on and Kafka's
committed offsets are for dashboards. The source therefore joins no group: it takes all partitions and seeks, and no
rebalance can hand a partition to two readers. It looks for partitions that were added, and reads them from their
beginning. A position that the log no longer holds raises, unless the operator has said where to go on (`lost.py`): a
silent jump to the beginning would learn every label twice.

Labels and events have a reader each. One consumer for both empties a partition after the other, so that labels queue
behind a backlog of events; and pausing the events throws away what was fetched of them. Labels fill at most half a poll,
so that they do not outrun the events that they belong to.

A transaction ends with a marker that has an offset and no record. `Record.next` of the last record read from a
partition is the reader's position, past such markers, or lag would show 1 for ever.

A quiet topic and a dead broker look alike to a consumer, so after some silence the partitions' ends are asked for.
"""

from __future__ import annotations

import time
from collections import deque
from typing import final

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka.client import Reader, Whose
from streamlearn.edges.kafka.lost import STOP, resume
from streamlearn.errors import CannotStart
from streamlearn.service.ports import EVENTS, LABELS, POLL_BYTES, POLL_RECORDS, Position, Record, Skip, Source

POLL_S = 0.5  # the longest that `poll` may hold up a shutdown
SLICE_S = 0.05  # how long to wait for events before looking for labels again
LABELS_S = 0.1  # how long to wait for labels that are known to be there
PROBE_S = 2.0  # silence after which the broker is asked whether it is there ...
PROBE_ANSWER_S = 0.4  # ... and the time that it has to answer
WATCH_S = 2.0  # between two looks for partitions that were added


@final
class KafkaSource(Source):
    """Reads all partitions of the topics of events and labels; only committed records."""

    def __init__(self, name: str, kafka: config.Kafka, topics: config.Topics, *, timeout_s: float = 10.0) -> None:
        """timeout_s: how long a broker may be silent before it counts as away."""
        self._client = clients.client(kafka)
        self._name, self._timeout_s = name, timeout_s
        self._topics = {EVENTS: topics.events, LABELS: topics.labels}
        self._readers: dict[str, Reader] = {}  # by role
        self._ends: dict[Position, int] = {}  # of all partitions, as asked for last
        self._buffer: deque[Record] = deque()  # read and not handed out: what went over POLL_BYTES
        self._waited: dict[Position, int] = {}  # where labels were waited for last
        self._skips: dict[Position, Skip] = {}  # not told yet
        self._astray: dict[str, Exception] = {}  # roles of which a position was not there, and what the library said
        self._heard = self._watched = 0.0

    def open(self, positions: dict[Position, int]) -> None:
        self.close()
        self._skips.clear()
        try:
            for role, topic in self._topics.items():
                reader = self._readers[role] = self._client.reader(f"{self._name}-{role}", self._name)
                with self._client.faults(f"cannot open topic '{topic}'"):
                    self._seek(role, topic, reader, positions)
            unknown = sorted(positions.keys() - self._ends.keys())
            if unknown:
                raise CannotStart(
                    f"the store has a position in partition {unknown[0][1]} of the {unknown[0][0]} topic, which has no"
                    " such partition: was it made anew? Set the topic of before, or use a new name and store"
                )
        except BaseException:
            self.close()
            raise
        self._heard = self._watched = time.monotonic()

    def _seek(self, role: str, topic: str, reader: Reader, positions: dict[Position, int]) -> None:
        numbers = reader.partitions(topic, self._timeout_s)
        if not numbers:
            raise self._client.missing(role, topic)
        held = self._held(role, numbers, self._timeout_s)
        at = {number: positions.get((role, number), begin) for number, (begin, _) in held.items()}
        reader.assign(role, topic, at | self._resumed(role, at, held))

    def _held(self, role: str, numbers: list[int], timeout_s: float) -> dict[int, tuple[int, int]]:
        """Begin and end of partitions."""
        topic, reader = self._topics[role], self._readers[role]
        begins, ends = reader.begins(topic, numbers, timeout_s), reader.ends(topic, numbers, timeout_s)
        self._ends |= {(role, number): ends[number] for number in numbers}
        return {number: (begins[number], ends[number]) for number in numbers}

    def _resumed(self, role: str, at: dict[int, int], held: dict[int, tuple[int, int]]) -> dict[int, int]:
        """Where reading goes on in partitions that do not hold what is next. Raises CannotStart unless that is allowed."""
        policy, topic = self._client.kafka.lost, self._topics[role]
        found = {n: resume(policy, f"topic '{topic}' partition {n}", at[n], *held[n]) for n in at}
        skips = {number: skip for number, skip in found.items() if skip is not None}
        self._skips |= {(role, number): skip for number, skip in skips.items()}
        return {number: skip.next for number, skip in skips.items()}

    def poll(self, timeout_s: float) -> list[Record]:
        assert self._readers, "open comes before poll"
        if not self._buffer:
            with self._client.faults("cannot read"):
                self._watch()
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

    def _fetch(self, role: str, wait_s: float, most: int) -> None:
        if role in self._astray:
            self._find_again(role)
        try:
            self._buffer.extend(self._readers[role].poll(max(0.0, wait_s), most))
        except self._client.errors as error:
            if self._client.whose(error) is not Whose.LOGS:
                raise
            self._astray[role] = error  # libraries say it once, so it is kept until it is dealt with

    def _find_again(self, role: str) -> None:
        """Go on where the operator allows it."""
        reader, at = self._readers[role], self._places(role)
        resumed = self._resumed(role, at, self._held(role, list(at), PROBE_ANSWER_S))
        if not resumed and self._client.kafka.lost == STOP:
            raise self._astray[role]  # the log holds something else there
        reader.assign(role, self._topics[role], at | resumed)
        del self._astray[role]

    def _watch(self) -> None:
        """Read partitions that were added, too, from their beginning."""
        if time.monotonic() - self._watched < WATCH_S:
            return
        self._watched = time.monotonic()
        for role, reader in self._readers.items():
            topic, at = self._topics[role], self._places(role)
            try:
                added = [each for each in reader.partitions(topic, PROBE_ANSWER_S) if each not in at]
                held = self._held(role, added, PROBE_ANSWER_S) if added else {}
            except self._client.errors as error:
                if self._client.whose(error) is not Whose.WORLDS:
                    raise
                return  # whether the broker is there is asked elsewhere
            if added:
                reader.assign(role, topic, at | {number: begin for number, (begin, _) in held.items()})

    def _places(self, role: str) -> dict[int, int]:
        """The next offset of each partition that will be read from the log."""
        return {position[1]: self._at(position) for position in self._ends if position[0] == role}

    def _unread(self, role: str) -> dict[Position, int]:
        """Where reading stands in the partitions that hold more."""
        places = {(role, number): at for number, at in self._places(role).items()}
        return {position: at for position, at in places.items() if at < self._end(position)}

    def _probe(self) -> bool:
        """Ask for the ends, which a broker that is there tells. Raises when it has been silent for too long."""
        try:
            for role, reader in self._readers.items():  # each knows the leaders of its own topic only
                numbers = [number for each, number in self._ends if each == role]
                told = reader.ends(self._topics[role], numbers, PROBE_ANSWER_S)
                self._ends |= {(role, number): end for number, end in told.items()}
        except self._client.errors as error:
            silent_s = time.monotonic() - self._heard
            if self._client.whose(error) is Whose.WORLDS and silent_s < self._timeout_s:
                return False
            causes = filter(None, (reader.cause(self._heard) for reader in self._readers.values()))
            raise self._client.fault(next(causes, error), f"no answer for {silent_s:.0f} s") from None
        self._heard = time.monotonic()
        return True

    def _at(self, position: Position) -> int:
        """The next offset that will be read from the log."""
        return self._readers[position[0]].position(position[1])

    def _end(self, position: Position) -> int:
        return max(self._readers[position[0]].highwater(position[1]), self._ends[position])

    def lag(self) -> dict[Position, int]:
        if not self._readers:
            return {}
        handed: dict[Position, int] = {}
        for each in self._buffer:
            handed.setdefault((each.role, each.partition), each.offset)
        return {each: max(0, self._end(each) - handed.get(each, self._at(each))) for each in self._ends}

    def skipped(self) -> dict[Position, Skip]:
        skips, self._skips = self._skips, {}
        return skips

    def close(self) -> None:
        readers, self._readers = self._readers, {}
        self._ends, self._waited, self._astray = {}, {}, {}
        self._buffer.clear()
        for reader in readers.values():
            reader.close()
