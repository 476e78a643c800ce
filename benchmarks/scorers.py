"""Events a second by one scorer and by two, against a bare consumer of the same client library that reads the same topic.

Needs what `kafka_clients.py` needs. Events have 20 features, in JSON, one a record and 64 a record; a topic has two partitions;
the budget is 1 %, so about 4 of 100 events are passed on. Scorers are processes of their own: they join, are frozen while the
topic is filled, and are timed from when they go on until all is scored. The bare consumer reads five times as many records.
CPU time is that of the scorers, or of the bare consumer's process; the broker's, which runs beside them, is not counted. Under
six minutes.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, final

import confluent_kafka
import numpy as np
from kafka import KafkaConsumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' broker and processes

from streamlearn import assemble, settings
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from tests.end_to_end.daemon_process import DaemonProcess, until
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import make_topics

CLIENTS = ("kafka-python", "confluent")
EVENTS = {1: 60_000, 64: 256_000}  # by how many there are in a record
PARTITIONS, FEATURES, LABELS, SEEN = 2, 20, 200, 3000
PASSES, ROUNDS, MOST_S = 5, 3, 300.0  # seconds after which no further round begins
NAME = "bench"
TICKS = os.sysconf("SC_CLK_TCK")


@final
class Run(NamedTuple):
    """Of so many events: seconds on the clock, and of computing."""

    events: int
    wall_s: float
    cpu_s: float


def keys(address: str, client: str, events: str, *told: str) -> list[str]:
    return [
        "log.kind=kafka", f"kafka.bootstrap_servers={address}", f"kafka.client={client}", f"name={NAME}",
        f"topics.events={events}", "topics.models=models", "models.for_scorers=true", "queries.budget=0.01", *told,
    ]  # fmt: skip


def values(packed: int) -> list[bytes]:
    X = np.random.default_rng(packed).normal(size=(EVENTS[packed], FEATURES)).round(4)
    events = [{"id": f"e{i}", "x": x} for i, x in enumerate(X.tolist())]
    if packed == 1:
        return [json.dumps(event).encode() for event in events]
    return [json.dumps(events[at : at + packed]).encode() for at in range(0, len(events), packed)]


def fill(address: str, topic: str, records: list[bytes]) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "queue.buffering.max.messages": 1_000_000})
    for number, record in enumerate(records):
        producer.produce(topic, record, partition=number % PARTITIONS)
    producer.flush()


def publish_a_model(address: str, folder: str) -> None:
    """By a daemon that has seen events enough to know from which score they are worth passing on."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(LABELS + SEEN, FEATURES)).round(4)
    y = X @ generator.normal(size=FEATURES) > 0
    make_topics(address, {"seen": PARTITIONS, "labels": 1, "queries": 1, "rejected": 1, "models": 1, "candidates": 1})
    labels = [json.dumps({"id": f"l{i}", "x": X[i].tolist(), "y": bool(y[i])}).encode() for i in range(LABELS)]
    producer = confluent_kafka.Producer({"bootstrap.servers": address})
    for label in labels:
        producer.produce("labels", label)
    producer.flush()
    fill(address, "seen", [json.dumps({"id": f"s{i}", "x": x}).encode() for i, x in enumerate(X[LABELS:].tolist())])
    told = keys(address, CLIENTS[1], "seen", f"store.path={folder}/store.db")
    daemon = assemble.daemon(settings.read(None, {}, told), Health(), Measurements(), lambda _: False)
    daemon.start()
    while daemon.pipeline.ledger.count < SEEN:
        daemon.turn()
    daemon.drain()
    daemon.close()


