"""Scorers on a real broker: every event is scored at least once, whatever happens to them, and by the newest model."""

from __future__ import annotations

import json
import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, final

import pytest
from kafka import KafkaProducer

import streamlearn
from streamlearn import assemble, settings
from streamlearn.core import moments
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from tests.edges.kafka.world import CLIENTS, mostly
from tests.edges.kafka.world import World as Topics
from tests.end_to_end.daemon_process import DaemonProcess, command, refusals, until
from tests.kafka_broker import LocalBroker
from tests.kafka_fixtures import make_topics

pytestmark = pytest.mark.kafka
PARTITIONS = 4


@final
class World:
    """Topics, a daemon that learns, publishes and asks, and scorers."""

    def __init__(
        self, kafka: str, prefix: str, client: str, folder: Path, *told: str, partitions: int = PARTITIONS
    ) -> None:
        """partitions: of events."""
        self.kafka, self.prefix, self._folder, self._client = kafka, prefix, folder, client
        roles = ("labels", "queries", "rejected", "models", "candidates")
        there = {f"{prefix}-{role}": 1 for role in (*roles, "predictions")}  # these are off unless they are told
        make_topics(kafka, {f"{prefix}-events": partitions, **there})
        topics = [f"topics.{role}={prefix}-{role}" for role in ("events", *roles)]
        where = ["log.kind=kafka", f"kafka.bootstrap_servers={kafka}", f"kafka.client={client}"]
        self.keys = [*where, *topics, f"name={prefix}", "models.for_scorers=true", "models.every_labels=1", *told]
        self.own = [*self.keys, "http.port=-1", f"store.path={folder / 'store.db'}"]
        self.producer = KafkaProducer(bootstrap_servers=kafka)
        self.daemon: Any = None
        self._events = 0

    def open(self) -> None:
        """The daemon, in this process."""
        self.daemon = assemble.daemon(settings.read(None, {}, self.own), Health(), Measurements(), lambda _: True)
        self.daemon.start()

    def learn(self, labels: int) -> None:
        """So many more, and publish the model: in one record, so that there is none of fewer."""
        if self.daemon is None:
            self.open()
        first = self.daemon.pipeline.state.labels
        until_ = first + labels
        self._send("labels", [self._labeled(i) for i in range(first, until_)])
        self.producer.flush()
        while self.daemon.pipeline.state.labels < until_:
            self.daemon.turn()
        self.daemon.turn()

    def warm(self, labels: int, first: int = 0) -> None:
        """So many labels that have their own x."""
        for i in range(first, first + labels):
            self._send("labels", self._labeled(i))

    @staticmethod
    def _labeled(i: int) -> dict[str, Any]:
        return {"id": f"l{i}", "x": x(i), "y": x(i)["a"] > 0.5}

    def answer(self, id: str) -> None:
        """What is true of an event."""
        self._send("labels", {"id": id, "y": x(int(id[1:]))["a"] > 0.5})

    def happen(self, count: int) -> None:
        """So many events, over all partitions."""
        for i in range(self._events, self._events + count):
            self._send("events", {"id": f"e{i}", "x": x(i)}, i % PARTITIONS)
        self._events += count
        self.producer.flush()

    def _send(self, role: str, value: dict[str, Any] | list[dict[str, Any]], partition: int = 0) -> None:
        key = value["id"].encode() if isinstance(value, dict) else None
        self.producer.send(f"{self.prefix}-{role}", json.dumps(value).encode(), key, partition=partition)

    def scorer(self, name: str) -> DaemonProcess:
        return self.process(name, "score")

    def process(self, name: str = "daemon", command: str = "run") -> DaemonProcess:
        told = [each for key in self.keys for each in ("--set", key)]
        return DaemonProcess(self._folder / name, *told, command=command)

    def read(self, role: str) -> list[dict[str, Any]]:
        topics = Topics(self.kafka, self.prefix, self._client, create=False)
        return [json.loads(value) for value in topics.visible(f"{self.prefix}-{role}")]

    def candidates(self) -> list[dict[str, Any]]:
        return [each for each in self.read("candidates") if "tally" not in each]

    def take_in(self, count: int) -> None:
        """The daemon goes on until it knows of so many events."""

        def there() -> bool:
            self.daemon.turn()
            return bool(self.daemon.pipeline.standing.census.events == count)

        until(there, f"{count} events")

    def counted(self) -> int:
        """Events, by the tallies that go farthest."""
        farthest: dict[tuple[int, int], dict[str, Any]] = {}
        for each in (line["tally"] for line in self.read("candidates") if "tally" in line):
            key = each["partition"], each["begin"]
            farthest[key] = max(farthest.get(key, each), each, key=lambda tally: tally["through"])
        return sum(each["events"] for each in farthest.values())


