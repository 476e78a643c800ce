"""Kafka by each client library: through the source and the sink, against the bare client; and the whole daemon by each.

Needs Java and Maven (or a filled cache), as the tests do: a broker of its own is started. Values have 200 bytes, topics one
partition. The bare consumer reads committed records; the bare producer writes transactions of as many messages and an offset.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import confluent_kafka
import numpy as np
from confluent_kafka import Consumer, Producer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' broker

from streamlearn import assemble, config
from streamlearn.edges.kafka.sink import KafkaSink
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import EVENTS, LABELS, QUERIES, Changes, Commit, Message
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import make_topics

CLIENTS = ("kafka-python", "confluent")
VALUE, MESSAGES = b"x" * 200, 1000  # messages a transaction
READ = {"kafka-python": 100_000, "confluent": 400_000}
TRANSACTIONS = {"kafka-python": 20, "confluent": 40}
FEW = 10  # messages of a small transaction
ROUNDS, EVENTS_COUNT, FEATURES, LABEL_EVERY = 5, 20_000, 20, 1000


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def read(address: str, client: str, topic: str, empty: str) -> tuple[float, float]:
    """Seconds through the source and of the bare consumer; connecting is not counted."""
    count = READ[client]
    source = KafkaSource("bench", config.Kafka(address, client), config.Topics(events=topic, labels=empty))
    source.open({})

    def ours() -> None:
        left = count
        while left > 0:
            left -= len(source.poll(0.5))

    seconds = timed(ours)
    source.close()
    return seconds, (bare_python if client == "kafka-python" else bare_confluent)(address, topic, count)


def bare_python(address: str, topic: str, count: int) -> float:
    consumer = KafkaConsumer(bootstrap_servers=address, isolation_level="read_committed", metrics_enabled=False)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0), 0)

    def bare() -> None:
        left = count
        while left > 0:
            left -= sum(map(len, consumer.poll(timeout_ms=500, max_records=MESSAGES).values()))

    seconds = timed(bare)
    consumer.close()
    return seconds


def bare_confluent(address: str, topic: str, count: int) -> float:
    told = {"bootstrap.servers": address, "group.id": "bare", "isolation.level": "read_committed"}
    consumer = Consumer({**told, "enable.auto.commit": False, "fetch.queue.backoff.ms": 10})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])

    def bare() -> None:
        left = count
        while left > 0:
            left -= sum(len(each.value()) > 0 for each in consumer.consume(MESSAGES, 0.5))

    seconds = timed(bare)
    consumer.close()
    return seconds


def write(address: str, client: str, topics: config.Topics, messages: int) -> tuple[float, float]:
    """Seconds a transaction, through the sink and of the bare producer."""
    name, count = uuid.uuid4().hex, TRANSACTIONS[client]
    sink = KafkaSink(name, config.Kafka(address, client), topics)
    sink.open("store", 0)
    outbox = [Message(QUERIES, b"%d" % i, VALUE) for i in range(messages)]

    def ours() -> None:
        for number in range(1, count + 1):
            sink.publish(Commit(number, {(EVENTS, 0): number}, b"", Changes(), {}, outbox))

    seconds = timed(ours)
    sink.close()
    if client == "kafka-python":
        python = KafkaProducer(bootstrap_servers=address, transactional_id=name + "-bare", metrics_enabled=False)
        begin, send, commit = python.begin_transaction, python.send, python.commit_transaction
        flush, offsets = python.flush, {TopicPartition(topics.events, 0): OffsetAndMetadata(1, "", -1)}
        python.init_transactions()
        add = partial(python.send_offsets_to_transaction, offsets, name)
    else:
        confluent = Producer({"bootstrap.servers": address, "transactional.id": name + "-bare"})
        begin, send, commit = confluent.begin_transaction, confluent.produce, confluent.commit_transaction
        flush = confluent.flush
        confluent.init_transactions()
        member = Consumer({"bootstrap.servers": address, "group.id": name})
        told = [confluent_kafka.TopicPartition(topics.events, 0, 1)]
        add = partial(confluent.send_offsets_to_transaction, told, member.consumer_group_metadata())

    def bare() -> None:
        for _ in range(count):
            begin()
            for i in range(messages):
                send(topics.queries, key=b"%d" % i, value=VALUE)
            flush()
            add()
            commit()

    return seconds / count, timed(bare) / count


def daemon(address: str, client: str, lines: dict[str, list[bytes]]) -> float:
    """Seconds of a daemon for all events; client "": on the embedded log."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"d{uuid.uuid4().hex[:8]}"
        topics = config.Topics(*(f"{name}-{role}" for role in (EVENTS, LABELS, QUERIES)), rejected="")
        log = config.Log("kafka" if client else "files", folder)
        if client:
            make_topics(address, {topics.events: 1, topics.labels: 1, topics.queries: 1})
            fill(address, {topics.events: lines[EVENTS], topics.labels: lines[LABELS]})
        else:
            for role, topic in ((EVENTS, topics.events), (LABELS, topics.labels)):
                (Path(folder) / f"{topic}.jsonl").write_bytes(b"\n".join(lines[role]) + b"\n")
        store = config.StoreSection(str(Path(folder) / "store.db"))
        kafka = config.Kafka(address, client or "kafka-python")
        told = config.Configuration(name=name, log=log, kafka=kafka, topics=topics, store=store)
        measurements = Measurements()
        running = assemble.daemon(told, Health(), measurements, lambda seconds: False)
        running.start()

        def all_events() -> None:
            left = EVENTS_COUNT + EVENTS_COUNT // LABEL_EVERY
            while left > 0:
                left -= running.turn()

        seconds = timed(all_events)
        running.close()
        return seconds


