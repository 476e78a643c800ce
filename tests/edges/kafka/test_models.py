"""Models on a topic of Kafka: published once with the commit, and the newest of a name is loaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaProducer

import streamlearn
from streamlearn import assemble, settings
from streamlearn.core.losses import named
from streamlearn.core.models.linear import Linear
from streamlearn.core.moments import Scaling
from streamlearn.errors import CannotLoad, ConfigurationError, StreamlearnError
from streamlearn.learner import columns
from streamlearn.learner.fit import Frame
from streamlearn.service import model_snapshot
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.model_messages import Parcel
from streamlearn.service.model_snapshot import ModelSnapshot
from streamlearn.service.ports import MODEL_BYTES
from streamlearn.service.recipe import UNTOLD
from tests.edges.kafka.world import CLIENTS, PATIENCE_S
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka


def a_model(version: int, name: str = "fraud", width: int = 2) -> ModelSnapshot:
    draw = np.random.default_rng(version)
    known = columns.State("array", tuple((f"x{i}", None) for i in range(width)))
    frame = Frame(Scaling(np.zeros(width), np.ones(width)), True, 0.0, 1.0)
    theta, tangent = draw.normal(size=(2, 1 + width))
    told = (known, (), Linear(named("squared"), 1, 1 + width), frame, theta, tangent)
    return ModelSnapshot(name, version, version, float(version), version, *told, 0.1, True, True, "sld", 0.5, UNTOLD)


def put(address: str, topic: str, *values: tuple[str, bytes | None], partition: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=address, max_request_size=8 << 20)
    for key, value in values:
        producer.send(topic, key=key.encode(), value=value, partition=partition).get(PATIENCE_S)
    producer.close(PATIENCE_S)


def line(model: ModelSnapshot) -> tuple[str, bytes]:
    return model.name, model_snapshot.encode(model)


@pytest.fixture
def topic(kafka: str, prefix: str) -> str:
    make_topics(kafka, {f"{prefix}-models": 2}, **{"cleanup.policy": "compact"})
    return f"{prefix}-models"


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_daemon_publishes_is_what_its_store_holds_and_is_published_once(
    client: str, kafka: str, topic: str, prefix: str, tmp_path: Path
) -> None:
    make_topics(kafka, {f"{prefix}-{role}": 1 for role in ("events", "labels", "queries", "rejected")})
    topics = [f"topics.{role}={prefix}-{role}" for role in ("events", "labels", "queries", "rejected", "models")]
    where = ["log.kind=kafka", f"kafka.bootstrap_servers={kafka}", f"kafka.client={client}"]
    keys = [*where, *topics, f"name={prefix}", "http.port=-1", f"store.path={tmp_path / 'store.db'}"]
    told = settings.read(None, {}, keys)
    values = [f'{{"id":"{i}","x":[{i % 7},{i % 3}],"y":"{"ab"[i % 7 > 3]}"}}'.encode() for i in range(40)]
    put(kafka, f"{prefix}-labels", *((str(i), value) for i, value in enumerate(values)))
    measurements = Measurements()
    published = 0.0
    for again in (False, True):
        daemon = assemble.daemon(told, Health(), measurements, lambda _: True)
        daemon.start()
        while daemon.pipeline.state.labels < 40:
            daemon.turn()
        daemon.drain()
        daemon.close()
        count = measurements.snapshot()["streamlearn_models_total"][()]
        assert not again or count == published, "what was published is not repeated"
        published = count
    loaded = streamlearn.load(f"kafka://{kafka}/{topic}", client=client)
    stored = streamlearn.load(tmp_path / "store.db")
    assert (prefix, 40, ("a", "b")) == (loaded.name, loaded.version, loaded.classes)
    assert stored.theta.tolist() == loaded.theta.tolist()
    assert stored.predict_proba([3, 1]).tolist() == loaded.predict_proba([3, 1]).tolist()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_newest_of_a_name_is_loaded_from_all_partitions(client: str, kafka: str, topic: str) -> None:
    def load(name: str = "") -> Any:
        return streamlearn.load(f"kafka://{kafka}/{topic}", name=name, client=client)

    with pytest.raises(ConfigurationError, match="there are: none"):
        load()
    wide = a_model(5, width=15_000)
    large = line(wide)
    put(kafka, topic, line(a_model(3)), line(a_model(4)), line(a_model(9, "churn")))
    put(kafka, topic, large, partition=1)
    assert 900_000 < len(large[1]) < MODEL_BYTES
    assert wide.theta.tolist() == load("fraud").theta.tolist()
    url = f"kafka://{kafka}/{topic}?name=churn"
    assert ("churn", 9) == ((found := streamlearn.load(url, client=client)).name, found.version)
    with pytest.raises(ConfigurationError, match='there are: "churn", "fraud"'):
        load()
    put(kafka, topic, ("churn", None))
    assert 5 == load().version, "a name that was deleted is none"
    damaged = line(a_model(12))[1].replace(b'"commit":12', b'"commit":13')
    put(kafka, topic, ("fraud", damaged), partition=1)
    with pytest.raises(CannotLoad, match="damaged"):
        load("fraud")
    put(kafka, topic, line(replace(a_model(13), time=13.0)), partition=1)
    assert 13 == load("fraud").version
    *chunks, manifest = [(each.key.decode(), each.value) for each in Parcel(a_model(14, width=50_000), 1).take(9)]
    put(kafka, topic, *chunks)
    assert 13 == load("fraud").version
    put(kafka, topic, manifest, partition=1)
    assert a_model(14, width=50_000).theta.tobytes() == load("fraud").theta.tobytes()


@pytest.mark.parametrize("client", CLIENTS)
def test_where_chunks_are_gone_the_next_model_is_waited_for(client: str, kafka: str, topic: str) -> None:
    parcels = [Parcel(a_model(version, width=30_000), version % 2).take(9) for version in (1, 2)]
    first, second = ([(each.key.decode(), each.value) for each in messages] for messages in parcels)
    put(kafka, topic, *first[1:])
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(streamlearn.load, f"kafka://{kafka}/{topic}", client=client)
        put(kafka, topic, *second)
        assert 2 == loading.result(PATIENCE_S).version


def test_what_cannot_be_read_is_said_in_one_line(kafka: str, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        streamlearn.load(f"kafka://{kafka}/{prefix}-nowhere")
    with pytest.raises(StreamlearnError) as caught:
        streamlearn.load("kafka://localhost:1/models")
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigurationError, match=r"kafka\.settings\.colour is not a setting"):
        streamlearn.load(f"kafka://{kafka}/{prefix}", settings={"colour": "red"})
