"""The newest model on a topic of Kafka: read to the end of all partitions as they are now, committed records only.

Only the newest of a name is decoded, and it is refused where it is damaged: an older one may be worse than none. Where it is in
chunks and some are gone, a newer one is being published (`model_messages.py`), and reading goes on until that is there.
"""

from __future__ import annotations

import time
from typing import final
from urllib.parse import parse_qs, urlsplit

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka.client import Reader
from streamlearn.edges.model_files import chosen, damage
from streamlearn.errors import ConfigurationError, Unavailable
from streamlearn.service.model_messages import Heard
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.ports import MODELS, Record
from streamlearn.service.scoring_ports import Feed

ANSWER_S = 10.0
POLL_S, POLL_MOST = 0.2, 100


@final
class KafkaFeed(Feed):
    """Follows the models of a name."""

    def __init__(self, name: str, kafka: config.Kafka, topic: str) -> None:
        self._client, self._name, self._topic = clients.client(kafka), name, topic
        self._where = f"topic '{topic}' on {kafka.bootstrap_servers}"
        self._reader: Reader | None = None
        self._heard = Heard()
        self._told = (0, 0.0)

    def newer(self) -> ModelSnapshot | None:
        try:
            if not self._listen() or self._name not in self._heard.names:
                return None
            with damage(self._where):
                found = self._heard.newest(self._name)
        except Unavailable:
            self.close()  # all is read again: nobody knows what has been missed
            raise
        if found is None or (found.commit, found.time) == self._told:
            return None
        self._told = found.commit, found.time
        return found

    def _listen(self) -> bool:
        """Whether there was anything new to hear."""
        if self._reader is None:
            self._reader = self._client.reader(f"{self._name}-scorer-models", f"{self._name}-scorers")
            with self._client.faults(f"cannot read topic '{self._topic}'"):
                numbers = self._reader.partitions(self._topic, ANSWER_S)
                if not numbers:
                    raise self._client.missing(MODELS, self._topic)
                begins = self._reader.begins(self._topic, numbers, ANSWER_S)
                self._reader.assign(MODELS, self._topic, begins)
                _read_to_end(self._reader, self._topic, begins, self._name, self._heard, self._where)
            return True
        with self._client.faults(f"cannot read topic '{self._topic}'"):
            records = self._reader.poll(0.0, POLL_MOST)
        for record in records:
            _hear(self._heard, record, self._name)
        return bool(records)

    def close(self) -> None:
        reader, self._reader, self._heard = self._reader, None, Heard()
        if reader is not None:
            reader.close()


def read(url: str, name: str, kafka: config.Kafka) -> ModelSnapshot:
    """url: kafka://host:port,host:port/topic, with ?name=… or without."""
    told = urlsplit(url)
    topic, asked = told.path.strip("/"), parse_qs(told.query)
    if not told.netloc or not topic or "/" in topic or asked.keys() - {"name"}:
        raise ConfigurationError(f"{url} is not of the form kafka://host:port/topic?name=NAME")
    name = name or asked.get("name", [""])[0]
    where = f"topic '{topic}' on {told.netloc}"
    kafka = config.Kafka(told.netloc, kafka.client, kafka.settings)
    client = clients.client(kafka)
    reader = client.reader("streamlearn-load", "streamlearn-load")
    try:
        with client.faults(f"cannot read topic '{topic}'"):
            return _newest(reader, topic, name, where)
    finally:
        reader.close()


def _newest(reader: Reader, topic: str, name: str, where: str) -> ModelSnapshot:
    numbers = reader.partitions(topic, ANSWER_S)
    if not numbers:
        raise ConfigurationError(f"{where} does not exist; name the topic of topics.models")
    begins = reader.begins(topic, numbers, ANSWER_S)
    reader.assign(MODELS, topic, begins)
    heard, until = Heard(), time.monotonic() + ANSWER_S
    while True:
        _read_to_end(reader, topic, begins, name, heard, where)
        with damage(where):
            found = heard.newest(chosen(heard.names, name, where))
        if found is not None:
            return found
        if time.monotonic() > until:
            raise Unavailable(f"{where}: chunks of the newest model are gone and no newer one has come; try again")
        for record in reader.poll(POLL_S, 1):
            _hear(heard, record, name)


def _read_to_end(reader: Reader, topic: str, begins: dict[int, int], name: str, heard: Heard, where: str) -> None:
    """All that the partitions hold now."""
    ends, last = reader.ends(topic, list(begins), ANSWER_S), time.monotonic()
    while any(reader.position(number) < end for number, end in ends.items() if begins[number] < end):
        records = reader.poll(POLL_S, POLL_MOST)
        for record in records:
            _hear(heard, record, name)
        if records:
            last = time.monotonic()
        elif time.monotonic() - last > ANSWER_S:
            raise Unavailable(f"{where} has not told all that it holds within {ANSWER_S:.0f} s")


def _hear(heard: Heard, record: Record, name: str) -> None:
    key = (record.key or b"").decode(errors="replace")
    if not name or name == key.partition("/")[0]:
        heard.take(key, record.value, record.partition)
