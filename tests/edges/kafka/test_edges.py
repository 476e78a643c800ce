"""The Kafka source and sink against a real broker, by each client library: positions, exactly-once recovery, settings."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaProducer

from streamlearn import config
from streamlearn.edges.kafka import client as client_module
from streamlearn.edges.kafka import confluent, python
from streamlearn.edges.kafka.client import KEPT_BYTES
from streamlearn.edges.kafka.sink import KafkaSink, attempt_s, published
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.errors import CannotStart, ConfigurationError, Fenced, Unavailable
from streamlearn.service.ports import (
    EVENTS,
    LABELS,
    POLL_BYTES,
    POLL_RECORDS,
    QUERIES,
    RECORD_BYTES,
    Changes,
    Commit,
    Message,
    Position,
    Record,
)
from tests.edges.kafka.world import (
    PATIENCE_S,
    POSITIONS,
    STORE,
    World,
    commit,
    mostly,
    read,
    until_available,
    until_unavailable,
)
from tests.end_to_end.daemon_process import refusals, until
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka


# The source.


def test_a_source_without_positions_begins_at_the_beginning_and_one_with_positions_goes_on_there(world, closing):
    values = [b"%d" % i for i in range(10)]
    world.produce(world.topics.events, values, partition=1)
    first = closing(world.source())
    first.open({})
    records = read(first, 10)
    assert values == [each.value for each in records]
    assert [(EVENTS, 1, i, i + 1) for i in range(10)] == [(r.role, r.partition, r.offset, r.next) for r in records]
    second = closing(world.source())
    second.open({(EVENTS, 1): records[5].next, (EVENTS, 0): 0})
    assert values[6:] == [each.value for each in read(second, 4)]


def test_labels_come_before_a_backlog_of_events(world, closing):
    world.produce(world.topics.events, [b"e"] * 3000)
    world.produce(world.topics.labels, [b"l"] * 10)
    source = closing(world.source())
    source.open({})
    polls = [source.poll(0.5) for _ in range(2)]
    assert [LABELS] * 10 == [each.role for each in polls[0]][:10]
    assert [EVENTS] * POLL_RECORDS == [each.role for each in polls[1]]
    assert 3010 == len(polls[0] + polls[1] + read(source, 3010 - len(polls[0] + polls[1])))


def test_a_poll_is_bounded_in_records_and_bytes_and_loses_none(world, closing):
    large = b"x" * 200_000
    world.produce(world.topics.events, [large] * 40)
    world.produce(world.topics.events, [b"%d" % i for i in range(2500)], partition=1)
    source = closing(world.source())
    source.open({})
    polls: list[list[Record]] = []
    while sum(map(len, polls)) < 2540:
        polls.append(source.poll(0.5))
    assert 0 == sum(len(each) > POLL_RECORDS for each in polls)
    assert 0 == sum(sum(len(r.value) for r in each) > POLL_BYTES + RECORD_BYTES for each in polls)
    small = [r.value for each in polls for r in each if r.partition == 1]
    assert [b"%d" % i for i in range(2500)] == small
    assert list(range(40)) == [r.offset for each in polls for r in each if r.partition == 0]


def test_lag_counts_what_is_unread_and_ends_at_zero_behind_the_marker_of_a_transaction(world, closing):
    world.produce(world.topics.events, [b"a", b"b"], transaction="one")
    source = closing(world.source())
    source.open({})
    assert 3 == source.lag()[EVENTS, 0]
    records = read(source, 2)
    assert [1, 3] == [each.next for each in records]
    assert {(EVENTS, 0): 0, (EVENTS, 1): 0, (LABELS, 0): 0} == source.lag()


def test_aborted_records_are_not_read(world, closing):
    world.produce(world.topics.events, [b"gone"], transaction="one", end="abort")
    world.produce(world.topics.events, [b"there"], transaction="two")
    source = closing(world.source())
    source.open({})
    assert [b"there"] == [each.value for each in read(source, 1)]


def test_tombstones_are_read_as_none(world, closing):
    producer = KafkaProducer(bootstrap_servers=world.address)
    producer.send(world.topics.labels, key=b"id", value=None).get(PATIENCE_S)
    producer.close()
    source = closing(world.source())
    source.open({})
    assert [(b"id", None)] == [(each.key, each.value) for each in read(source, 1)]


def test_a_record_that_is_too_large_is_cut_and_says_its_size(world, closing):
    huge = f"{world.name}-huge"
    make_topics(world.address, {huge: 1}, **{"max.message.bytes": str(4 << 20)})
    world.topics = config.Topics(events=huge, labels=world.topics.labels)
    value = bytes(range(256)) * 8192
    world.produce(huge, [value, b"small"])
    source = closing(world.source())
    source.open({})
    records = read(source, 2)
    assert [(value[:KEPT_BYTES], len(value) + 1), (b"small", 0)] == [(each.value, each.oversize) for each in records]


def test_a_poll_of_a_quiet_topic_returns_within_half_a_second(world, closing):
    source = closing(world.source())
    source.open({})
    begun = time.monotonic()
    assert [] == source.poll(60.0)
    assert 1.0 > time.monotonic() - begun


def test_a_position_that_the_log_does_not_hold_cannot_start(world):
    with pytest.raises(CannotStart, match="goes on at 99"):
        world.source().open({(EVENTS, 0): 99})
    with pytest.raises(CannotStart, match="no such partition"):
        world.source().open({(EVENTS, 7): 0})


def test_a_missing_input_topic_is_waited_for(world, closing):
    world.topics = config.Topics(events=f"{world.name}-late", labels=world.topics.labels)
    source = closing(world.source())
    with pytest.raises(
        Unavailable, match=f"topic '{world.name}-late' does not exist on .*; create it or set topics.even"
    ):
        source.open({})
    make_topics(world.address, {f"{world.name}-late": 1})
    source.open({})
    assert [] == source.poll(0.1)


# Recovery.


def test_a_fresh_name_has_published_nothing(world, closing):
    sink = closing(world.sink())
    assert 0 == sink.open(STORE, 0)
    assert {} == sink.ends()


def test_what_was_published_is_visible_once_with_positions_and_commit_number(world, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    sink.publish(commit(1, [b"a", b"b"]))
    sink.publish(commit(2, [b"c"], {(EVENTS, 0): 6}))
    assert [b"a", b"b", b"c"] == world.visible(world.topics.queries)
    expected = {(EVENTS, 0): (6, "store-a:2"), (EVENTS, 1): (0, "store-a:2"), (LABELS, 0): (0, "store-a:2")}
    assert expected == world.committed()


def test_open_finds_the_commit_that_was_published_last(world, closing):
    sink = closing(world.sink())
    assert 0 == sink.open(STORE, 1)
    sink.publish(commit(1, [b"a"]))
    assert 1 == sink.open(STORE, 1)
    assert 1 == sink.open(STORE, 2)
    sink.publish(commit(2, [b"b"]))
    assert 2 == closing(world.sink()).open(STORE, 2)
    assert [b"a", b"b"] == world.visible(world.topics.queries)


def test_commits_do_not_wait_for_messages_to_be_gathered(world, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    seconds = []
    for number in range(1, 11):
        began = time.monotonic()
        sink.publish(commit(number, [b"a"]))
        seconds.append(time.monotonic() - began)
    assert 0.1 > min(seconds[1:])  # kafka-python is told to gather for 0.1 s


def test_a_foreign_store_or_another_history_cannot_start(world, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    for number in (1, 2, 3):
        sink.publish(commit(number, []))
    with pytest.raises(CannotStart, match="another store"):
        closing(world.sink()).open("store-b", 3)
    with pytest.raises(CannotStart, match="another store"):
        closing(world.sink()).open("store-b", 0)
    with pytest.raises(CannotStart, match="already at 3"):
        closing(world.sink()).open(STORE, 2)
    with pytest.raises(CannotStart, match="only at 3"):
        closing(world.sink()).open(STORE, 5)
    with pytest.raises(Fenced, match="has taken over"):  # this one knows that it was open: another has gone on since
        sink.open(STORE, 2)
    assert 3 == closing(world.sink()).open(STORE, 4)


def test_a_store_with_commits_and_no_trace_in_kafka_cannot_start(world):
    with pytest.raises(
        CannotStart, match=r"no trace of it; put the store of before back, or start once with .* --rebuild"
    ):
        world.sink().open(STORE, 2)


@pytest.mark.parametrize(
    ("traces", "saved", "expected"),
    [([], 0, 0), ([], 1, 0), (["s:3", "s:2", ""], 3, 3), (["s:3"], 4, 3), (["", ""], 1, 0), (["s:1"], 1, 1)],
)
def test_the_largest_number_of_this_store_was_published_last(traces, saved, expected):
    assert expected == published(traces, "s", saved)


@pytest.mark.parametrize(
    ("traces", "saved"),
    [([], 2), (["s:3"], 2), (["s:3"], 5), (["t:3"], 3), (["s:3", "t:1"], 3), (["what"], 1), (["s:-1"], 1)],
)
def test_any_other_trace_cannot_start(traces, saved):
    with pytest.raises(CannotStart):
        published(traces, "s", saved)


# Guards.


def test_the_older_of_two_sinks_of_one_name_is_fenced_and_the_newer_goes_on(world, closing):
    older, newer = closing(world.sink()), closing(world.sink())
    older.open(STORE, 0)
    older.publish(commit(1, [b"a"]))
    assert 1 == newer.open(STORE, 1)
    with pytest.raises(Fenced, match="another daemon"):
        older.publish(commit(2, [b"older"]))
    newer.publish(commit(2, [b"newer"]))
    newer.publish(commit(3, []))
    assert [b"a", b"newer"] == world.visible(world.topics.queries)


def test_a_sink_without_messages_is_fenced_too(world, closing):
    older, newer = closing(world.sink()), closing(world.sink())
    older.open(STORE, 0)
    newer.open(STORE, 0)
    with pytest.raises(Fenced):
        older.publish(commit(1, []))
    newer.publish(commit(1, []))


def test_a_rebuilt_store_does_not_take_the_one_that_it_replaces_for_a_successor(world, closing):
    before = closing(world.sink())
    before.open("before", 0)
    before.publish(commit(1, [b"1"]))
    rebuilt = closing(world.sink())
    for _ in range(2):  # again after its first commit has failed
        assert 0 == rebuilt.open("rebuilt", 1, replaces="before")
    rebuilt.publish(commit(1, [b"2"]))
    assert 1 == rebuilt.open("rebuilt", 1, replaces="before")


@pytest.mark.parametrize(("faults", "expected_s"), [(0, 5.0), (1, 5.0), (2, 10.0), (4, 20.0), (6, 25.0), (5000, 25.0)])
def test_attempts_become_longer_up_to_a_bound_however_long_the_broker_is_away(faults, expected_s):
    assert expected_s == attempt_s(faults, 25.0)


def test_a_message_that_the_broker_refuses_makes_the_whole_commit_invisible(world, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    sink.publish(commit(1, [b"a"]))
    with pytest.raises(ConfigurationError, match=r"max\.message\.bytes"):
        sink.publish(commit(2, [b"small", b"x" * (3 << 20)]))
    assert 1 == sink.open(STORE, 2)
    assert [b"a"] == world.visible(world.topics.queries)
    assert {position: (offset, "store-a:1") for position, offset in POSITIONS.items()} == world.committed()


def test_a_message_whose_time_the_broker_refuses_is_tried_again_and_the_clocks_are_named(world, closing):
    strict = f"{world.name}-strict"
    make_topics(world.address, {strict: 1}, **{"message.timestamp.before.max.ms": "0"})  # what is on its way is too old
    world.topics = replace(world.topics, queries=strict)
    sink = closing(world.sink())
    sink.open(STORE, 0)
    told = until_unavailable(lambda: sink.publish(commit(1, [b"a"])))
    assert "timestamp" in told
    assert "put this machine's clock right, or the broker's, or raise message.timestamp.*.max.ms" in told


def test_messages_of_a_topic_that_is_switched_off_are_dropped(world, closing):
    sink = closing(world.sink())
    sink.open(STORE, 0)
    sink.publish(
        Commit(1, POSITIONS, b"", Changes(), {}, [Message("predictions", b"id", b"p"), Message(QUERIES, b"", b"q")])
    )
    assert [b"q"] == world.visible(world.topics.queries)


def test_a_missing_output_topic_is_waited_for(world, closing):
    late = f"{world.name}-late"
    world.topics = config.Topics(world.topics.events, labels=world.topics.labels, queries=late, rejected="")
    sink = closing(world.sink(timeout_s=2.0))
    with pytest.raises(Unavailable, match=f"topic '{late}' does not exist on .*; create it or set topics.queries"):
        sink.open(STORE, 0)
    make_topics(world.address, {late: 1})
    assert 0 == sink.open(STORE, 0)


def test_a_transaction_that_the_broker_has_ended_for_its_age_is_no_commit(world, closing, monkeypatch):
    """As when the daemon's machine sleeps in the midst of one, by whose clock no time has passed."""
    module, name = {"kafka-python": (python, "KafkaProducer"), "confluent": (confluent, "Producer")}[world.kafka.client]

    class Slow(getattr(module, name)):
        def send_offsets_to_transaction(self, *told):
            until(
                lambda: 2 == world.settled(world.topics.queries), "the message, and a marker that ends the transaction"
            )
            return super().send_offsets_to_transaction(*told)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, Slow)
        for each in (python, client_module):
            patched.setattr(each, "TRANSACTION_S", 1.0)
        sink = closing(world.sink(timeout_s=1.0))
        sink.open(STORE, 0)
        sink._writer._timeout_s = PATIENCE_S  # else it would give up before the broker does
        with pytest.raises(Fenced):
            sink.publish(commit(1, [b"a"]))
    assert [] == world.visible(world.topics.queries)
    again = closing(world.sink())
    assert 0 == again.open(STORE, 1)
    again.publish(commit(1, [b"a"]))
    assert [b"a"] == world.visible(world.topics.queries)
    assert {position: (offset, "store-a:1") for position, offset in POSITIONS.items()} == world.committed()


