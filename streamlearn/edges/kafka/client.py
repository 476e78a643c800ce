"""What differs between Kafka's client libraries, as three narrow classes: the rules are in `source.py` and `sink.py`.

A `Client` makes readers and writers, refuses settings that are not its library's, and says whose fault the library's
errors are. There are hundreds of those; the daemon knows four: another daemon has taken over, the operator has to change
something, store and log do not fit together, or the broker is away and will come back, which is the rule. A `Reader`
reads one topic by positions of its own; a `Writer` publishes transactions. Both raise what their library raises, which
callers turn into the daemon's errors by `Client.faults`. What may hang is called under a deadline (`within`).
"""

from __future__ import annotations

import difflib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar, final

from streamlearn import config
from streamlearn.edges import secrets
from streamlearn.edges.kafka import probe
from streamlearn.edges.kafka.admin import Admin
from streamlearn.edges.kafka.security import right
from streamlearn.errors import SUCCEEDED, CannotStart, ConfigurationError, Fenced, StreamlearnError, Unavailable
from streamlearn.service.ports import MODEL_BYTES, MODELS, RECORD_BYTES, Record

T = TypeVar("T")

CONNECT_S = 4.0  # the longest that finding the cluster may take; the daemon backs off and tries again
RECONNECT_MS = 1000  # a broker that returns is found within this time
FETCH_WAIT_MS = 100  # that a broker holds back an answer without records: other requests queue behind it
TRANSACTION_S = 60.0  # the broker ends a transaction after this time; our own deadline has to come before
REQUEST_BYTES = 8 << 20  # the broker, not the client, says which message is too large
KEPT_BYTES = 4096  # of a record that is too large
REFUSED = "kafka.settings or kafka.bootstrap_servers is refused by"


class Whose(Enum):
    """Whose fault an error is."""

    SUCCESSORS = "another daemon has taken over"
    OPERATORS = "rights and secrets"
    LIMITS = "a message is too large for the broker"
    LOGS = "the log no longer holds what is to be read"
    CLOCKS = "a message's time is refused: this machine's clock is not the broker's"
    WORLDS = "all else: the broker is away"


class Outgoing(NamedTuple):
    """One message to a topic."""

    topic: str
    key: bytes | None
    value: bytes


class Settled(NamedTuple):
    """What a group has committed of a partition."""

    offset: int
    metadata: str