def x(i: int) -> dict[str, float]:
    chance = random.Random(i)
    return {"a": chance.random(), "b": chance.gauss(0.0, 1.0)}


@pytest.fixture
def world(kafka: str, prefix: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def made(client: str, *told: str) -> World:
            found = World(kafka, prefix, client, tmp_path, *told)
            stack.callback(lambda: found.daemon and found.daemon.close())
            stack.callback(found.producer.close)
            return found

        yield made


@mostly("kafka-python")
def test_the_daemon_asks_among_what_two_scorers_pass_on(client: str, world: Callable[..., World]) -> None:
    """The second joins while events flow: what the first had not told of as ended is scored again, and counts once."""
    here, budget = world(client, "queries.budget=0.1", "queries.outstanding=1000"), 0.1
    here.learn(40)
    scorers = [here.scorer("first").wait_ready()]
    try:
        here.happen(600)
        here.take_in(600)
        here.learn(1)  # by now there are audits enough to say from which score events are passed on
        scorers.append(here.scorer("second").wait_ready())
        here.happen(1400)
        here.take_in(2000)
        standing = here.daemon.pipeline.standing
        ids = [each["id"] for each in here.read("queries")]
        assert len(ids) == len(set(ids)) == standing.asking.selector.issued
        assert 0 <= budget * 2000 - len(ids) < 2.0 * math.sqrt(budget * 2000)
        assert standing.ledger.count == len({each["id"] for each in here.candidates()}) < 1800
        features = moments.closed(standing.state.moments)
        assert [2041, 2041] == features.count.tolist()
        every = [x(i) for i in [*range(2000), *range(41)]]
        means = [sum(each[name] for each in every) / 2041 for name in ("a", "b")]
        assert means == pytest.approx(features.mean.tolist())
        assert [] == here.read("rejected")
        assert [0, 0] == [scorer.drain() for scorer in scorers]
    finally:
        for each in scorers:
            each.kill()


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
def test_killed_frozen_and_added_they_score_every_event(client: str, world: Callable[..., World]) -> None:
    here = world(client, "queries.budget=1.0")  # of which four times as many are all: every event is a candidate
    here.learn(40)
    scorers = [here.scorer("first").wait_ready(), here.scorer("second").wait_ready()]
    try:
        here.happen(1000)
        until(lambda: len(here.candidates()) > 200, "candidates")
        scorers[0].kill()
        here.happen(1000)
        scorers.append(here.scorer("third").wait_ready())
        here.happen(3000)
        scorers[1].signal(signal.SIGSTOP)
        here.happen(500)
        wanted = {f"e{i}" for i in range(5500)}
        until(lambda: {each["id"] for each in here.candidates()} == wanted, "every event")
        scorers[1].signal(signal.SIGCONT)
        here.happen(100)
        until(lambda: here.counted() == 5600, "an exact count")
        assert {"score", "audit"} == {each["reason"] for each in here.candidates()}
        assert [0, 0] == [scorer.drain() for scorer in scorers[1:]]
    finally:
        for each in scorers:
            each.kill()


def test_a_scorer_waits_for_a_model_and_follows_it(world: Callable[..., World], prefix: str) -> None:
    told = ("queries.budget=0.1", "scorers.stale_s=1000", f"topics.predictions={prefix}-predictions")
    here = world("kafka-python", *told)
    here.happen(64)
    scorer = here.scorer("only")
    try:
        until(lambda: "no model has been published yet" in scorer.unready_because().get("start", ""), "its reason")
        assert "there is none yet" == scorer.unready_because()["model"]
        here.learn(30)
        scorer.wait_ready()
        until(lambda: len(here.candidates()) == 64, "all, while there are no scores to compare with")
        here.learn(10)
        until(lambda: scorer.metrics()["streamlearn_model_version"] == 40, "the new model")
        here.happen(400)
        until(lambda: scorer.metrics()["streamlearn_events_total"] == 464, "all events")
        until(lambda: here.counted() == 464, "a tally of them")
        passed = here.candidates()
        assert [30] * 64 + [40] * (len(passed) - 64) == [each["model_version"] for each in passed]
        loaded = streamlearn.load(f"kafka://{here.kafka}/{here.prefix}-models")
        for each in passed[64:]:
            assert loaded.predict(each["x"]) == each["prediction"]
        here.take_in(464)
        said = {each["id"]: each for each in here.read("predictions")}
        assert (464, [30] * 64 + [40] * 400) == (len(said), [said[f"e{i}"]["model_version"] for i in range(464)])
        assert [loaded.predict(x(i)) for i in range(64, 464)] == [said[f"e{i}"]["prediction"] for i in range(64, 464)]
        assert {"id", "prediction", "score", "trusted", "model_version"} == said["e0"].keys()
        assert 464 == len(here.read("predictions")), "the daemon publishes none"
        told = scorer.metrics()
        assert 0.0 <= told["streamlearn_model_age_seconds"] < 1000.0
        assert 464 == told['streamlearn_records_total{outcome="accepted",topic="events"}']
        compared = told["streamlearn_score_ratio_count"]
        assert compared in (0, 400), "whether there was a threshold by then is the daemon's to say"
        reasons = ("score", "audit", "sample")
        assert len(passed) == sum(told[f'streamlearn_candidates_total{{reason="{why}"}}'] for why in reasons)
        assert {0.0} == {value for name, value in told.items() if name.startswith("streamlearn_lag")}
        assert "model" in json.loads(scorer.get("/readyz")[1])["parts"]
        here.learn(10)
        until(lambda: scorer.metrics()["streamlearn_model_version"] == 50, "a model with a threshold")
        here.happen(100)
        until(lambda: scorer.metrics()["streamlearn_score_ratio_count"] == compared + 100, "scores over it")
        assert 0 == scorer.drain()
    finally:
        scorer.kill()


@mostly("confluent")
def test_by_a_model_that_is_too_old_no_event_is_scored(client: str, world: Callable[..., World]) -> None:
    old = ("models.every_s=0.5", "scorers.stale_s=3", "scorers.when_stale=stop")
    here = world(client, "queries.budget=1.0", *old)
    here.learn(30)
    scorer = here.scorer("only")
    try:
        until(lambda: "and scorers.stale_s = 3; no event is read" in scorer.unready_because().get("model", ""), "age")
        until(lambda: scorer.metrics().get("streamlearn_stopped") == 1.0, "a halt")
        here.happen(100)
        time.sleep(1.0)
        assert 0.0 == scorer.metrics()["streamlearn_events_total"]
        here.take_in(100)  # meanwhile the daemon says that the model is still this one
        until(lambda: scorer.metrics()["streamlearn_events_total"] == 100, "all events")
        assert 0 == scorer.drain()
        assert {30} == {each["model_version"] for each in here.candidates()}
    finally:
        scorer.kill()


def test_what_a_scorer_cannot_do_without_is_named(tmp_path: Path) -> None:
    for keys, says in (
        ((), 'scorers share the events of Kafka and log.kind is "files"'),
        (("log.kind=kafka",), 'scorers need topics.candidates, which is ""; set, for example, topics.candidates = "c'),
        (("log.kind=kafka", "topics.candidates=c"), "needs scorers, and those a model; set models.for_"),
    ):
        done = command(tmp_path, "score", *(each for key in keys for each in ("--set", key)))
        assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
        assert says in refusals(done.stderr)[0]


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS)
def test_a_broker_that_was_away_is_waited_for(
    client: str, own_broker: LocalBroker, prefix: str, tmp_path: Path
) -> None:
    here = World(own_broker.address, prefix, client, tmp_path, "queries.budget=1.0")
    here.learn(30)
    here.daemon.close()
    scorer = here.scorer("only").wait_ready()
    try:
        here.happen(500)
        until(lambda: scorer.metrics()["streamlearn_events_total"] == 500, "the first events")
        own_broker.kill()
        until(lambda: "log" in scorer.unready_because(), "the reason")
        assert 200 == scorer.get("/healthz")[0]
        own_broker.restart()
        here.happen(500)
        until(lambda: len({each["id"] for each in here.candidates()}) == 1000, "all events")
        until(scorer.ready, "readiness")
        until(lambda: here.counted() == 1000, "an exact count")
        assert 0 == scorer.drain()
    finally:
        scorer.kill()
