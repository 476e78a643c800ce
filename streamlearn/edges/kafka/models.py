"""The newest model on a topic of Kafka: read to the end of all partitions as they are now, committed records only.

A name is a key, so its models lie in one partition, in order. Where partitions were added they may lie in two: then the time
decides. Only the newest is decoded, and it is refused where it is damaged: an older one may be worse than none.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

from streamlearn import config
from streamlearn.edges.kafka import clients
from streamlearn.edges.kafka.client import Reader
from streamlearn.edges.model_files import decoded, newest
from streamlearn.errors import ConfigurationError, Unavailable
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.ports import MODELS

SCHEME = "kafka://"
ANSWER_S = 10.0
POLL_S, POLL_MOST = 0.2, 100


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
            values = _values(reader, topic, name, where)
    finally:
        reader.close()
    found: dict[str, ModelSnapshot] = {}
    for key, value in values:
        model = decoded(value, where)
        if key not in found or found[key].time <= model.time:
            found[key] = model
    return newest(found, name, where)


def _values(reader: Reader, topic: str, name: str, where: str) -> list[tuple[str, bytes]]:
    """The last value of each key, or of this one, in each partition."""
    numbers = reader.partitions(topic, ANSWER_S)
    if not numbers:
        raise ConfigurationError(f"{where} does not exist; name the topic of topics.models")
    ends = reader.ends(topic, numbers, ANSWER_S)
    begins = reader.begins(topic, numbers, ANSWER_S)
    reader.assign(MODELS, topic, begins)
    last: dict[tuple[int, str], bytes | None] = {}
    heard = time.monotonic()
    while any(reader.position(number) < end for number, end in ends.items() if begins[number] < end):
        records = reader.poll(POLL_S, POLL_MOST)
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if key == name or not name:
                last[record.partition, key] = record.value
        if records:
            heard = time.monotonic()
        elif time.monotonic() - heard > ANSWER_S:
            raise Unavailable(f"{where} has not told all that it holds within {ANSWER_S:.0f} s")
    return [(key, value) for (_, key), value in last.items() if value is not None]
