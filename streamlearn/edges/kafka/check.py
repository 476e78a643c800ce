"""What can be seen of a Kafka cluster without changing anything, in the order in which the daemon will need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from streamlearn.config import Configuration
from streamlearn.edges.findings import Finding
from streamlearn.edges.kafka import clients, probe
from streamlearn.edges.kafka import topics as kafka_topics
from streamlearn.edges.kafka.admin import Admin
from streamlearn.edges.kafka.client import Client, scrub
from streamlearn.edges.kafka.security import Security
from streamlearn.edges.kafka.sink import published
from streamlearn.edges.kafka.source import KafkaSource
from streamlearn.errors import CannotStart, StreamlearnError
from streamlearn.service.ports import Saved

ANSWER_S = 5.0


def cluster(configuration: Configuration) -> Iterator[Finding]:
    """The settings, the brokers and the topics. Ends at the first thing that nothing can be seen without."""
    kafka = configuration.kafka
    try:
        client = clients.client(kafka)
    except StreamlearnError as error:
        yield Finding(False, "kafka", str(error))
        return
    found = probe.diagnose(kafka)
    if found is not None:
        yield Finding(False, "log", str(found))
        return
    try:
        with client.admin() as admin:
            yield Finding(True, "log", scrub(f"Kafka at {kafka.bootstrap_servers} answers", kafka))
            yield from _brokers(admin, client)
            yield from _topics(configuration, admin)
            yield from _transactions(configuration)
    except StreamlearnError as error:
        yield Finding(False, "log", str(error), "look at the broker's log, and run this once more")


def _brokers(admin: Admin, client: Client) -> Iterator[Finding]:
    """Clients go on to where the brokers say that they are, which may be a name that only they know."""
    security = Security(client.kafka)
    if any(name in client.kafka.settings for name in probe.PROXIES):
        return
    for broker in admin.brokers():
        try:
            probe.look(broker.host, broker.port, security)
        except StreamlearnError as error:
            text = f"it says that it is at {broker.host}:{broker.port}, and {error}"
            hint = "correct advertised.listeners of that broker, or reach it by that name"
            yield Finding(False, f"broker {broker.number}", scrub(text, client.kafka), hint)


def _topics(configuration: Configuration, admin: Admin) -> Iterator[Finding]:
    names = kafka_topics.named(configuration.topics)
    found = admin.topics(list(names.values()))
    for role, name in names.items():
        subject = f"topic {role}"
        if name not in found:
            create = configuration.kafka.create_topics
            hint = f"kafka-topics.sh --create --topic {name}, or set topics.{role} or kafka.create_topics = true"
            text = f"'{name}' will be created" if create else f"'{name}' does not exist"
            yield Finding(create, subject, text, "" if create else hint)
            continue
        topic, fatal = found[name], False
        for problem in kafka_topics.problems(role, name, topic):
            fatal = fatal or problem.fatal
            yield Finding(False, subject, problem.text, problem.fix, harmless=not problem.fatal)
        if not fatal:
            unseen = "" if topic.settings else "; its settings are not shown to this user (grant DescribeConfigs)"
            yield Finding(True, subject, f"'{name}', partitions: {topic.partitions}{unseen}")


def _transactions(configuration: Configuration) -> Iterator[Finding]:
    name = configuration.name
    if not probe.may_publish(configuration.kafka, name):
        text = f"this user may not publish under the transactional id '{name}', which is the daemon's name"
        yield Finding(False, "transactions", text, "grant Write and Describe on it")


def agreement(configuration: Configuration, load: Callable[[], Saved | None]) -> Iterator[Finding]:
    """Whether log and store are of one history. load: the store as it is now, None where there is none."""
    name, topics = configuration.name, configuration.topics
    try:
        client = clients.client(configuration.kafka)
        with closing(client.reader(f"{name}-check", name, with_offsets=True)) as reader:

            def traces() -> list[str]:
                with client.faults(f"cannot see what the consumer group '{name}' has committed"):
                    return [
                        each.metadata
                        for topic in (topics.events, topics.labels)
                        for each in reader.committed(topic, reader.partitions(topic, ANSWER_S), ANSWER_S).values()
                    ]

            before, saved, after = traces(), load(), traces()
        store_id, number = (saved.store_id, saved.number) if saved else ("none", 0)
        _same_history(before, after, store_id, number, saved.replaces if saved else None)
        if saved is not None and saved.positions:
            with closing(KafkaSource(name, configuration.kafka, topics)) as source:
                source.open(saved.positions)
    except StreamlearnError as error:
        yield Finding(False, "store and log", str(error))
    else:
        yield Finding(True, "store and log", "they fit together")


def _same_history(before: list[str], after: list[str], store_id: str, number: int, replaces: str | None) -> None:
    """Raises CannotStart. A daemon that runs meanwhile commits: behind before and ahead after is no fault."""
    try:
        published(after, store_id, number, replaces)
    except CannotStart as error:
        with suppress(CannotStart):
            published(before, store_id, number, replaces)
            return
        if before == after:
            raise
        if store_id == "none":
            raise error from None
