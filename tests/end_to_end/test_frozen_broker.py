"""A broker that is frozen: its connections stay open and nothing answers, for seconds or longer than a transaction may last."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamlearn.edges.kafka.client import TRANSACTION_S
from tests.edges.kafka.world import CLIENTS
from tests.end_to_end import strike
from tests.end_to_end.daemon_process import DaemonProcess, frozen, running, until
from tests.end_to_end.kills import LINEAR, all_is_whole_at_the_end
from tests.end_to_end.test_kill_kafka import configure, create, topics
from tests.end_to_end.traffic import KafkaLog, Traffic
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import started_broker

pytestmark = pytest.mark.kafka

ENDS_S = 30.0  # after SIGTERM, while the broker is frozen: what platforms grant


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalBroker]:
    with started_broker() as broker:
        yield broker


@contextmanager
def flow(broker: LocalBroker, name: str) -> Iterator[tuple[KafkaLog, Traffic]]:
    create(broker.address, name)
    log = KafkaLog(broker.address, topics(name))
    traffic = Traffic(log, seed=21)
    traffic.start()
    try:
        yield log, traffic
    finally:
        broker.resume()
        log.close()


def freezing(broker: LocalBroker, step: str) -> tuple[str, ...]:
    """What launches a daemon that freezes its broker at this step of its second commit."""
    return strike.launcher(step, 2, signal.SIGSTOP, broker.pid)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("frozen_s", [1.0, pytest.param(TRANSACTION_S + 10.0, marks=pytest.mark.soak)])
def test_a_broker_that_was_frozen_is_waited_for_and_nothing_is_lost(
    frozen_s: float, client: str, tmp_path: Path, broker: LocalBroker, prefix: str
) -> None:
    told, in_transaction = configure(tmp_path, broker.address, prefix, client), freezing(broker, "after the messages")
    with (
        flow(broker, prefix) as (log, traffic),
        running(tmp_path, told, launcher=in_transaction, wait=False) as daemon,
    ):
        until(lambda: frozen(broker.pid), "the broker to be frozen")
        time.sleep(frozen_s)
        assert daemon.get("/healthz")[0] == 200
        if frozen_s > TRANSACTION_S:
            assert "log" in daemon.unready_because()
        broker.resume()
        began, seen = time.monotonic(), traffic.answers()
        daemon.wait_ready()
        until(lambda: traffic.answers() > seen + 5, "more answers")
        print(f"{client}, {frozen_s:.0f} s frozen: answers again after {time.monotonic() - began:.1f} s")
        assert daemon.drain() == 0
        whole_at_the_end(tmp_path, told, prefix, log, traffic)


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("confluent", marks=pytest.mark.soak)])
def test_a_second_sigterm_ends_a_daemon_whose_broker_is_frozen_at_once(
    client: str, tmp_path: Path, broker: LocalBroker, prefix: str
) -> None:
    told, in_transaction = configure(tmp_path, broker.address, prefix, client), freezing(broker, "after the offsets")
    with (
        flow(broker, prefix) as (log, traffic),
        running(tmp_path, told, launcher=in_transaction, wait=False) as daemon,
    ):
        until(lambda: frozen(broker.pid), "the broker to be frozen")
        daemon.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert daemon.running(), daemon.said
        assert daemon.drain() == 1
        broker.resume()
        whole_at_the_end(tmp_path, told, prefix, log, traffic)


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("step", strike.PUBLISHED[:3])
def test_sigterm_ends_a_daemon_whose_broker_is_frozen_and_the_next_one_goes_on(
    step: str, client: str, tmp_path: Path, broker: LocalBroker, prefix: str
) -> None:
    told = configure(tmp_path, broker.address, prefix, client)
    with (
        flow(broker, prefix) as (log, traffic),
        running(tmp_path, told, launcher=freezing(broker, step), wait=False) as daemon,
    ):
        until(lambda: frozen(broker.pid), "the broker to be frozen")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(ENDS_S) == 0
        print(f"{client}, {step}: ended after {time.monotonic() - began:.1f} s")
        assert "the next start goes on from there" in daemon.said
        broker.resume()
        whole_at_the_end(tmp_path, told, prefix, log, traffic)


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
def test_a_daemon_that_was_frozen_alone_for_longer_than_a_transaction_goes_on_by_itself(
    client: str, tmp_path: Path, broker: LocalBroker, prefix: str
) -> None:
    """As when its machine sleeps: the broker has ended the transaction, and there is no successor."""
    told = configure(tmp_path, broker.address, prefix, client)
    itself = strike.launcher("after the messages", 2, signal.SIGSTOP)
    with flow(broker, prefix) as (log, traffic), running(tmp_path, told, launcher=itself, wait=False) as daemon:
        until(lambda: frozen(daemon.pid), "the daemon to be frozen")
        time.sleep(TRANSACTION_S + 15.0)  # brokers look for such transactions every ten seconds
        seen = traffic.answers()
        daemon.signal(signal.SIGCONT)
        until(lambda: traffic.answers() > seen + 20, "more answers")
        assert daemon.drain() == 0
        whole_at_the_end(tmp_path, told, prefix, log, traffic)


def whole_at_the_end(folder: Path, told: str, name: str, log: KafkaLog, traffic: Traffic) -> None:
    all_is_whole_at_the_end(folder, f"{name}.db", log, lambda: DaemonProcess(folder, told), traffic, LINEAR)
