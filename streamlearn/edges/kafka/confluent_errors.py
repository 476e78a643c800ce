"""librdkafka's errors: whose fault they are, and the reason where one only says that something did not happen."""

from __future__ import annotations

import time
from typing import final

from confluent_kafka import KafkaError, KafkaException

from streamlearn.edges.kafka.client import Whose

SUCCESSORS = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.TRANSACTION_COORDINATOR_FENCED,
}
OPERATORS = {
    KafkaError._AUTHENTICATION,
    KafkaError._INVALID_ARG,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.SECURITY_DISABLED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
LIMITS = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
LOGS = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError._LOG_TRUNCATION,
    KafkaError._NO_OFFSET,
    KafkaError.OFFSET_OUT_OF_RANGE,
}
CLOCKS = {KafkaError.INVALID_TIMESTAMP}
WHOSE = {
    Whose.SUCCESSORS: SUCCESSORS,
    Whose.OPERATORS: OPERATORS,
    Whose.LIMITS: LIMITS,
    Whose.LOGS: LOGS,
    Whose.CLOCKS: CLOCKS,
}
ABSENT = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.LEADER_NOT_AVAILABLE}
MOVING = {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
SILENT = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._PURGE_QUEUE,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}


@final
class LastCause:
    """Keeps the last error that the library met on its own."""

    def __init__(self) -> None:
        self._error: KafkaError | None = None
        self._at = 0.0

    def __call__(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._error, self._at = error, time.monotonic()

    def since(self, when: float) -> Exception | None:
        return KafkaException(self._error) if self._error is not None and self._at >= when else None


def is_silent(error: Exception) -> bool:
    """Whether an error tells only that something did not happen in time."""
    return not isinstance(error, KafkaException) or error.args[0].code() in SILENT


def whose(error: Exception) -> Whose:
    code = error.args[0].code() if isinstance(error, KafkaException) else None
    return next((each for each, codes in WHOSE.items() if code in codes), Whose.WORLDS)


def says(error: Exception) -> str:
    if isinstance(error, KafkaException):
        return f"{error.args[0].name()}: {error.args[0].str()}"
    return f"{type(error).__name__}: {error}"
