"""Bad input: each record goes to `rejected` with its reason and is counted, and nothing else is disturbed.

The state at the end, down to its digest, is the one of the same log without the bad records.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest
from kafka import KafkaProducer

from tests.end_to_end.daemon_process import append, as_json, inspect, lines, running, until
from tests.end_to_end.test_kill_kafka import ROLES, configure
from tests.end_to_end.traffic import KafkaLog

EVENTS = 60
DATA = "streamlearn-data"


@final
@dataclass(frozen=True)
class Bad:
    """One bad record: its topic, its bytes, a part of the reason, and the metric's kind of reason."""

    what: str
    topic: str
    value: bytes
    reason: str
    kind: str = "format"


def made(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


BAD = [
    Bad("not JSON", "events", b"hello", "not a valid record"),
    Bad("half an object", "events", b'{"id":"h","x":[1,2', "not a valid record"),
    Bad("two objects in one line", "events", b'{"id":"t","x":[1,2,3]} {"id":"u","x":[1,2,3]}', "not a valid record"),
    Bad("a list of a number", "events", b"[1]", "not a valid record"),
    Bad("an empty list", "events", b"[]", "batch is empty"),
    Bad("a missing id", "events", made(x=[1, 2, 3]), "id"),
    Bad("a missing x", "events", made(id="n"), "x"),
    Bad("an empty id", "events", made(id="", x=[1, 2, 3]), "id is empty"),
    Bad("an id that is too long", "events", made(id="i" * 600, x=[1, 2, 3]), "longer than 512 bytes"),
    Bad("an id that is a fraction", "events", made(id=1.5, x=[1, 2, 3]), "id"),
    Bad("a wrong width", "events", made(id="w", x=[1, 2]), "x has 2 values instead of 3", "features"),
    Bad("no values", "events", made(id="w", x=[]), "x has no values", "features"),
    Bad("a map after arrays", "events", made(id="m", x={"a": 1}), "x is a map", "features"),
    Bad("too many values", "events", made(id="l", x=[0.5] * 5000), "more than 4096", "features"),
    Bad("NaN", "events", b'{"id":"n","x":[NaN,1,2]}', "not a valid record"),
    Bad("infinity", "events", b'{"id":"n","x":[1,-Infinity,2]}', "not a valid record"),
    Bad("a number beyond a double", "events", b'{"id":"n","x":[1,1e999,2]}', "not a valid record"),
    Bad("a huge whole number", "events", b'{"id":"n","x":[1,' + b"9" * 4000 + b",2]}", "not a valid record"),
    Bad("text in an array", "events", made(id="n", x=[1, "two", 3]), "x"),
    Bad("a list in a list", "events", made(id="n", x=[1, [2], 3]), "x"),
    Bad("a time that is none", "events", made(id="n", x=[1, 2, 3], time="soon"), "time is neither"),
    Bad("deep nesting", "events", b'{"id":"n","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not a valid record"),
    Bad("deep nesting elsewhere", "events", b'{"id":"n","x":[1,2,3],"y":' + b"[" * 100_000, "not a valid record"),
    Bad("bytes that are no UTF-8", "events", b'{"id":"\xff\xfe","x":[1,2,3]}', "not a valid record"),
    Bad("control characters", "events", b'{"id":"a\x01\x00b","x":[1,2,3]}', "not a valid record"),
    Bad("half a surrogate pair", "events", b'{"id":"\\ud800","x":[1,2,3]}', "not a valid record"),
    Bad("a duplicate id", "events", made(id="e0", x=[1, 2, 3]), "an event with id e0 was read before", "duplicate"),
    Bad("300 kB", "events", made(id="big", x=[1, 2, 3], more="x" * 300_000), "too many", "size"),
    Bad("a label that is no JSON", "labels", b"yes", "not a valid record"),
    Bad("a label without an id", "labels", made(y=True), "id"),
    Bad("a label without y", "labels", made(id="e1"), "y"),
    Bad("a label that is a list", "labels", made(id="e1", y=[1]), "y"),
    Bad("a label of the wrong type", "labels", made(id="e1", y=0.5), "label is", "label"),
    Bad("a label of another kind of class", "labels", made(id="e1", y="yes"), "label is string", "label"),
    Bad("a label that is NaN", "labels", b'{"id":"e1","y":NaN}', "not a valid record"),
    Bad("a label beyond a double", "labels", b'{"id":"e1","y":1e999}', "not a valid record"),
    Bad("a label with a huge number", "labels", b'{"id":"e1","y":' + b"9" * 30 + b"}", ""),
    Bad("a weight of 0", "labels", made(id="e1", y=True, weight=0), "weight is not above 0"),
    Bad("a weight below 0", "labels", made(id="e1", y=True, weight=-1), "weight is not above 0"),
    Bad("a weight that is NaN", "labels", b'{"id":"e1","y":true,"weight":NaN}', "not a valid record"),
    Bad("a weight beyond measure", "labels", made(id="e1", y=True, weight=1e300), "weight"),
    Bad("a label's features of wrong width", "labels", made(id="e1", y=True, x=[1]), "x has 1 values", "features"),
    Bad("a label's features as a map", "labels", made(id="q", y=True, x={"new": 1}), "x is a map", "features"),
]


def good(role: str) -> list[bytes]:
    """Events, and labels with features of their own for half as many, each with its time."""
    chance, found = random.Random(7), []
    for i in range(EVENTS):
        x = [round(chance.gauss(0, 1), 3) for _ in range(3)]
        if role == "events":
            found.append(made(id=f"e{i}", x=x, time=1000.0 + i))
        elif i % 2:
            found.append(made(id=f"e{i}", y=x[0] > x[1], x=x, time=1000.5 + i))
    return found


def mixed(role: str) -> list[bytes]:
    """The same with all bad records in between, from the tenth on."""
    bad = [each.value for each in BAD if each.topic == role]
    found = good(role)
    for i, value in enumerate(bad):
        found.insert(10 + 2 * i if 10 + 2 * i < len(found) else len(found), value)
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for role in ("events", "labels"):
        append(folder / DATA / f"{role}.jsonl", *mixed(role))
    return folder


@pytest.fixture(scope="module")
def told(log: Path) -> dict[str, Any]:
    """What the daemon has published as rejected, by value, and its metrics; it has run over the log to its end."""
    with running(log) as daemon:
        until(daemon.caught_up, "the end of the log")
        metrics = daemon.metrics()
        assert daemon.drain() == 0
    rejected = lines(log / DATA / "rejected.jsonl")
    return {
        "rejected": rejected,
        "metrics": metrics,
        "inspect": inspect(log),
        "queries": lines(log / DATA / "queries.jsonl"),
    }


@pytest.mark.parametrize("bad", BAD, ids=[bad.what.replace(" ", "-") for bad in BAD])
def test_it_is_rejected_with_its_place_and_a_reason(bad: Bad, told: dict[str, Any], log: Path) -> None:
    offset = (log / DATA / f"{bad.topic}.jsonl").read_bytes().index(b"\n" + bad.value + b"\n") + 1
    (found,) = (each for each in told["rejected"] if (each["topic"], each["offset"]) == (bad.topic, offset))
    assert bad.reason in found["reason"]
    assert len(found["reason"]) < 300
    assert "value" in found or "value_base64" in found


def test_all_of_them_and_nothing_else_are_rejected_and_counted(told: dict[str, Any]) -> None:
    assert len(told["rejected"]) == told["inspect"]["rejected"] == len(BAD)
    for topic in ("events", "labels"):
        kinds = [bad.kind for bad in BAD if bad.topic == topic]
        for kind in set(kinds):
            name = f'streamlearn_rejected_total{{reason="{kind}",topic="{topic}"}}'
            assert told["metrics"][name] == kinds.count(kind), name
        name = f'streamlearn_records_total{{outcome="rejected",topic="{topic}"}}'
        assert told["metrics"][name] == len(kinds)
        accepted = f'streamlearn_records_total{{outcome="accepted",topic="{topic}"}}'
        assert told["metrics"][accepted] == len(good(topic))
    assert told["metrics"]['streamlearn_ready{part="numbers"}'] == 1


def test_the_state_is_the_one_of_the_same_log_without_them(log: Path, tmp_path: Path) -> None:
    for role in ("events", "labels"):
        append(tmp_path / DATA / f"{role}.jsonl", *good(role))
    with_bad, without = as_json(log, "replay"), as_json(tmp_path, "replay")
    assert (with_bad.pop("rejected"), without.pop("rejected")) == (len(BAD), 0)
    assert with_bad == without
    assert without["labels"] == len(good("labels"))


def test_a_line_of_ten_megabytes_is_rejected_without_its_bytes(tmp_path: Path) -> None:
    size = 10_000_000
    append(tmp_path / DATA / "events.jsonl", made(id="e0", x=[1]), b'{"id":"' + b"x" * (size - 7), made(id="e1", x=[2]))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 2, "both events")
        assert daemon.drain() == 0
    (rejected,) = lines(tmp_path / DATA / "rejected.jsonl")
    assert (rejected["reason"], rejected["bytes"]) == (f"record has {size} bytes, too many", size)
    assert (tmp_path / DATA / "rejected.jsonl").stat().st_size < 10_000


def replayed(folder: Path, events: list[bytes], labels: list[bytes], *settings: str) -> dict[str, Any]:
    """A replay's report, in a folder of this log's own."""
    append(folder / DATA / "events.jsonl", *events)
    append(folder / DATA / "labels.jsonl", *labels)
    return as_json(folder, "replay", *(part for setting in settings for part in ("--set", setting)))


def test_a_label_for_an_unknown_id_waits_for_its_event(tmp_path: Path) -> None:
    append(tmp_path / DATA / "labels.jsonl", made(id="late", y=True))
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics().get("streamlearn_labels_waiting") == 1, "the label")
        append(tmp_path / DATA / "events.jsonl", made(id="late", x=[1, 2]))
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 1, "its event")
        until(lambda: daemon.metrics()["streamlearn_labels_waiting"] == 0, "the turn's end")
        assert daemon.drain() == 0
    assert inspect(tmp_path)["train_ids"] == ["late"]


