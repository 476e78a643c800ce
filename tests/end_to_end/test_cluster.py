"""Three nodes: leaders that are killed and come back, and the whole cluster started again, while a daemon learns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streamlearn.config import Configuration
from tests.edges.kafka.world import CLIENTS
from tests.end_to_end.conftest import ROLES
from tests.end_to_end.daemon_process import DaemonProcess, command, running, until
from tests.end_to_end.kills import all_is_whole_at_the_end
from tests.end_to_end.test_kill_kafka import configure
from tests.end_to_end.traffic import KafkaLog, Traffic
from tests.kafka_cluster import LocalCluster

pytestmark = [pytest.mark.kafka, pytest.mark.soak]
MORE, PATIENCE_S = 40, 120.0  # labels that are learned between two faults


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    cluster = LocalCluster()
    try:
        yield cluster.start()
    finally:
        cluster.discard()


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_leaders_are_killed_and_the_cluster_is_started_again(
    client: str, tmp_path: Path, cluster: LocalCluster, prefix: str
) -> None:
    topics = {role: f"{prefix}-{role}" for role in ROLES}
    cluster.make_topics(*topics.values())
    configuration = configure(tmp_path, cluster.address, prefix, client)
    log = KafkaLog(cluster.address, topics)
    traffic, daemon, times = Traffic(log, seed=1), DaemonProcess(tmp_path, configuration).wait_ready(), []
    traffic.start()

    def learned() -> float:
        assert daemon.running(), daemon.said
        return daemon.metrics()['streamlearn_examples{role="train"}']

    def goes_on(what: str) -> None:
        """With new clients of the traffic's own, which may not survive what the daemon has to."""
        nonlocal log
        log = KafkaLog(cluster.address, topics)
        traffic.go_on(log)
        before, began = learned(), time.monotonic()
        until(lambda: learned() > before, f"a label after {what}", PATIENCE_S)
        times.append((time.monotonic() - began, what))
        until(lambda: learned() >= before + MORE, f"labels after {what}", PATIENCE_S)

    until(lambda: learned() >= MORE, "the first labels", PATIENCE_S)
    for role in ("labels", "queries", "events"):
        traffic.interrupt()
        node = cluster.leader(topics[role])
        node.kill()
        goes_on(f"the leader of {role} was killed")
        node.start()
    traffic.interrupt()
    for node in cluster.nodes:
        node.stop()
    cluster.start()
    goes_on("the cluster was started again")
    daemon.kill()
    print(client, *(f"{what}: {seconds:.1f} s" for seconds, what in times), sep="\n")
    start = lambda: DaemonProcess(tmp_path, configuration)  # noqa: E731  # as the other tests have it
    all_is_whole_at_the_end(tmp_path, f"{prefix}.db", log, start, traffic, Configuration())
    log.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_topics_are_created_with_a_replica_on_each_node(
    client: str, tmp_path: Path, cluster: LocalCluster, prefix: str
) -> None:
    configuration = configure(tmp_path, cluster.address, prefix, client)
    create = ("--set", "kafka.create_topics=true", "--set")
    refused = command(tmp_path, "run", configuration, "--set", "http.port=-1", *create, "kafka.replication=4")
    assert refused.returncode == 2
    assert "set kafka.replication to at most the number of brokers" in refused.stderr
    with running(tmp_path, configuration, *create, "kafka.replication=3") as daemon:
        log = KafkaLog(cluster.address, {role: f"{prefix}-{role}" for role in ROLES})
        log.send("labels", "a", {"id": "a", "y": True, "x": [1.0]})
        until(lambda: daemon.metrics()["streamlearn_labels_total"] == 1, "a label", PATIENCE_S)
        assert daemon.drain() == 0
        log.close()
    admin = KafkaAdminClient(bootstrap_servers=cluster.address)
    made = admin.describe_topics([f"{prefix}-{role}" for role in ROLES])
    admin.close()
    assert [{1, 2, 3}] * len(ROLES) == [set(each["partitions"][0]["replica_nodes"]) for each in made]
