"""One daemon, up to four scorers and whoever answers, each on its own, while events flow over eight partitions of a broker."""

from __future__ import annotations

import json
import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, final

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.edges.kafka.world import CLIENTS
from tests.end_to_end.daemon_process import DaemonProcess, until
from tests.end_to_end.test_scorers import World, x

pytestmark = pytest.mark.kafka
PARTITIONS, WARM, BUDGET = 8, 40, 0.05
PACE_S, AT_ONCE = 0.05, 25  # so many events each time, whatever becomes of them
FROZEN_S = 13.0  # beyond a member's session


@contextmanager
def going_on(turn: Callable[[], None], pause_s: float) -> Iterator[None]:
    """Again and again beside the test; what it raises is raised at the end."""
    stop, failed = threading.Event(), list[BaseException]()

    def loop() -> None:
        try:
            while not stop.wait(pause_s):
                turn()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


@final
class Stream:
    """Events, each under an id of its own, over all partitions."""

    def __init__(self, world: World) -> None:
        self._producer, self._topic = KafkaProducer(bootstrap_servers=world.kafka), f"{world.prefix}-events"
        self.count = 0

    def flow(self) -> None:
        for i in range(self.count, self.count + AT_ONCE):
            value = json.dumps({"id": f"e{i}", "x": x(i)}).encode()
            self._producer.send(self._topic, value, partition=i % PARTITIONS)
        self._producer.flush()
        self.count += AT_ONCE

    def close(self) -> None:
        self._producer.close()


@final
class Labeler:
    """Answers every query that is committed; ids: as they were read."""

    def __init__(self, world: World) -> None:
        self._producer, self._topic = KafkaProducer(bootstrap_servers=world.kafka), f"{world.prefix}-labels"
        self._reader = _reader(world, "queries")
        self.ids = list[str]()

    def answer(self) -> None:
        for each in (record for found in self._reader.poll(100).values() for record in found):
            asked = json.loads(each.value)
            self.ids.append(asked["id"])
            label = {"id": asked["id"], "y": asked["x"]["a"] > 0.5}
            self._producer.send(self._topic, json.dumps(label).encode())

    def close(self) -> None:
        self._producer.close()
        self._reader.close()


@final
class Watch:
    """When each scorer was first seen with a version of the model."""

    def __init__(self, scorers: list[DaemonProcess]) -> None:
        self._scorers = scorers
        self._seen: list[list[tuple[float, float]]] = [[] for _ in scorers]

    def look(self) -> None:
        for scorer, seen in zip(self._scorers, self._seen, strict=True):
            version = scorer.metrics()["streamlearn_model_version"]
            if not seen or seen[-1][1] < version:
                seen.append((time.time(), version))

    def delays(self, published: dict[int, float]) -> list[float]:
        """Of each version that was published meanwhile, the seconds until the last of them had it."""
        begin, end = (time_of(seen[at][0] for seen in self._seen) for time_of, at in ((max, 0), (min, -1)))
        return [
            max(next(at for at, there in seen if there >= version) for seen in self._seen) - told
            for version, told in published.items()
            if begin < told and version <= min(seen[-1][1] for seen in self._seen) and told < end
        ]


def _reader(world: World, role: str) -> Any:
    reader = KafkaConsumer(bootstrap_servers=world.kafka, group_id=None, isolation_level="read_committed")
    partition = TopicPartition(f"{world.prefix}-{role}", 0)
    reader.assign([partition])
    reader.seek(partition, 0)
    return reader


def published(world: World) -> dict[int, float]:
    """When each version of the model was first put on its topic, by what its records say."""
    reader, found = _reader(world, "models"), dict[int, float]()
    while records := [record for some in reader.poll(2000).values() for record in some]:
        for each in records:
            found.setdefault(json.loads(each.value)["model_version"], each.timestamp / 1000.0)
    reader.close()
    return found


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
def test_every_event_counts_once_and_no_query_comes_twice_whatever_happens_to_scorers(
    client: str, kafka: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = (f"queries.budget={BUDGET}", "queries.outstanding=1000", "models.every_labels=10")
    here = World(kafka, prefix, client, tmp_path, *told, partitions=PARTITIONS)
    here.warm(WARM)
    with ExitStack() as stack:
        daemon, stream, labeler = here.process(), Stream(here), Labeler(here)
        for each in (daemon.kill, stream.close, labeler.close, here.producer.close):
            stack.callback(each)
        with going_on(stream.flow, PACE_S), going_on(labeler.answer, 0.0):
            scorers, watch = played(here, daemon, stream, stack)
        counted(daemon, stream.count)
        assert [0] * 4 == [scorer.drain() for scorer in scorers[1:]]
        until(daemon.caught_up, "what was told last")
        assert stream.count == daemon.metrics()["streamlearn_events_counted"]
        assert 0 == daemon.drain()
    ids = [each["id"] for each in here.read("queries")]
    assert len(ids) == len(set(ids))
    assert 0 <= math.ceil(BUDGET * stream.count) - len(ids) < 2.0 * math.sqrt(BUDGET * stream.count)
    assert set(labeler.ids) <= set(ids)
    passed_on = [each["id"] for each in here.candidates()]
    assert len(set(passed_on)) < len(passed_on), "some were scored twice"
    assert [] == here.read("rejected")
    delays = watch.delays(published(here))
    with capsys.disabled():
        print(
            f"\n{client}: {stream.count} events, {len(passed_on)} candidates ({len(set(passed_on))} distinct), "
            f"{len(ids)} queries; a model in all 4 scorers after {statistics.median(delays):.2f} s "
            f"(at most {max(delays):.2f}, of {len(delays)})"
        )
    assert len(delays) > 5
    assert statistics.median(delays) < 1.0


def played(here: World, daemon: DaemonProcess, stream: Stream, stack: ExitStack) -> tuple[list[DaemonProcess], Watch]:
    """One scorer, two, four; one is killed, one is frozen, one is added. The watch is of the four."""
    scorers = list[DaemonProcess]()

    def add() -> None:
        scorers.append(here.scorer(f"scorer-{len(scorers)}"))
        stack.callback(scorers[-1].kill)

    for more in (1, 1, 2):
        for _ in range(more):
            add()
        assert all(scorer.wait_ready() for scorer in scorers)
        counted(daemon, stream.count + 1000)
    watch = Watch(list(scorers))
    with going_on(watch.look, 0.01):
        counted(daemon, stream.count + 5000)
    scorers[0].kill()
    counted(daemon, stream.count + 1000)
    scorers[1].signal(signal.SIGSTOP)
    time.sleep(FROZEN_S)
    scorers[1].signal(signal.SIGCONT)
    add()
    scorers[-1].wait_ready()
    counted(daemon, stream.count + 2000)
    return scorers, watch


def counted(daemon: DaemonProcess, events: int) -> None:
    """Until the daemon knows of so many."""
    until(lambda: daemon.metrics()["streamlearn_events_counted"] >= events, f"{events} events")