@pytest.mark.parametrize("wait", [0, 5])
def test_a_label_whose_event_never_comes_is_rejected_in_the_end(wait: int, tmp_path: Path) -> None:
    append(tmp_path / DATA / "labels.jsonl", made(id="never", y=True))
    append(tmp_path / DATA / "events.jsonl", *(made(id=f"e{i}", x=[i]) for i in range(9)))
    with running(tmp_path, "--set", f"labels.wait={wait}") as daemon:
        until(lambda: lines(tmp_path / DATA / "rejected.jsonl"), "the reject")
        until(daemon.caught_up, "the end of the log")
        assert daemon.metrics()['streamlearn_rejected_total{reason="unknown id",topic="labels"}'] == 1
        assert daemon.drain() == 0
    (rejected,) = lines(tmp_path / DATA / "rejected.jsonl")
    assert rejected["topic"] == "labels"
    assert json.loads(rejected["value"]) == {"id": "never", "y": True}
    assert "no event with this id" in rejected["reason"]


def test_a_null_label_forgets_the_example(tmp_path: Path) -> None:
    labels = [made(id=f"w{i}", y=i % 3 == 0, x=[i % 5, i % 7]) for i in range(30)]
    forgetful = [*labels, made(id="extra", y=True, x=[9, 9]), made(id="extra", y=None)]
    kept, without = tmp_path / "kept", tmp_path / "without"
    told, expected = replayed(kept, [], forgetful), replayed(without, [], labels)
    assert told["train_ids"] == expected["train_ids"]
    assert "extra" not in told["train_ids"]
    assert told["rejected"] == 0


