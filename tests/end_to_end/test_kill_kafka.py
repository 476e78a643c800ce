"""The same promises on a real broker: kill −9, a broker that is away, and two daemons with one name."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from streamlearn import settings
from streamlearn.edges.kafka.source import PROBE_S
from tests.edges.kafka.world import mostly
from tests.end_to_end.conftest import ROLES
from tests.end_to_end.daemon_process import DaemonProcess, command, inspect, refusals, running, until
from tests.end_to_end.kills import (
    SOME_KILLS,
    a_kill_after_each_commit,
    all_answered,
    nothing_lost_or_doubled,
    thirty_kills,
)
from tests.end_to_end.traffic import KafkaLog, Traffic
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka


def configure(folder: Path, address: str, name: str, client: str = "kafka-python") -> str:
    """A configuration file for topics of this name's own."""
    topics = "\n".join(f'{role} = "{name}-{role}"' for role in ROLES)
    text = f'name = "{name}"\n[log]\nkind = "kafka"\n[topics]\n{topics}\n'
    text += f'[kafka]\nclient = "{client}"\nbootstrap_servers = "{address}"\n'
    (folder / "c.toml").write_text(text)
    return "c.toml"


def topics(name: str) -> dict[str, str]:
    return {role: f"{name}-{role}" for role in ROLES}


def create(address: str, name: str) -> None:
    make_topics(address, dict.fromkeys(topics(name).values(), 1))


@mostly("kafka-python")
def test_many_kills_lose_no_label_and_repeat_no_query(
    tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog
) -> None:
    configuration = configure(tmp_path, kafka, prefix, client)
    thirty_kills(tmp_path, f"{prefix}.db", log, lambda: DaemonProcess(tmp_path, configuration), 1, SOME_KILLS)


