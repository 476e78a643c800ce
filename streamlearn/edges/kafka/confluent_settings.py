"""librdkafka's settings: which are not the operator's, and how a value is written."""

from __future__ import annotations

import re

from streamlearn.errors import ConfigurationError

UNKNOWN = re.compile(r'No such configuration property: "(.*)"')

# What exactly-once rests on, or what has its own key; never taken from [kafka.settings].
# fmt: off
RESERVED = frozenset({
    "acks", "allow.auto.create.topics", "auto.offset.reset", "bootstrap.servers", "debug", "delivery.timeout.ms",
    "enable.auto.commit", "enable.auto.offset.store", "enable.gapless.guarantee", "enable.idempotence",
    "enable.partition.eof", "error.cb", "group.id", "group.instance.id", "group.protocol", "isolation.level",
    "log.level", "log.queue", "logger", "max.in.flight", "max.in.flight.requests.per.connection", "message.max.bytes",
    "message.send.max.retries", "message.timeout.ms", "metadata.broker.list", "on.commit", "on.delivery",
    "partitioner", "request.required.acks", "retries", "stats.cb", "throttle.cb", "transaction.timeout.ms",
    "transactional.id",
})
# fmt: on


def text(key: str, value: object) -> str:
    if not isinstance(value, str | int | float):
        raise ConfigurationError(f"kafka.settings.{key} must be a text, a number, true or false")
    return str(value)