# The broker goes and returns.


@mostly("kafka-python")
def test_nothing_is_lost_or_doubled_when_the_broker_is_stopped_and_started_again(own_broker, own_world, closing):
    source, sink = closing(own_world.source(timeout_s=3.0)), closing(own_world.sink(timeout_s=5.0))
    own_world.produce(own_world.topics.events, [b"before"])
    source.open({})
    sink.open(STORE, 0)
    sink.publish(commit(1, [b"a"]))
    assert [b"before"] == [each.value for each in read(source, 1)]
    own_broker.stop()
    assert "Kafka at" in until_unavailable(lambda: source.poll(0.5))
    with pytest.raises(Unavailable, match="cannot publish commit 2"):
        sink.publish(commit(2, [b"b"]))
    with pytest.raises(Unavailable, match="cannot connect"):
        sink.open(STORE, 2)
    with pytest.raises(Unavailable, match="cannot connect"):
        source.open({(EVENTS, 0): 1})
    own_broker.start()
    assert 1 == until_available(lambda: sink.open(STORE, 2))
    sink.publish(commit(2, [b"b"]))
    assert [b"a", b"b"] == own_world.visible(own_world.topics.queries)
    until_available(lambda: source.open({(EVENTS, 0): 1}))
    own_world.produce(own_world.topics.events, [b"after"])
    assert [b"after"] == [each.value for each in read(source, 1)]


