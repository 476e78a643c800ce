"""Protobuf, batches and schema-registry frames through a broker and a daemon of its own, killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streamlearn.edges.formats import wire_pb2 as wire
from tests.end_to_end.daemon_process import DaemonProcess, as_json, inspect, running, until
from tests.end_to_end.test_kill_kafka import ROLES, configure

pytestmark = pytest.mark.kafka

README = (Path(__file__).parents[2] / "README.md").read_text()
FRAME = b"\0\0\0\0\x2a"
RECORDS, SIZE = 60, 200


def published(address: str, topic: str) -> list[bytes]:
    """All values, as committed."""
    consumer = KafkaConsumer(
        bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest", group_id=None
    )
    partition, found = TopicPartition(topic, 0), list[bytes]()
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    while consumer.position(partition) < end:
        found += [each.value for batch in consumer.poll(timeout_ms=500).values() for each in batch]
    consumer.close()
    return found


def test_the_producer_of_the_readme_is_understood(
    tmp_path: Path, kafka: str, prefix: str, fresh_topics: Callable[..., dict[str, str]]
) -> None:
    names = fresh_topics(**dict.fromkeys(ROLES, 1))
    told = (configure(tmp_path, kafka, prefix), "--set", "kafka.format=protobuf")
    example = README.split("\n## Formats\n")[1].split("```python\n")[1].split("```")[0]
    for written, meant in (("localhost:9092", kafka), ('"events"', f'"{names["events"]}"')):
        assert written in example
        example = example.replace(written, meant)
    exec(example.replace('"labels"', f'"{names["labels"]}"'), {})
    producer = KafkaProducer(bootstrap_servers=kafka)
    for value in (b'{"id":"a","x":[1]}', wire.EventBatch(events=[wire.Event(id="a")] * 2).SerializeToString()):
        producer.send(names["events"], key=b"k", value=value).get(30)
    producer.close()
    with running(tmp_path, *told) as daemon:
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 65, "the events")
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 1, "the label")
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    queries = [wire.Query.FromString(value) for value in published(kafka, names["queries"])]
    assert queries
    assert {each.id for each in queries} <= {f"tx-{i}" for i in range(2, 66)}
    assert all(each.map.features[1] == wire.Feature(name="country", text="NL") for each in queries)
    rejects = [wire.Rejected.FromString(value) for value in published(kafka, names["rejected"])]
    assert [(2, False, 0), (3, True, 0), (3, True, 1)] == [
        (each.offset, each.HasField("index"), each.index) for each in rejects
    ]
    assert [b'{"id":"a","x":[1]}', b"\x0a\x01a", b"\x0a\x01a"] == [each.value for each in rejects]
    assert "event has no x" == rejects[2].reason
    replayed = as_json(tmp_path, "replay", *told)
    assert (65, 1, 3) == (replayed["events"], replayed["labels"], replayed["rejected"])


def test_batches_in_frames_are_dealt_with_once_though_the_daemon_is_killed_and_its_store_is_lost(
    tmp_path: Path, kafka: str, prefix: str, fresh_topics: Callable[..., dict[str, str]]
) -> None:
    names = fresh_topics(**dict.fromkeys(ROLES, 1))
    configuration = configure(tmp_path, kafka, prefix)
    with (tmp_path / configuration).open("a") as file:
        file.write("[kafka.schema_ids]\nqueries = 7\nrejected = 8\n[queries]\nbudget = 0.01\n")
    told = (configuration, "--set", "kafka.format=protobuf", "--set", "kafka.framing=schema-registry")
    events = [
        wire.Event(id=f"e{i}", array=wire.Array(values=[i % 5, i % 7])).SerializeToString()
        for i in range(RECORDS * SIZE)
    ]
    labels = [wire.Label(id=f"e{i}", y=wire.Answer(boolean=i % 5 > 2)).SerializeToString() for i in range(0, 600, 20)]
    producer = KafkaProducer(bootstrap_servers=kafka)
    for start in range(0, len(events), SIZE):
        batch = wire.Parts(parts=events[start : start + SIZE]).SerializeToString()
        producer.send(names["events"], FRAME + b"\2\2" + batch)
    producer.send(names["labels"], FRAME + b"\2\6" + wire.Parts(parts=labels).SerializeToString())
    producer.flush(30)
    producer.close()
    daemon = DaemonProcess(tmp_path, *told)
    until(lambda: daemon.metrics().get("streamlearn_commit_number", 0) >= 2, "two commits")
    daemon.kill()
    before = inspect(tmp_path, f"{prefix}.db")["events"]
    with running(tmp_path, *told) as daemon:
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    after = inspect(tmp_path, f"{prefix}.db")
    assert (True, 0) == (0 < before < len(events), before % SIZE)
    assert (len(events), len(labels), 0) == (after["events"], after["labels"], after["rejected"])
    values = published(kafka, names["queries"])
    assert {b"\0\0\0\0\7\2\x08"} == {value[:7] for value in values}  # Query is the file's fifth message
    asked = [wire.Query.FromString(value[7:]).id for value in values]
    assert len(asked) == len(set(asked)) > 10
    assert [] == published(kafka, names["rejected"])
    for path in tmp_path.glob(f"{prefix}.db*"):
        path.unlink()
    with running(tmp_path, *told, "--rebuild") as daemon:
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    rebuilt = inspect(tmp_path, f"{prefix}.db")
    assert (len(events), len(labels), len(asked)) == (rebuilt["events"], rebuilt["labels"], rebuilt["queries"])
    assert values == published(kafka, names["queries"])
