"""A daemon before which much waits: its memory stays as it is, and labels are dealt with first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.edges.kafka.world import mostly
from tests.end_to_end.daemon_process import running, until
from tests.end_to_end.test_kill_kafka import configure, topics
from tests.end_to_end.traffic import KafkaLog
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka

LARGE = "x" * 100_000
GROWTH_MB, PATIENCE_S = 40, 300.0  # what clients keep at one time varies; 200 MB wait


@pytest.fixture
def peak_mb(tmp_path: Path, kafka: str, prefix: str, client: str) -> Callable[..., int]:
    """`peak_mb(events=9, labels=9, large_events=9, large_labels=9)`: the most memory that a daemon has had when all is read."""

    def measure(**waiting: int) -> int:
        name = f"{prefix}-{sum(waiting.values())}"
        make_topics(kafka, dict.fromkeys(topics(name).values(), 2))
        fill(kafka, f"{name}-labels", labels("l", waiting["labels"]))
        fill(kafka, f"{name}-labels", labels("L", waiting["large_labels"], note=LARGE))
        fill(kafka, f"{name}-events", events("e", waiting["events"]))
        fill(kafka, f"{name}-events", events("E", waiting["large_events"], note=LARGE))
        some = ("--set", "training.keep=500")
        with running(tmp_path, configure(tmp_path, kafka, name, client), *some) as daemon:
            until(daemon.caught_up, "the end of what waits", PATIENCE_S)
            values = daemon.metrics()
            assert values["streamlearn_events_total"] == waiting["events"] + waiting["large_events"]
            assert values["streamlearn_labels_total"] == waiting["labels"] + waiting["large_labels"]
            (peak_kb,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())
            assert daemon.drain() == 0
        return int(peak_kb) // 1024

    return measure


def fill(address: str, topic: str, values: Iterator[dict[str, Any]]) -> None:
    producer = Producer({"bootstrap.servers": address, "queue.buffering.max.kbytes": 100_000, "log_level": 0})
    for count, value in enumerate(values):
        producer.produce(topic, json.dumps(value), value["id"])
        if count % 500 == 0:
            producer.flush()
    assert producer.flush(60) == 0


def events(name: str, count: int, **more: str) -> Iterator[dict[str, Any]]:
    return ({"id": f"{name}{i}", "x": [i % 7 - 3, i % 5]} | more for i in range(count))


def labels(name: str, count: int, **more: str) -> Iterator[dict[str, Any]]:
    return ({"id": f"{name}{i}", "y": i % 7 > 3, "x": [i % 7 - 3, i % 5]} | more for i in range(count))


@mostly("kafka-python")
def test_memory_does_not_depend_on_how_much_waits(peak_mb: Callable[..., int]) -> None:
    little = peak_mb(events=2000, labels=300, large_events=150, large_labels=50)
    much = peak_mb(events=500, labels=300, large_events=2000, large_labels=200)
    assert much < little + GROWTH_MB


@pytest.mark.soak
def test_memory_does_not_depend_on_whether_a_hundred_thousand_records_wait(peak_mb: Callable[..., int]) -> None:
    little = peak_mb(events=2000, labels=300, large_events=150, large_labels=50)
    much = peak_mb(events=90_000, labels=2000, large_events=8000, large_labels=1000)
    print(f"{little} MiB, and {much} MiB")
    assert much < little + 2 * GROWTH_MB  # ids of 100,000 events are remembered


@mostly("kafka-python")
def test_of_what_waits_labels_are_learned_before_events_are_scored(
    tmp_path: Path, kafka: str, prefix: str, client: str
) -> None:
    """Half a poll is labels as long as there are any, so no more events than labels come before the last label."""
    labeled, asked = 1000, 6000
    names = topics(prefix) | {"predictions": f"{prefix}-predictions"}
    make_topics(kafka, dict.fromkeys(names.values(), 1))
    fill(kafka, names["events"], events("e", asked))
    fill(kafka, names["labels"], labels("l", labeled))
    on = ("--set", f"topics.predictions={names['predictions']}", "--set", "training.keep=100")
    with running(tmp_path, configure(tmp_path, kafka, prefix, client), *on) as daemon:
        until(daemon.caught_up, "the end of what waits")
        assert daemon.drain() == 0
    log = KafkaLog(kafka, names)
    versions = {each["id"]: each["model_version"] for each in log.all("predictions")}
    log.close()
    behind = {versions[f"e{i}"] for i in range(labeled + 1000, asked)}
    assert behind == {labeled}
