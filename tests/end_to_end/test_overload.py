"""A backlog that is too much, and partitions that are added: nothing is counted twice, and no label is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from streamlearn.config import Configuration
from tests.edges.kafka.world import mostly
from tests.end_to_end.daemon_process import DaemonProcess, command, inspect, running, until
from tests.end_to_end.kills import restored
from tests.end_to_end.test_kill_kafka import configure, create
from tests.end_to_end.test_pressure import events, fill, labels
from tests.end_to_end.traffic import KafkaLog

pytestmark = pytest.mark.kafka

BACKLOG, SENT, LABELED = 2000, 200_000, 600
SAMPLE = ("--set", "kafka.overload=sample", "--set", f"kafka.backlog={BACKLOG}", "--set", "queries.outstanding=100000")


@mostly("confluent")
def test_of_a_backlog_an_even_share_is_read_and_counted_and_nothing_else_is_asked(
    tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog
) -> None:
    fill(kafka, f"{prefix}-labels", labels("l", LABELED))
    fill(kafka, f"{prefix}-events", events("e", SENT))
    with running(tmp_path, configure(tmp_path, kafka, prefix, client), *SAMPLE) as daemon:
        until(daemon.caught_up, "the end of the backlog")
        until(lambda: daemon.metrics()["streamlearn_event_share"] == 1.0, "that all is read again")
        values = daemon.metrics()
        read = values["streamlearn_events_total"]
        assert read + values["streamlearn_skipped_total"] == SENT
        assert read < SENT / 2
        fill(kafka, f"{prefix}-events", events("later", 500))
        until(lambda: daemon.metrics()["streamlearn_events_total"] == read + 500, "events of an easy time")
        assert daemon.drain() == 0
    only_what_was_read_is_asked(tmp_path, f"{prefix}.db", log)


@mostly("kafka-python")
def test_a_kill_amid_a_backlog_loses_no_label_and_asks_for_nothing_skipped_or_twice(
    tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog
) -> None:
    configuration, store = configure(tmp_path, kafka, prefix, client), f"{prefix}.db"
    fill(kafka, f"{prefix}-labels", labels("l", LABELED))
    fill(kafka, f"{prefix}-events", events("e", SENT))
    daemon = DaemonProcess(tmp_path, configuration, *SAMPLE).wait_ready()
    until(lambda: daemon.metrics().get("streamlearn_skipped_total", 0) > 0, "that some are skipped")
    number = daemon.metrics()["streamlearn_commit_number"]
    until(lambda: daemon.metrics()["streamlearn_commit_number"] > number, "the commit of that")
    daemon.kill()
    before, _ = restored(tmp_path / store, Configuration())
    assert 0 < before.positions["events", 0] < SENT
    fill(kafka, f"{prefix}-labels", labels("more", LABELED))
    with running(tmp_path, configuration, *SAMPLE) as daemon:
        until(daemon.caught_up, "the end of the backlog")
        assert daemon.drain() == 0
    only_what_was_read_is_asked(tmp_path, store, log, labeled=2 * LABELED)


def only_what_was_read_is_asked(folder: Path, store: str, log: KafkaLog, labeled: int = LABELED) -> None:
    told, (saved, _) = inspect(folder, store), restored(folder / store, Configuration())
    assert (told["labels"], told["train"], told["rejected"]) == (labeled, labeled, 0)
    read = {id for id, _ in saved.event_ids}
    assert len(read) == told["events"]
    asked = [query["id"] for query in log.all("queries")]
    assert len(asked) == len(set(asked)) == told["queries"]
    assert set(asked) <= read
    # A hash chooses: of even and of odd places about as many (± four standard deviations).
    odd = sum(int(id[1:]) % 2 for id in read if id.startswith("e"))
    even = sum(id.startswith("e") for id in read) - odd
    assert abs(odd - even) < 4 * (odd + even) ** 0.5


def add_partitions(address: str, names: list[str], count: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_partitions(dict.fromkeys(names, count))
    admin.close()


@mostly("kafka-python")
def test_partitions_that_are_added_while_it_runs_and_while_it_is_down_are_read_whole(
    tmp_path: Path, kafka: str, prefix: str, client: str
) -> None:
    create(kafka, prefix)
    inputs = [f"{prefix}-events", f"{prefix}-labels"]
    configuration, store = configure(tmp_path, kafka, prefix, client), f"{prefix}.db"
    sent = 0

    def send(partitions: int) -> None:
        """Ten events and a label in each partition."""
        nonlocal sent
        producer = KafkaProducer(bootstrap_servers=kafka)
        for number in range(partitions):
            for _ in range(10):
                producer.send(inputs[0], b'{"id": "e%d", "x": [%d, 1]}' % (sent, sent % 7), partition=number)
                sent += 1
            label = b'{"id": "e%d", "y": %s}' % (sent - 1, b"true" if number % 2 else b"false")
            producer.send(inputs[1], label, partition=number)
        producer.flush(60)
        producer.close()

    def all_is_read(daemon: DaemonProcess, events: int) -> None:
        until(lambda: daemon.metrics()["streamlearn_events_total"] == events, "all events")
        until(lambda: daemon.metrics()['streamlearn_examples{role="train"}'] == sent / 10, "all labels")

    with running(tmp_path, configuration) as daemon:
        send(1)
        all_is_read(daemon, sent)
        add_partitions(kafka, inputs, 3)
        send(3)
        all_is_read(daemon, sent)
        assert daemon.drain() == 0
    add_partitions(kafka, inputs, 5)
    before = sent
    send(5)
    with running(tmp_path, configuration) as daemon:
        all_is_read(daemon, sent - before)
        assert daemon.drain() == 0
    told = inspect(tmp_path, store)
    assert (told["events"], told["labels"], told["waiting"], told["rejected"]) == (sent, sent // 10, [], 0)
    saved, _ = restored(tmp_path / store, Configuration())
    places = {(role, number) for role in ("events", "labels") for number in range(5)}
    assert places == saved.positions.keys()


@pytest.mark.parametrize("way", [("--set", "kafka.lost=earliest"), ("--rebuild",)], ids=["lost", "rebuild"])
def test_events_that_were_deleted_unread_stop_it_with_ways_out_that_work(
    tmp_path: Path, kafka: str, prefix: str, log: KafkaLog, way: tuple[str, ...]
) -> None:
    configuration, topic = configure(tmp_path, kafka, prefix), f"{prefix}-events"
    with running(tmp_path, configuration) as daemon:
        fill(kafka, f"{prefix}-labels", labels("l", 20))
        fill(kafka, topic, events("e", 50))
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 50, "the first events")
        assert daemon.drain() == 0
    fill(kafka, topic, events("gone", 30))
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, 0): 80})
    admin.close()
    fill(kafka, topic, events("there", 10))
    stopped = command(tmp_path, "run", configuration, "--set", "http.port=-1")
    assert stopped.returncode == 3
    assert "set kafka.lost =" in stopped.stderr
    assert "run --rebuild" in stopped.stderr
    with running(tmp_path, configuration, *way) as daemon:
        until(daemon.caught_up, "the events that are there")
        assert daemon.drain() == 0
    saved, _ = restored(tmp_path / f"{prefix}.db", Configuration())
    assert {f"there{i}" for i in range(10)} <= {id for id, _ in saved.event_ids}
    assert len(saved.examples) == 20
    asked = [query["id"] for query in log.all("queries")]
    assert len(asked) == len(set(asked))