def test_a_null_label_for_an_id_that_nobody_knows_changes_nothing(tmp_path: Path) -> None:
    labels = [made(id=f"w{i}", y=i % 3 == 0, x=[i % 5, i % 7]) for i in range(30)]
    told = replayed(tmp_path / "a", [], [*labels, made(id="who", y=None)])
    assert told == replayed(tmp_path / "b", [], labels)


def test_categories_and_columns_beyond_the_bounds_are_left_out_and_counted(tmp_path: Path) -> None:
    many = [made(id=f"c{i}", x={"city": f"city-{i}", "a": i}) for i in range(100)]
    wide = made(id="wide", x={f"n{i}": i for i in range(5000)})
    append(tmp_path / DATA / "events.jsonl", *many, wide)
    with running(tmp_path) as daemon:
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 101, "the events")
        assert daemon.metrics()["streamlearn_columns_ignored_total"] == 36 + 5000 - (4096 - 65)
        assert daemon.drain() == 0
    assert inspect(tmp_path)["rejected"] == 0


def test_blank_lines_and_carriage_returns_are_no_records(tmp_path: Path) -> None:
    told = replayed(tmp_path, [b"", b"  ", b'{"id":"e0","x":[1]}\r', b"\r"], [])
    assert (told["events"], told["rejected"]) == (1, 0)


