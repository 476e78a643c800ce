"""Events and labels that flow while a daemon is killed again and again, and what has to have come of them at the end.

A labeler answers what `queries` asks. Some labels come with features before any event (a warm start), some are given
anew later with another answer. All that was given is written down, so that it can be compared with what was learned.
"""

from __future__ import annotations

import json
import os
import random
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.end_to_end.daemon_process import lines

WARM = 20
LAST = "last"  # an id
BACK_MS = 500  # a broker that was away is found within this time
FLUSH_S = 110.0  # a broker may be frozen for a minute; before the producer itself gives up
BURST, PAUSE_S = 8, 0.05
REPLACED_SHARE = 0.1


class Log(ABC):
    """The topics, as seen by those who write events and labels and read queries."""

    @abstractmethod
    def send(self, role: str, id: str, value: dict[str, Any]) -> None: ...

    @abstractmethod
    def flush(self) -> None:
        """What was sent is there."""

    @abstractmethod
    def queries(self) -> list[dict[str, Any]]:
        """Those published since the last call."""

    @abstractmethod
    def all(self, role: str) -> list[dict[str, Any]]:
        """All that was published."""


@final
class FilesLog(Log):
    """An embedded log. Now and then a line is written in two parts."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._random, self._read = folder, random.Random(seed), 0
        folder.mkdir(parents=True, exist_ok=True)

    def send(self, role: str, id: str, value: dict[str, Any]) -> None:
        line = json.dumps(value).encode() + b"\n"
        cut = self._random.randrange(len(line)) if self._random.random() < 0.2 else 0
        file = os.open(self._folder / f"{role}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            for part in filter(None, (line[:cut], line[cut:])):
                os.write(file, part)
        finally:
            os.close(file)

    def flush(self) -> None: ...

    def queries(self) -> list[dict[str, Any]]:
        path = self._folder / "queries.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def all(self, role: str) -> list[dict[str, Any]]:
        path = self._folder / f"{role}.jsonl"
        assert not path.exists() or path.read_bytes()[-1:] in (b"", b"\n"), f"{path.name} ends in half a line"
        return lines(path)


@final
class KafkaLog(Log):
    """Topics on a broker; queries are read as committed."""

    def __init__(self, address: str, topics: dict[str, str]) -> None:
        self._address, self._topics = address, topics
        self._producer = KafkaProducer(
            bootstrap_servers=address, linger_ms=5, enable_idempotence=True, reconnect_backoff_max_ms=BACK_MS
        )
        self._consumer = self._reader("queries")

    def _reader(self, role: str) -> Any:
        consumer = KafkaConsumer(
            bootstrap_servers=self._address,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            reconnect_backoff_max_ms=BACK_MS,
        )
        consumer.assign([TopicPartition(self._topics[role], 0)])
        return consumer

    def send(self, role: str, id: str, value: dict[str, Any]) -> None:
        self._producer.send(self._topics[role], key=id.encode(), value=json.dumps(value).encode())

    def flush(self) -> None:
        self._producer.flush(FLUSH_S)

    def queries(self) -> list[dict[str, Any]]:
        self.flush()
        return _values(self._consumer.poll(timeout_ms=20))

    def all(self, role: str) -> list[dict[str, Any]]:
        consumer, found = self._reader(role), []
        partition = TopicPartition(self._topics[role], 0)
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            found += _values(consumer.poll(timeout_ms=500))
        consumer.close()
        return found

    def close(self) -> None:
        self._producer.close(timeout=5)
        self._consumer.close()


def _values(polled: dict[Any, list[Any]]) -> list[dict[str, Any]]:
    return [json.loads(each.value) for batch in polled.values() for each in batch]


@final
class Traffic:
    """Writes from its own thread, from `start` to `stop`; after `no_more_events` it only answers."""

    def __init__(self, log: Log, seed: int) -> None:
        self._log, self._random = log, random.Random(seed)
        self.events: dict[str, dict[str, Any]] = {}
        self.given: dict[str, bool] = {}  # id → the last label given
        self.replaced = 0
        self.fault: BaseException | None = None
        self._ending, self._ended, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        for i in range(WARM):
            x = self._x()
            self._label(f"warm-{i}", x, x=x)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def interrupt(self) -> None:
        """What was sent is there, and nothing more comes until it goes on."""
        assert self._thread is not None
        self._stop.set()
        self._thread.join(30)
        self._log.flush()
        assert self.fault is None, self.fault

    def go_on(self, log: Log) -> None:
        """With new clients: the old ones may not survive what happened to the broker (kafka-python 3.0.12 does not)."""
        self._log = log
        self._stop.clear()
        self.start()

    def no_more_events(self) -> None:
        """The last one has been sent when this returns: it may be asked about after all before it were answered."""
        self._ending.set()
        while self._thread is not None and self._thread.is_alive() and not self._ended.wait(PAUSE_S):
            ...
        self._log.flush()

    def answers(self) -> int:
        """How many ids have a label."""
        assert self.fault is None, self.fault
        return len(self.given)

    def stop(self) -> None:
        """Nothing more comes. Once the last label is learned, everything before it has been read in both topics."""
        self.interrupt()
        self.events[LAST] = self._x()
        self._label(LAST, self.events[LAST])
        self._log.send("events", LAST, {"id": LAST, "x": self.events[LAST]})
        self._log.flush()

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE_S):
                ending = self._ending.is_set()
                for _ in range(0 if ending else BURST):
                    id = f"event-{len(self.events)}"
                    self.events[id] = x = self._x()
                    self._log.send("events", id, {"id": id, "x": x})
                for query in self._log.queries():
                    if query["id"] not in self.given:  # new clients read from the beginning
                        self._label(query["id"], self.events[query["id"]])
                if self._random.random() < REPLACED_SHARE * 5 and not ending:
                    id = self._random.choice(sorted(self.given.keys() & self.events.keys()) or ["warm-0"])
                    if id in self.events:
                        self._label(id, self.events[id], replace=True)
                if ending:
                    self._ended.set()
        except BaseException as fault:
            self.fault = fault

    def _x(self) -> dict[str, Any]:
        numbers = {name: round(self._random.gauss(0, 1), 3) for name in ("a", "b", "c")}
        return numbers | {"kind": self._random.choice(["red", "green", "blue"])}

    def _label(self, id: str, about: dict[str, Any], x: dict[str, Any] | None = None, replace: bool = False) -> None:
        score = about["a"] - about["b"] + (about["kind"] == "red") + self._random.gauss(0, 0.5)
        self.replaced += replace
        self.given[id] = not self.given[id] if replace else score > 0.3
        self._log.send("labels", id, {"id": id, "y": self.given[id]} | ({"x": x} if x else {}))
