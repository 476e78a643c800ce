"""What each topic has to be: created so where the configuration says so, and looked at where it is there already.

Labels and queries are what a store can be rebuilt from, so they are kept for ever. Models are compacted: only the newest is
of use. Nothing else may be: an event that is replaced before it was read is never learned from, and rejected records have
no key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

from streamlearn import config
from streamlearn.edges.kafka import admin as kafka_admin
from streamlearn.edges.kafka.admin import Admin, Refused, Topic
from streamlearn.edges.kafka.client import Client, scrub
from streamlearn.errors import ConfigurationError, StreamlearnError, Unavailable
from streamlearn.service.ports import CANDIDATES, EVENTS, LABELS, MODELS, PREDICTIONS, QUERIES, REJECTED

MESSAGE_BYTES = 1 << 20  # the largest that is published; Kafka's own limit is a little above
DELETE, FOREVER = {"cleanup.policy": "delete"}, {"retention.ms": "-1", "retention.bytes": "-1"}

# The settings that each topic is created with.
SETTINGS: dict[str, dict[str, str]] = {
    EVENTS: DELETE,
    CANDIDATES: DELETE,
    LABELS: DELETE | FOREVER,
    QUERIES: DELETE | FOREVER,
    PREDICTIONS: DELETE,
    REJECTED: DELETE,
    MODELS: {"cleanup.policy": "compact"},
}
UNREAD = "records of one key replace each other unread"
HARM = {  # of another cleanup.policy
    LABELS: "older labels of an id are lost",
    MODELS: "models add up, or the newest is gone when it is old",
}
READ, KEPT = (EVENTS, LABELS), (LABELS, QUERIES)
DAY_MS, WEEK_MS = 86_400_000, 604_800_000  # events should outlast a daemon that is down; a week is Kafka's own default

log = logging.getLogger("streamlearn")


class Problem(NamedTuple):
    """What is wrong with a topic, and what to do. fatal: the daemon cannot work so."""

    role: str
    fatal: bool
    text: str
    fix: str


def named(topics: config.Topics) -> dict[str, str]:
    """Role → topic, of all that are not switched off."""
    names = {role: str(getattr(topics, role)) for role in SETTINGS}
    return {role: name for role, name in names.items() if name}


def prepare(topics: config.Topics, client: Client) -> None:
    """Create what is missing, if that is asked for; log what may do harm. Raises the daemon's errors for what does."""
    kafka, names = client.kafka, named(topics)
    with client.admin() as admin:
        found = admin.topics(list(names.values()))
        if kafka.create_topics:
            missing = {role: name for role, name in names.items() if name not in found}
            if missing:
                _create(kafka, missing, admin)
                found = admin.topics(list(names.values()))
    for role, name in names.items():
        if name not in found:
            continue  # who opens it says so, after having waited for a broker that creates it by itself
        for problem in problems(role, name, found[name]):
            text = scrub(f"{problem.text}; {problem.fix}", kafka)
            if problem.fatal:
                raise ConfigurationError(text)
            log.warning("%s", text, extra={"action": "topic", "topic": name})


def _create(kafka: config.Kafka, missing: dict[str, str], admin: Admin) -> None:
    wanted = {name: SETTINGS[role] for role, name in missing.items()}
    refused = admin.create(wanted, kafka.partitions or -1, kafka.replication or -1)
    for role, name in missing.items():
        if name in refused:
            raise _fault(kafka, role, name, refused[name])
        log.info("created the topic '%s'", name, extra={"action": "topic", "topic": name})


def _fault(kafka: config.Kafka, role: str, name: str, refused: Refused) -> StreamlearnError:
    text = f"topic '{name}' cannot be created: {refused.text}"
    if refused.code == kafka_admin.BAD_REPLICATION:
        return ConfigurationError(scrub(f"{text}; set kafka.replication to at most the number of brokers", kafka))
    if refused.code == kafka_admin.BAD_PARTITIONS:
        return ConfigurationError(scrub(f"{text}; set kafka.partitions", kafka))
    if refused.code in kafka_admin.RIGHTS:
        fix = "grant Create on it or on the cluster, or create it and set kafka.create_topics = false"
        return ConfigurationError(scrub(f"{text}; {fix}", kafka))
    if refused.code in kafka_admin.OPERATORS:
        return ConfigurationError(scrub(f"{text}; create it as the cluster wants it, or set topics.{role}", kafka))
    return Unavailable(scrub(text, kafka))


def problems(role: str, name: str, topic: Topic) -> Iterator[Problem]:
    """All that can be seen of a topic that is there."""
    right = "READ" if role in READ else "WRITE"
    if topic.denied or (topic.rights is not None and right not in topic.rights):
        verb, needs = ("read", "Read") if role in READ else ("write to", "Write")
        yield Problem(
            role, True, f"topic '{name}': this user may not {verb} it, or it does not exist" if topic.denied
            else f"topic '{name}': this user may not {verb} it", f"grant {needs} on it, or set topics.{role}",
        )  # fmt: skip
        return
    settings = topic.settings
    policy = settings.get("cleanup.policy", SETTINGS[role]["cleanup.policy"])
    if ("compact" in policy) is not (role == MODELS):
        wanted = SETTINGS[role]["cleanup.policy"]
        fix = f"kafka-configs.sh --alter --topic {name} --add-config cleanup.policy={wanted}"
        yield Problem(role, False, f"topic '{name}' has cleanup.policy={policy}: {HARM.get(role, UNREAD)}", fix)
    if role in KEPT:
        yield from _kept(role, name, settings)
    if role == EVENTS and 0 <= int(settings.get("retention.ms", WEEK_MS)) < DAY_MS:
        kept_s = int(settings["retention.ms"]) // 1000
        text = f"topic '{name}' keeps events for {kept_s} s: a daemon that is down or behind for longer never sees them"
        fix = f"kafka-configs.sh --alter --topic {name} --add-config retention.ms={WEEK_MS}"
        yield Problem(role, False, text, fix)
    if role not in READ:
        yield from _writable(role, name, topic)


def _kept(role: str, name: str, settings: dict[str, str]) -> Iterator[Problem]:
    for key, what in (("retention.ms", "ms"), ("retention.bytes", "bytes")):
        value = settings.get(key, "-1")
        if value != "-1":
            fix = f"kafka-configs.sh --alter --topic {name} --add-config {key}=-1"
            text = f"topic '{name}' has {key}={value}: {role} beyond {value} {what} are gone when a store is rebuilt"
            yield Problem(role, False, text, fix)


def _writable(role: str, name: str, topic: Topic) -> Iterator[Problem]:
    at_least = int(topic.settings.get("min.insync.replicas", "1"))
    if at_least > topic.replicas:
        text = (
            f"topic '{name}' has min.insync.replicas={at_least} and {topic.replicas} replicas: nothing can be written"
        )
        fix = f"kafka-configs.sh --alter --topic {name} --add-config min.insync.replicas={topic.replicas}"
        yield Problem(role, False, text, fix)
    most = int(topic.settings.get("max.message.bytes", MESSAGE_BYTES))
    if most < MESSAGE_BYTES:
        text = f"topic '{name}' has max.message.bytes={most}: larger messages cannot be written and stop the daemon"
        fix = f"kafka-configs.sh --alter --topic {name} --add-config max.message.bytes={MESSAGE_BYTES}"
        yield Problem(role, False, text, fix)