def fill(address: str, values: dict[str, list[bytes]]) -> None:
    producer = Producer({"bootstrap.servers": address, "queue.buffering.max.messages": 1_000_000})
    for topic, each in values.items():
        for value in each:
            producer.produce(topic, value)
    producer.flush()


def told(name: str, client: str, rounds: list[tuple[float, float]], count: int) -> None:
    """Of each pair of seconds: units a second by ours and by the peer, and the median of their ratios."""
    ratio = statistics.median(peer / ours for ours, peer in rounds)
    ours, peer = (count / statistics.median(each) for each in zip(*rounds, strict=True))
    print(f"{name}, {client}: {ours:,.0f} a second, peer {peer:,.0f}, ratio {ratio:.2f}", flush=True)


def main() -> None:
    broker = LocalBroker().start()
    try:
        address = broker.address
        make_topics(address, {"values": 1, "empty": 1, "out": 1})
        fill(address, {"values": [VALUE] * max(READ.values())})
        rounds = [{each: read(address, each, "values", "empty") for each in CLIENTS} for _ in range(ROUNDS)]
        for client in CLIENTS:
            told("read", client, [each[client] for each in rounds], READ[client])
        topics = config.Topics("values", "empty", "out", "", "")
        for size in (MESSAGES, FEW):
            wrote = [{each: write(address, each, topics, size) for each in CLIENTS} for _ in range(ROUNDS)]
            for client in CLIENTS:
                told(f"messages published, {size} a transaction", client, [each[client] for each in wrote], size)
        generator = np.random.default_rng(0)
        X = generator.normal(size=(EVENTS_COUNT, FEATURES)).round(4)
        y = X @ generator.normal(size=FEATURES) > 0
        lines = {
            EVENTS: [json.dumps({"id": f"e{i}", "x": X[i].tolist()}).encode() for i in range(EVENTS_COUNT)],
            LABELS: [
                json.dumps({"id": f"e{i}", "y": bool(y[i])}).encode() for i in range(0, EVENTS_COUNT, LABEL_EVERY)
            ],
        }
        ran = [{each: daemon(address, each, lines) for each in ("", *CLIENTS)} for _ in range(ROUNDS)]
        for client in CLIENTS:
            told("events by the daemon", client, [(each[client], each[""]) for each in ran], EVENTS_COUNT)
    finally:
        broker.discard()


if __name__ == "__main__":
    main()