def bare(address: str, client: str, topic: str, events: int, records: int) -> Run:
    """What the library alone takes to read a topic; connecting is not counted."""
    python, numbers, left = client == "kafka-python", range(PARTITIONS), records
    if python:
        reader = KafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
        reader.assign([TopicPartition(topic, number) for number in numbers])
        left -= sum(map(len, reader.poll(10_000, max_records=1).values()))
    else:
        quick = {"fetch.queue.backoff.ms": 10}  # it pauses longer by default
        reader = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": uuid.uuid4().hex, **quick})
        reader.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in numbers])
        left -= reader.poll(10.0) is not None
    began, worked = time.perf_counter(), time.process_time()
    while left > 0:
        if python:
            left -= sum(map(len, reader.poll(500, max_records=1000).values()))
        else:
            left -= len(reader.consume(min(left, 1000), 0.5))
    run = Run(events, time.perf_counter() - began, time.process_time() - worked)
    reader.close()
    return run


def scorers(address: str, client: str, count: int, packed: int, records: list[bytes], folder: str) -> Run:
    """So many of them."""
    topic = f"events-{uuid.uuid4().hex[:8]}"
    make_topics(address, {topic: PARTITIONS})
    told = [each for key in keys(address, client, topic, "topics.candidates=candidates") for each in ("--set", key)]
    with ExitStack() as stack:
        members = [DaemonProcess(Path(folder) / f"{topic}-{i}", *told, command="score") for i in range(count)]
        for each in members:
            stack.callback(each.kill)
        until(lambda: sorted(map(partitions, members)) == sorted([PARTITIONS // count] * count), "partitions")
        for each in members:
            each.signal(signal.SIGSTOP)
        fill(address, topic, records)
        worked, began = sum(cpu_s(each.pid) for each in members), time.perf_counter()
        for each in members:
            each.signal(signal.SIGCONT)
        until(lambda: sum(map(scored, members)) >= EVENTS[packed], "all events", 120.0)
        wall_s = time.perf_counter() - began
        return Run(EVENTS[packed], wall_s, sum(cpu_s(each.pid) for each in members) - worked)


def partitions(member: DaemonProcess) -> int:
    return sum(name.startswith("streamlearn_lag{") for name in member.metrics()) if member.ready() else 0


def scored(member: DaemonProcess) -> float:
    return member.metrics()["streamlearn_events_total"]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def told(name: str, runs: list[Run], peers: list[Run]) -> None:
    """Medians; the ratio is of rates in the same round."""
    rate = statistics.median(run.events / run.wall_s for run in runs)
    ratio = statistics.median(
        run.events / run.wall_s / (peer.events / peer.wall_s) for run, peer in zip(runs, peers, strict=True)
    )
    computing = statistics.median(1e6 * run.cpu_s / run.events for run in runs)
    print(
        f"{name}: {rate:,.0f} events a second, {ratio:.3f} of bare, {computing:.1f} CPU seconds a million", flush=True
    )


def main() -> None:
    began, broker = time.perf_counter(), LocalBroker().start()
    ran: dict[tuple[str, int, int], list[Run]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            publish_a_model(broker.address, folder)
            filled = {packed: values(packed) for packed in EVENTS}
            for packed, records in filled.items():
                make_topics(broker.address, {f"bare-{packed}": PARTITIONS})
                fill(broker.address, f"bare-{packed}", PASSES * records)
            for number in range(ROUNDS):
                if time.perf_counter() - began > MOST_S * number / (number + 1) and number:
                    print(f"no time for round {number + 1}: the machine is busy", flush=True)
                    break
                for client in CLIENTS:
                    for packed, records in filled.items():
                        at, size = (broker.address, client), (PASSES * EVENTS[packed], PASSES * len(records))
                        ran.setdefault((client, packed, 0), []).append(bare(*at, f"bare-{packed}", *size))
                        for count in (1, 2):
                            run = scorers(*at, count, packed, records, folder)
                            ran.setdefault((client, packed, count), []).append(run)
                        print(f"round {number + 1}, {client}, {packed} a record: done", flush=True)
    finally:
        broker.discard()
    for (client, packed, count), runs in sorted(ran.items()):
        who = ("bare consumer", "1 scorer", "2 scorers")[count]
        told(f"{client}, {packed} a record, {who}", runs, ran[client, packed, 0])


if __name__ == "__main__":
    main()