def test_numbers_too_large_to_be_squared_leave_the_model_finite(tmp_path: Path) -> None:
    events = [made(id=f"e{i}", x=[i % 5, 1e308 if i == 20 else -1e308 if i == 30 else i % 7]) for i in range(60)]
    labels = [made(id=f"e{i}", y=i % 5 > 2) for i in range(60)]
    told = replayed(tmp_path, events, labels)
    assert (told["events"], told["labels"], told["rejected"]) == (58, 58, 2)
    assert all(abs(value) < 1e300 for value in told["theta"])


@pytest.mark.kafka
def test_bad_records_on_kafka_are_rejected_with_their_place(
    tmp_path: Path, kafka: str, prefix: str, fresh_topics: Callable[..., dict[str, str]]
) -> None:
    names = fresh_topics(**dict.fromkeys(ROLES, 1))
    configuration, log = configure(tmp_path, kafka, prefix), KafkaLog(kafka, names)
    producer = KafkaProducer(bootstrap_servers=kafka)
    bad = [bad for bad in BAD if bad.kind != "features" and bad.topic == "events"]
    records = [
        (b"e0", made(id="e0", x=[1, 2, 3])),
        *((b"k", each.value) for each in bad),
        (b"k", None),
        (b"\xff", b"\xff"),
    ]
    for key, value in [*records, (b"e1", made(id="e1", x=[1, 2, 4]))]:
        producer.send(names["events"], key=key, value=value).get(30)
    producer.send(names["labels"], key=b"e0", value=made(id="e0", y=True))
    producer.send(names["labels"], key=b"", value=None)
    producer.send(names["labels"], key=b"e0", value=None)  # forgets it
    producer.flush(30)
    with running(tmp_path, configuration) as daemon:
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 2, "the good events")
        until(lambda: daemon.metrics()["streamlearn_forgotten_total"] == 1, "the tombstone")
        until(daemon.caught_up, "the end of the log")
        assert daemon.drain() == 0
    rejected = {(each["topic"], each["offset"]): each for each in log.all("rejected")}
    for offset, each in enumerate(bad, start=1):
        assert each.reason in rejected["events", offset]["reason"], each.what
    assert rejected["events", len(bad) + 1]["reason"] == "event has no value"
    assert rejected["events", len(bad) + 2]["key_base64"] == "/w=="
    assert rejected["labels", 1]["reason"] == "id is empty or longer than 512 bytes"
    assert len(rejected) == len(bad) + 3
    assert inspect(tmp_path, f"{prefix}.db")["train_ids"] == []
    producer.close()
    log.close()