def threads() -> int:
    """Of this process, those of C libraries too."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@mostly("kafka-python")
def test_a_paused_broker_is_unavailable_in_time_and_does_not_double_what_it_had_received(
    own_broker, own_world, closing
):
    before = threads()
    source, sink = closing(own_world.source(timeout_s=3.0)), closing(own_world.sink(timeout_s=3.0))
    source.open({})
    sink.open(STORE, 0)
    sink.publish(commit(1, [b"a"]))
    own_broker.pause()
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        sink.publish(commit(2, [b"b"]))
    assert 6.0 > time.monotonic() - begun
    longest_s = 0.0

    def poll() -> None:
        nonlocal longest_s
        begun = time.monotonic()
        try:
            source.poll(0.5)
        finally:
            longest_s = max(longest_s, time.monotonic() - begun)

    assert "no answer" in until_unavailable(poll)
    assert 1.5 > longest_s
    for _ in range(2):
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            sink.open(STORE, 2)
        assert 10.0 > time.monotonic() - begun
    source.close()
    until(lambda: threads() <= before, "the end of all that was left behind")
    own_broker.resume()
    if until_available(lambda: sink.open(STORE, 2)) == 1:
        sink.publish(commit(2, [b"b"]))
    sink.publish(commit(3, [b"c"]))
    assert [b"a", b"b", b"c"] == own_world.visible(own_world.topics.queries)


@mostly("kafka-python")
def test_a_broker_that_is_killed_while_publishing_leaves_each_commit_visible_once(own_broker, own_world, closing):
    sink = closing(own_world.sink(timeout_s=5.0))
    sink.open(STORE, 0)
    killer = threading.Thread(target=own_broker.kill)
    number = 0
    fault = ""
    while not fault:
        number += 1
        if number == 5:
            killer.start()
        try:
            sink.publish(commit(number, [b"%d" % number]))
        except Unavailable as error:
            fault = str(error)
    killer.join()
    own_broker.start()
    if until_available(lambda: sink.open(STORE, number)) != number:
        sink.publish(commit(number, [b"%d" % number]))
    assert [b"%d" % each for each in range(1, number + 1)] == own_world.visible(own_world.topics.queries)


# Settings.


def test_nothing_connects_before_open(client):
    nowhere = config.Kafka("localhost:1", client)
    KafkaSource("n", nowhere, config.Topics()).close()
    KafkaSink("n", nowhere, config.Topics()).close()


def test_a_broker_that_refuses_connections_is_unavailable_and_named_and_nothing_is_printed(client, capfd):
    with pytest.raises(Unavailable, match=r"Kafka at localhost:1: cannot connect: .*(?i:refused)"):
        KafkaSink("n", config.Kafka("localhost:1", client), config.Topics()).open(STORE, 0)
    assert ("", "") == capfd.readouterr()


LOGINS = {
    "kafka-python": {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": "s3cret",
    },
    "confluent": {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "s3cret",
    },
}


def test_authentication_that_the_broker_refuses_is_the_operators_fault_and_no_secret_is_told(world, client):
    refused = config.Kafka(world.address, client, LOGINS[client])
    with pytest.raises(ConfigurationError, match=r"kafka\.settings\.security.protocol") as caught:
        KafkaSource("n", refused, world.topics).open({})
    assert "s3cret" not in str(caught.value)


def test_a_setting_of_a_wrong_kind_is_refused_without_telling_secrets(world, client):
    password = "ssl_password" if client == "kafka-python" else "ssl.key.password"
    wrong = config.Kafka(world.address, client, {password: "s3cret", "client_dns_lookup": "s3cret"})
    with pytest.raises(ConfigurationError, match=r"kafka\.settings .*\*\*\*") as caught:
        KafkaSource("n", wrong, world.topics).open({})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("client", "key", "why"),
    [
        ("kafka-python", "sasl_plain_pasword", "is not a setting of kafka-python; did you mean sasl_plain_password?"),
        ("kafka-python", "transactional_id", "is set by streamlearn itself; remove it"),
        ("confluent", "sasl.pasword", "is not a setting of confluent"),
        ("confluent", "transactional.id", "is set by streamlearn itself; remove it"),
        ("confluent", "enable_auto_commit", "is set by streamlearn itself; remove it"),
    ],
)
def test_unknown_and_reserved_settings_are_refused_by_name(client, key, why):
    for made in (KafkaSource, KafkaSink):
        with pytest.raises(ConfigurationError) as caught:
            made("n", config.Kafka("localhost:1", client, {key: "s3cret"}), config.Topics())
        assert f"kafka.settings.{key} {why}" == str(caught.value)


# Client libraries beside each other.


def test_each_client_goes_on_where_the_other_has_stopped(kafka, prefix, closing):
    worlds = [World(kafka, prefix, "kafka-python")]
    worlds.append(World(kafka, prefix, "confluent", create=False))
    worlds *= 2
    positions: dict[Position, int] = {}
    for number, world in enumerate(worlds, start=1):
        world.produce(world.topics.events, [b"%d" % number], transaction="own")
        source, sink = closing(world.source()), closing(world.sink())
        source.open(positions)
        (got,) = read(source, 1)
        assert (b"%d" % number, 0) == (got.value, source.lag()[EVENTS, 0])
        positions[EVENTS, 0] = got.next
        assert number - 1 == sink.open(STORE, number - 1)
        sink.publish(commit(number, [got.value], positions))
    assert [b"1", b"2", b"3", b"4"] == world.visible(world.topics.queries)
    assert {(8, "store-a:4"), (0, "store-a:4")} == set(world.committed().values())


def test_each_client_puts_a_key_into_the_same_partition(kafka, prefix, closing):
    worlds = [World(kafka, f"{prefix}-{client[0]}", client, queries=7) for client in ("kafka-python", "confluent")]
    keys = [b"key-%d" % i for i in range(40)]
    partitions = []
    for world in worlds:
        sink = closing(world.sink())
        sink.open(STORE, 0)
        sink.publish(Commit(1, POSITIONS, b"", Changes(), {}, [Message(QUERIES, key, b"") for key in keys]))
        partitions.append([world.keys(world.topics.queries, number) for number in range(7)])
    assert partitions[0] == partitions[1]
    assert sorted(keys) == sorted(key for each in partitions[0] for key in each)
    assert 3 < sum(map(bool, partitions[0]))


def test_a_client_that_is_not_installed_is_one_line_and_there_is_no_store_yet(tmp_path):
    (tmp_path / "confluent_kafka.py").write_text('raise ImportError("it is not here")')
    done = subprocess.run(
        [sys.executable, "-m", "streamlearn", "run", "--set", "log.kind=kafka", "--set", "kafka.client=confluent"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    expected = (
        'kafka.client = "confluent" needs confluent-kafka, which cannot be imported (it is not here); '
        'pip install "streamlearn[confluent]"'
    )
    assert (2, [expected]) == (done.returncode, refusals(done.stderr))
    assert [] == list(tmp_path.glob("*.db"))
