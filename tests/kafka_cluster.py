"""Three Kafka nodes on one machine: what is written is on all of them, and two have to have it."""

from __future__ import annotations

import threading
from typing import final

from kafka import KafkaAdminClient

from tests.kafka_broker import LocalBroker, free_ports

NODES = 3
PROPERTIES = """
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


@final
class LocalCluster:
    """Nodes that a test may stop, kill and start again, in `nodes`; the topics that it makes have three replicas."""

    def __init__(self) -> None:
        ports, controllers = free_ports(NODES), free_ports(NODES)
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(controllers, start=1))
        self.address = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.nodes = [
            LocalBroker(PROPERTIES.format(node=node, voters=voters, port=port, controller=controller))
            for node, (port, controller) in enumerate(zip(ports, controllers, strict=True), start=1)
        ]

    def start(self) -> LocalCluster:
        """All at once: a node serves when there is a majority."""
        starts = [threading.Thread(target=node.start) for node in self.nodes]
        for each in starts:
            each.start()
        for each in starts:
            each.join()
        return self

    def make_topics(self, *names: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        wanted = {name: {"num_partitions": 1, "replication_factor": NODES} for name in names}
        admin.create_topics(wanted, timeout_ms=30_000, wait_for_metadata=True)
        admin.close()

    def leader(self, topic: str) -> LocalBroker:
        """The node that leads the topic's one partition."""
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        (told,) = admin.describe_topics([topic])
        admin.close()
        return self.nodes[told["partitions"][0]["leader_id"] - 1]

    def discard(self) -> None:
        for node in self.nodes:
            node.discard()
