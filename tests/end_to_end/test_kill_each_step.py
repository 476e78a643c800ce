"""kill −9 at each step of the commit order, on a real broker, and again while the next daemon recovers from it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.end_to_end import strike
from tests.end_to_end.daemon_process import DaemonProcess, until
from tests.end_to_end.kills import LINEAR, all_is_whole_at_the_end, restored, what_is_restored
from tests.end_to_end.test_kill_kafka import ROLES, configure
from tests.end_to_end.traffic import KafkaLog, Traffic

pytestmark = pytest.mark.kafka

IN_FLOW, RECOVERING = 2, 0
# Each one finds what the one before has left: from "before the publication" to "before the outbox is cleared" the same commit.
EVERY_STEP = (
    *((step, IN_FLOW) for step in strike.STORED),
    *((step, RECOVERING) for step in (*strike.PUBLISHED[:3], "before the outbox is cleared")),
    *((step, IN_FLOW) for step in strike.STEPS[3:]),
)
# To spare time, each step once, and of the other client what is its own: the soak has all of them for both.
EACH_ONCE = (
    *((step, IN_FLOW) for step in strike.STORED),
    *((step, RECOVERING) for step in (strike.PUBLISHED[1], "before the outbox is cleared")),
    *((step, IN_FLOW) for step in (strike.PUBLISHED[0], *strike.PUBLISHED[2:], "before the next poll")),
)
THE_CLIENTS = ((strike.PUBLISHED[1], IN_FLOW), *((step, RECOVERING) for step in strike.PUBLISHED[2:]))
KEPT_BACK = {"before the publication", *strike.PUBLISHED[:3]}  # steps at which the store is one commit ahead of Kafka


@pytest.fixture
def log(kafka: str, fresh_topics: Callable[..., dict[str, str]]) -> Iterator[KafkaLog]:
    log = KafkaLog(kafka, fresh_topics(**dict.fromkeys(ROLES, 1)))
    yield log
    log.close()


@pytest.mark.parametrize(
    ("client", "steps"),
    [
        ("kafka-python", EACH_ONCE),
        ("confluent", THE_CLIENTS),
        pytest.param("kafka-python", 5 * EVERY_STEP, marks=pytest.mark.soak),
        pytest.param("confluent", 5 * EVERY_STEP, marks=pytest.mark.soak),
    ],
    ids=["kafka-python", "confluent", "kafka-python-long", "confluent-long"],
)
def test_a_kill_at_each_step_of_a_commit_loses_and_doubles_nothing(
    client: str, steps: tuple[tuple[str, int], ...], tmp_path: Path, kafka: str, prefix: str, log: KafkaLog
) -> None:
    configuration, store, traffic = configure(tmp_path, kafka, prefix, client), f"{prefix}.db", Traffic(log, seed=11)
    traffic.start()
    for step, nth in steps:
        daemon = DaemonProcess(tmp_path, configuration, launcher=strike.launcher(step, nth))
        try:
            assert daemon.wait() == -signal.SIGKILL, f"{step}: {daemon.said}"
        finally:
            daemon.kill()
        number = what_is_restored(tmp_path, store, LINEAR, with_command=False)
        behind = 1 if step in KEPT_BACK else 0
        until(lambda: published(kafka, prefix) == number - behind, f"commit {number - behind} in Kafka, {step}")  # noqa: B023
        saved, _ = restored(tmp_path / store)
        assert bool(saved.outbox) == (
            step in KEPT_BACK or step in ("after Kafka's commit", "before the outbox is cleared")
        )
    all_is_whole_at_the_end(tmp_path, store, log, lambda: DaemonProcess(tmp_path, configuration), traffic, LINEAR)


def published(address: str, name: str) -> int:
    """The number of the last commit that Kafka has settled; what is in an open transaction does not count."""
    consumer = KafkaConsumer(bootstrap_servers=address, group_id=name, enable_auto_commit=False)
    try:
        found = consumer.committed(TopicPartition(f"{name}-events", 0), metadata=True)
        return 0 if found is None else int(found.metadata.rstrip("\0").rpartition(":")[2])
    finally:
        consumer.close(autocommit=False)