class Reader(ABC):
    """A connection that reads. Partitions are numbers; one topic is read, others may be asked about."""

    @abstractmethod
    def partitions(self, topic: str, timeout_s: float) -> list[int]:
        """In order; [] where there is no such topic."""

    @abstractmethod
    def begins(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        """The first offset that each partition holds."""

    @abstractmethod
    def ends(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        """The offset after the last committed record of each partition."""

    @abstractmethod
    def committed(self, topic: str, partitions: Sequence[int], timeout_s: float) -> dict[int, Settled]:
        """What the reader's group has committed, settled offsets only, where there are any."""

    @abstractmethod
    def assign(self, role: str, topic: str, offsets: dict[int, int]) -> None:
        """Read these partitions from these offsets; records are told to be of this role."""

    @abstractmethod
    def poll(self, wait_s: float, most: int) -> list[Record]:
        """Committed records, as soon as there are any, else [] after so long."""

    @abstractmethod
    def position(self, partition: int) -> int:
        """The next offset that will be read: past the markers of transactions."""

    @abstractmethod
    def highwater(self, partition: int) -> int:
        """The end as the broker told it last, or 0."""

    @abstractmethod
    def cause(self, since: float) -> Exception | None:
        """The last error that the library met and kept to itself since then (monotonic time), while it tries again."""

    @abstractmethod
    def close(self) -> None:
        """End it, whatever state it is in."""


class Writer(ABC):
    """A transactional producer. After any fault it is to be closed: what it does later must not reach the broker."""

    @abstractmethod
    def take_over(self) -> None:
        """Fence older writers of the same name and abort what they have begun."""

    @abstractmethod
    def knows(self, topic: str, timeout_s: float) -> bool:
        """Whether the topic is there; asking creates it where brokers are set up to."""

    @abstractmethod
    def publish(self, messages: Iterable[Outgoing], offsets: dict[tuple[str, int], int], metadata: str) -> None:
        """One transaction: the messages, and these offsets of the group of its name with this metadata. All or nothing."""

    @abstractmethod
    def close(self) -> None:
        """End it at once, without sending anything more."""


class Client(ABC):
    """A client library, told how Kafka is reached. Raises ConfigurationError when it is made with wrong settings."""

    kafka: config.Kafka
    errors: tuple[type[Exception], ...]  # what the library raises
    rights: str  # the settings that rights depend on, by this library's names

    @abstractmethod
    def reader(self, name: str, group: str, *, with_offsets: bool = False) -> Reader:
        """A reader that has found the cluster; raises the daemon's errors. name: as brokers see it.

        with_offsets: whether the group will be asked for what it has committed; it is never joined.
        """

    @abstractmethod
    def writer(self, name: str, timeout_s: float) -> Writer:
        """A writer under this transactional id and group. timeout_s: the longest that a transaction may take."""

    @abstractmethod
    def whose(self, error: Exception) -> Whose: ...

    @abstractmethod
    def says(self, error: Exception) -> str:
        """The error's kind and text."""

    @abstractmethod
    def _admin(self) -> Admin:
        """A connection of an administrator's."""

    @contextmanager
    def admin(self) -> Iterator[Admin]:
        """The same, for as long as it is needed. Raises the daemon's errors."""
        made: Admin | None = None
        try:
            with self.faults("cannot look at the topics"):
                made = self._admin()
                yield made
        finally:
            if made is not None:
                made.close()

    def fault(self, error: Exception, doing: str) -> StreamlearnError:
        """The same error by whose fault it is, in one line without secrets. `doing` says what could not be done."""
        if isinstance(error, StreamlearnError):
            return error
        text = scrub(f"Kafka at {self.kafka.bootstrap_servers}: {doing}: {self.says(error)}", self.kafka)
        match self.whose(error):
            case Whose.SUCCESSORS:
                return Fenced(SUCCEEDED)
            case Whose.OPERATORS:
                return ConfigurationError(f"{text}; {right(text) or f'see {self.rights}, and the ACLs'}")
            case Whose.LIMITS:
                return ConfigurationError(f"{text}; raise max.message.bytes of the output topics")
            case Whose.LOGS:
                told = "the log no longer holds what the store is to read next: set kafka.lost, or `streamlearn run --rebuild`"
                return CannotStart(f"{text}; {told}")
            case Whose.CLOCKS:
                limits = "message.timestamp.*.max.ms of the output topics"
                return Unavailable(f"{text}; put this machine's clock right, or the broker's, or raise {limits}")
            case _:
                return Unavailable(text)

    def unreachable(self, error: Exception) -> StreamlearnError:
        """Why there is no cluster: what was seen, or else what the library says."""
        return probe.diagnose(self.kafka) or self.fault(error, "cannot connect")

    @contextmanager
    def faults(self, doing: str) -> Iterator[None]:
        """Turn the library's errors into ours. The chain is cut: the library's texts may hold what ours may not."""
        try:
            yield
        except self.errors as error:
            raise self.fault(error, doing) from None

    def missing(self, role: str, topic: str) -> Unavailable:
        at = self.kafka.bootstrap_servers
        return Unavailable(scrub(f"topic '{topic}' does not exist on {at}; create it or set topics.{role}", self.kafka))


def refuse_reserved(kafka: config.Kafka, reserved: Set[str]) -> None:
    """Refuse settings that exactly-once rests on, or that have a key of their own."""
    for key in kafka.settings:
        if key in reserved:
            raise ConfigurationError(f"kafka.settings.{key} is set by streamlearn itself; remove it")


def unknown(key: str, kafka: config.Kafka, known: Set[str]) -> ConfigurationError:
    near = difflib.get_close_matches(key, sorted(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigurationError(f"kafka.settings.{key} is not a setting of {kafka.client}{hint}")


def record(
    role: str, partition: int, offset: int, following: int, key: bytes | None, value: bytes | None, time_ms: int | None
) -> Record:
    """A record as read, cut where it is too large. time_ms: since 1970, as Kafka has it; none of before is one."""
    time = time_ms / 1000.0 if time_ms is not None and time_ms >= 0 else None
    size = len(key or b"") + len(value or b"")
    if size <= (MODEL_BYTES + RECORD_BYTES if role == MODELS else RECORD_BYTES):
        return Record(role, partition, offset, following, key, value, time=time)
    key, value = key and key[:KEPT_BYTES], value and value[:KEPT_BYTES]
    return Record(role, partition, offset, following, key, value, size, time=time)


@final
class Call(Generic[T]):
    """A call on a thread of its own, whose answer is waited for as long as its caller likes."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._answers: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()
        self.answered = False  # whether the answer was handed out, be it an error
        threading.Thread(target=_work, args=(call, self._answers), daemon=True, name="streamlearn-kafka").start()

    def answer(self, timeout_s: float) -> T:
        """Raises TimeoutError where it does not come in time; it may be asked for again then."""
        try:
            answer, error = self._answers.get(timeout=max(timeout_s, 0.0))
        except Empty:
            raise TimeoutError(f"no answer for {timeout_s:.3g} s") from None
        self.answered = True
        try:
            if error is not None:
                raise error
        finally:
            del error  # else it would keep this frame, and with it the client, until the next collection of garbage
        return answer[0]


def _work(call: Callable[[], T], answers: SimpleQueue[tuple[list[T], BaseException | None]]) -> None:
    try:
        answers.put(([call()], None))
    except BaseException as error:  # handed to the caller, whatever it is
        answers.put(([], error))


def within(timeout_s: float, call: Callable[[], T]) -> T:
    """What `call` returns, if it does so in time; else TimeoutError: its thread stays behind, the client is discarded."""
    return Call(call).answer(timeout_s)


def scrub(text: str, kafka: config.Kafka) -> str:
    """The text on one line, without the values of secret settings."""
    return secrets.line(text, kafka.settings)
