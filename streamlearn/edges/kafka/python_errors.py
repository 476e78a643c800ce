"""kafka-python's errors: whose fault they are, and the reason where one only says that something did not happen."""

from __future__ import annotations

import logging
import time
from typing import final

import kafka.errors as kafka_errors

from streamlearn.edges.kafka.client import Whose

SUCCESSORS = (
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
LIMITS = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
LOGS = (kafka_errors.LogTruncationError, kafka_errors.NoOffsetForPartitionError, kafka_errors.OffsetOutOfRangeError)
CLOCKS = (kafka_errors.InvalidTimestampError,)
WHOSE = {
    Whose.SUCCESSORS: SUCCESSORS,
    Whose.OPERATORS: OPERATORS,
    Whose.LIMITS: LIMITS,
    Whose.LOGS: LOGS,
    Whose.CLOCKS: CLOCKS,
}


@final
class LastCause(logging.Handler):
    """Keeps the last error that the library logged: when it retries until a deadline, only this tells why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.error: Exception | None = None
        self.at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        for each in record.args or ():
            if isinstance(each, Exception) and not isinstance(each, kafka_errors.KafkaTimeoutError):
                self.error, self.at = each, time.monotonic()

    def since(self, when: float) -> Exception | None:
        return self.error if self.at >= when else None


CAUSE = LastCause()


def silence() -> None:
    """Keep the library's own log lines to ourselves: faults are reported once, by the daemon."""
    log = logging.getLogger("kafka")
    log.propagate = False
    log.setLevel(logging.WARNING)
    if CAUSE not in log.handlers:
        log.addHandler(CAUSE)


def whose(error: Exception) -> Whose:
    return next((whose for whose, kinds in WHOSE.items() if isinstance(error, kinds)), Whose.WORLDS)


def says(error: Exception) -> str:
    kind = type(error).__name__
    return str(error) if str(error).startswith(kind) else f"{kind}: {error}"  # some name themselves