@pytest.mark.soak  # on an embedded log it is among the default tests
def test_a_network_comes_back_bit_for_bit_as_it_was_committed(
    tmp_path: Path, kafka: str, prefix: str, log: KafkaLog
) -> None:
    configuration = configure(tmp_path, kafka, prefix)
    with (tmp_path / configuration).open("a") as file:
        # Few steps: the daemon is to keep up with the traffic.
        file.write('[model]\nkind = "mlp"\nhidden = [4]\n[training]\nsteps_per_label = 1\n')
    told = settings.read(tmp_path / configuration, {}, ())
    a_kill_after_each_commit(
        tmp_path, f"{prefix}.db", log, lambda: DaemonProcess(tmp_path, configuration), told, kills=3
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_thirty_kills_lose_no_label_and_repeat_no_query_over_and_over(
    seed: int, tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog
) -> None:
    configuration = configure(tmp_path, kafka, prefix, client)
    thirty_kills(tmp_path, f"{prefix}.db", log, lambda: DaemonProcess(tmp_path, configuration), seed)


@mostly("kafka-python")
def test_a_broker_that_is_away_at_the_start_and_in_the_middle_is_waited_for(
    tmp_path: Path, prefix: str, client: str, own_broker: LocalBroker
) -> None:
    configuration, store = configure(tmp_path, own_broker.address, prefix, client), f"{prefix}.db"
    create(own_broker.address, prefix)
    own_broker.stop()
    daemon = DaemonProcess(tmp_path, configuration)
    try:
        until(lambda: own_broker.address in daemon.unready_because().get("log", ""), "the reason")
        assert daemon.get("/healthz")[0] == 200
        own_broker.start()
        daemon.wait_ready()
        log = KafkaLog(own_broker.address, topics(prefix))
        traffic = Traffic(log, seed=5)
        traffic.start()
        until(lambda: traffic.answers() > 30, "some answers")
        traffic.interrupt()
        own_broker.kill()  # while the daemon works on the last of it
        until(lambda: "log" in daemon.unready_because(), "that it is unready")
        own_broker.start()
        daemon.wait_ready()
        log.close()
        log = KafkaLog(own_broker.address, topics(prefix))
        traffic.go_on(log)
        seen = traffic.answers()
        until(lambda: traffic.answers() > seen + 10, "more answers")
        traffic.no_more_events()
        until(lambda: all_answered(daemon, traffic), "the last label")
        traffic.stop()
        until(lambda: all_answered(daemon, traffic), "the last label")
        assert daemon.drain() == 0
        nothing_lost_or_doubled(tmp_path, store, log, traffic)
        log.close()
    finally:
        daemon.kill()


def test_a_quiet_daemon_stays_ready(tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog) -> None:
    """Its clients refresh what they know of the cluster, each for its own topic, while it asks whether the broker is there."""
    age = "metadata_max_age_ms" if client == "kafka-python" else "topic.metadata.refresh.interval.ms"
    fresh = ("--set", f"kafka.settings.{age}=200")
    with running(tmp_path, configure(tmp_path, kafka, prefix, client), *fresh) as daemon:
        quiet = time.monotonic() + 2.0 * PROBE_S
        until(lambda: time.monotonic() > quiet or not daemon.running(), "the end of the silence")
        assert daemon.ready(), daemon.said
        assert daemon.drain() == 0


def test_a_missing_topic_makes_it_unready_until_it_is_there(
    tmp_path: Path, kafka: str, prefix: str, client: str
) -> None:
    daemon = DaemonProcess(tmp_path, configure(tmp_path, kafka, prefix, client))
    try:
        missing = f"topic '{prefix}-events' does not exist"
        until(lambda: missing in daemon.unready_because().get("log", ""), "the reason")
        create(kafka, prefix)
        daemon.wait_ready()
        assert daemon.drain() == 0
    finally:
        daemon.kill()


def test_sigterm_ends_a_daemon_that_waits_for_its_broker(tmp_path: Path, prefix: str, client: str) -> None:
    daemon = DaemonProcess(tmp_path, configure(tmp_path, "127.0.0.1:1", prefix, client))
    try:
        until(lambda: "log" in daemon.unready_because(), "that it is unready")
        began = time.monotonic()
        assert daemon.drain() == 0
        assert time.monotonic() - began < 10
    finally:
        daemon.kill()


def test_of_two_daemons_with_one_name_the_older_ends_with_one_line(
    tmp_path: Path, kafka: str, prefix: str, client: str, log: KafkaLog
) -> None:
    configuration = configure(tmp_path, kafka, prefix, client)
    with running(tmp_path, configuration) as older:
        log.send("events", "e0", {"id": "e0", "x": [1.0, 2.0]})
        until(lambda: log.queries(), "the query")
        until(older.caught_up, "its commit")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        copy(tmp_path / f"{prefix}.db", elsewhere / f"{prefix}.db")
        shutil.copy(tmp_path / configuration, elsewhere)
        with running(elsewhere, configuration) as newer:
            log.send("events", "e1", {"id": "e1", "x": [1.0, 3.0]})
            assert older.wait() == 1
            told = refusals(older.said)
            fenced = "another daemon of the same name has taken over; stop one, or give it its own name and store"
            assert told == [fenced]
            assert "Traceback" not in older.said
            until(lambda: newer.metrics()["streamlearn_events_total"] == 1, "the new event")
            assert newer.drain() == 0
    assert inspect(elsewhere, f"{prefix}.db")["events"] == 2
    asked = [query["id"] for query in log.all("queries")]
    assert len(asked) == len(set(asked))


def copy(store: Path, to: Path) -> None:
    """As an operator does, beside a running daemon."""
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def test_a_store_that_is_not_of_this_log_is_one_line_and_exit_code_3(
    tmp_path: Path, kafka: str, prefix: str, log: KafkaLog
) -> None:
    configuration = configure(tmp_path, kafka, prefix)
    with running(tmp_path, configuration) as daemon:
        copy(tmp_path / f"{prefix}.db", tmp_path / "old.db")
        for id in ("e0", "e1", "e2"):
            log.send("events", id, {"id": id, "x": [1.0, 2.0]})
            until(lambda id=id: id == log.all("events")[-1]["id"] and daemon.caught_up(), "its commit")
        until(lambda: daemon.metrics()["streamlearn_events_total"] == 3, "all events")
        assert daemon.drain() == 0
    for store, why in (("old.db", "an old copy"), ("new.db", "written by another store")):
        done = command(tmp_path, "run", configuration, "--set", "http.port=-1", "--set", f"store.path={store}")
        said = refusals(done.stderr)
        assert (done.returncode, len(said), why in said[0]) == (3, 1, True), done.stderr
