"""What the Kafka source and sink share: settings, connecting, and whose fault an error is.

The client library raises some hundred kinds of errors, logs a good deal, and waits without a limit in places. Here each
of its errors becomes one of four that the daemon knows (`fault`): another daemon has taken over, the operator has to
change something, store and log do not fit together, or the broker is away and will come back, which is the rule. What
may hang is called under a deadline (`within`). `[kafka.settings]` goes to the library as it is, save what the promises
rest on; secrets in it are struck from every text.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, final

import kafka.errors as kafka_errors
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streamlearn import config
from streamlearn.edges import kafka_probe, secrets
from streamlearn.edges.kafka_security import Security
from streamlearn.errors import CannotStart, ConfigurationError, Fenced, StreamlearnError, Unavailable
from streamlearn.service.ports import Position

T = TypeVar("T")

CONSUMER_API = (4, 1)  # the newest protocol that the consumer speaks: given, so that its constructor does not connect
CONNECT_S = 4.0  # the longest that finding the cluster may take; the daemon backs off and tries again
RECONNECT_MS = 1000  # a broker that returns is found within this time (the library's own limit is 30 s)

# What exactly-once rests on, or what has its own key; never taken from [kafka.settings].
# fmt: off
RESERVED = frozenset({
    "acks", "allow_auto_create_topics", "api_version", "auto_offset_reset", "bootstrap_servers",
    "bootstrap_timeout_ms", "delivery_timeout_ms", "enable_auto_commit", "enable_idempotence", "group_id",
    "group_instance_id", "isolation_level", "kafka_client", "key_deserializer", "key_serializer", "max_block_ms",
    "max_poll_records", "partitioner", "retries", "selector", "transaction_timeout_ms", "transactional_id",
    "value_deserializer", "value_serializer",
})
# fmt: on

FENCED = (
    kafka_errors.ProducerFencedError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.TransactionCoordinatorFencedError,
)
OPERATORS = (
    kafka_errors.AuthorizationError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.KafkaConfigurationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.SecurityDisabledError,
    kafka_errors.UnsupportedSaslMechanismError,
)
TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
LOST = (
    kafka_errors.LogTruncationError,
    kafka_errors.NoOffsetForPartitionError,
    kafka_errors.OffsetOutOfRangeError,
)


@final
class LastCause(logging.Handler):
    """Keeps the last error that the library logged: when it retries until a deadline, only this tells why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.error: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        for each in record.args or ():
            if isinstance(each, Exception) and not isinstance(each, kafka_errors.KafkaTimeoutError):
                self.error = each


_cause = LastCause()


def silence() -> None:
    """Keep the library's own log lines to ourselves: faults are reported once, by the daemon."""
    log = logging.getLogger("kafka")
    log.propagate = False
    log.setLevel(logging.WARNING)
    if _cause not in log.handlers:
        log.addHandler(_cause)


def check(kafka: config.Kafka) -> None:
    """Refuse settings that the library does not know, or that are not the operator's to set."""
    known = set(KafkaProducer.DEFAULT_CONFIG) | set(KafkaConsumer.DEFAULT_CONFIG)
    for key in kafka.settings:
        if key in RESERVED:
            raise ConfigurationError(f"kafka.settings.{key} is set by streamlearn itself; remove it")
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known - RESERVED), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"kafka.settings.{key} is not a setting of {kafka.client}{hint}")
    Security(kafka).check()


def build(client: type[Any], kafka: config.Kafka, own: dict[str, object]) -> Any:
    """A client of this class. The operator's settings go before ours in `own`, where they are not reserved."""
    silence()
    check(kafka)
    settings = {key: value for key, value in kafka.settings.items() if key in client.DEFAULT_CONFIG}
    reserved = {"bootstrap_servers": [each.strip() for each in kafka.bootstrap_servers.split(",")]}
    try:
        return client(
            **{"metrics_enabled": False, "reconnect_backoff_max_ms": RECONNECT_MS, **own, **settings, **reserved}
        )
    except (kafka_errors.KafkaConfigurationError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        text = f"kafka.settings or kafka.bootstrap_servers is refused by {kafka.client}: {error}"
        raise ConfigurationError(scrub(text, kafka)) from None


def connect(kafka: config.Kafka, **own: object) -> Any:
    """A consumer that has found the cluster."""
    _cause.error = None
    consumer = build(KafkaConsumer, kafka, {"api_version": CONSUMER_API, "allow_auto_create_topics": False, **own})
    try:
        within(CONNECT_S + 1.0, lambda: consumer.bootstrap(timeout_ms=int(1000 * CONNECT_S)))
    except (kafka_errors.KafkaError, OSError) as error:
        close(consumer)
        # The library tries again until the time is up, and then tells that it is: the reason is in its log.
        raise kafka_probe.diagnose(kafka) or fault(_cause.error or error, kafka, "cannot connect") from None
    return consumer


def close(consumer: Any) -> None:
    """End a consumer, whatever state it is in."""
    with suppress(kafka_errors.KafkaError, OSError):
        within(2.0, lambda: consumer.close(autocommit=False, timeout_ms=1000))


def partitions(
    consumer: Any, kafka: config.Kafka, role: str, topic: str, timeout_s: float
) -> dict[Position, TopicPartition]:
    """The partition of every position of an input; `Unavailable` while its topic does not exist."""
    numbers = within(timeout_s, partial(consumer.partitions_for_topic, topic))
    if not numbers:
        raise missing(role, topic, kafka)
    return {(role, number): TopicPartition(topic, number) for number in sorted(numbers)}


def missing(role: str, topic: str, kafka: config.Kafka) -> Unavailable:
    text = f"topic '{topic}' does not exist on {kafka.bootstrap_servers}; create it or set topics.{role}"
    return Unavailable(scrub(text, kafka))


def within(timeout_s: float, call: Callable[[], T]) -> T:
    """What `call` returns, if it does so in time; else its thread stays behind, and the caller discards the client."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to the caller, whatever it is
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True, name="streamlearn-kafka").start()
    try:
        return outcome.result(max(timeout_s, 0.0))
    except TimeoutError:
        raise kafka_errors.KafkaTimeoutError(f"no answer for {timeout_s:.3g} s") from None


def fault(error: Exception, kafka: config.Kafka, doing: str) -> StreamlearnError:
    """The same error by whose fault it is, in one line without secrets. `doing` says what could not be done."""
    if isinstance(error, StreamlearnError):
        return error
    kind = type(error).__name__
    said = str(error) if str(error).startswith(kind) else f"{kind}: {error}"  # some name themselves
    text = scrub(f"Kafka at {kafka.bootstrap_servers}: {doing}: {said}", kafka)
    if isinstance(error, FENCED):
        return Fenced("another daemon of the same name has taken over; stop one, or give it its own name and store")
    if isinstance(error, OPERATORS):
        return ConfigurationError(
            f"{text}; see kafka.settings.security_protocol and kafka.settings.sasl_*, and the ACLs"
        )
    if isinstance(error, TOO_LARGE):
        return ConfigurationError(f"{text}; raise max.message.bytes of the output topics")
    if isinstance(error, LOST):
        return CannotStart(f"{text}; the log no longer holds what the store is to read next: use a new name and store")
    return Unavailable(text)


@contextmanager
def faults(kafka: config.Kafka, doing: str) -> Iterator[None]:
    """Turn the library's errors into ours. The chain is cut: the library's texts may hold what ours may not."""
    try:
        yield
    except (kafka_errors.KafkaError, OSError) as error:
        raise fault(error, kafka, doing) from None


def scrub(text: str, kafka: config.Kafka) -> str:
    """The text on one line, without the values of secret settings."""
    return " ".join(secrets.hide(text, kafka.settings).split())
