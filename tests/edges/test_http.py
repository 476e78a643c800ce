"""A real server over HTTP, its metrics read by Prometheus' own parsers."""

from __future__ import annotations

import json
import math
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from streamlearn.config import Configuration
from streamlearn.edges.http import HttpServer
from streamlearn.errors import ConfigurationError
from streamlearn.service.health import DEAD_AFTER_S, OF_A_SCORER, Health
from streamlearn.service.metrics import BY_NAME, COUNTER, HISTOGRAM, METRICS, Measurements
from streamlearn.service.ports import Clock


@final
class SetClock(Clock):
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@final
class Served:
    """A started server and the facts it answers from."""

    def __init__(self, health: Health | None = None) -> None:
        self.measurements, self.health, self.clock = Measurements(), health or Health(), SetClock()
        self.server = HttpServer("127.0.0.1", 0, self.measurements, self.health, self.clock)
        self.server.start()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """(status, content type, body)"""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.stop()


def test_metrics_are_read_back_as_they_were_set(served: Served) -> None:
    served.measurements.set("streamlearn_regularity", 0.25)
    served.measurements.add("streamlearn_rejected_total", 3, topic="events", reason='a "quoted"\nreason')
    served.clock.time = 5.0
    served.health.turned(2.0)
    status, content_type, body = served.get("/metrics")
    samples = {
        (sample.name, *(sample.labels[label] for label in BY_NAME[sample.name].labels)): sample.value
        for family in parse_text(body)
        for sample in family.samples
        if family.type != HISTOGRAM
    }
    assert (status, content_type.split(";")[0]) == (200, "text/plain")
    assert samples["streamlearn_regularity",] == 0.25
    assert samples["streamlearn_events_total",] == 0.0
    assert samples["streamlearn_rejected_total", "events", 'a "quoted"\nreason'] == 3.0
    assert samples["streamlearn_loop_age_seconds",] == 3.0
    assert samples["streamlearn_ready", "start"] == 0.0
    assert samples["streamlearn_ready", "log"] == 1.0


def test_every_metric_of_the_table_is_announced_with_kind_and_help(served: Served) -> None:
    families = {family.name: (family.type, family.documentation) for family in parse_text(served.get("/metrics")[2])}
    expected = {
        metric.name.removesuffix("_total") if metric.kind == COUNTER else metric.name: (metric.kind, metric.help)
        for metric in METRICS
    }
    assert families == expected


def test_openmetrics_is_given_where_it_is_asked_for(served: Served) -> None:
    for metric in METRICS:
        state = served.measurements.observe if metric.kind == HISTOGRAM else served.measurements.set
        state(metric.name, 1.0, **dict.fromkeys(metric.labels, "x"))
    status, content_type, body = served.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, content_type.split(";")[0]) == (200, "application/openmetrics-text")
    families = list(parse_openmetrics(body))  # type: ignore[no-untyped-call]
    assert [family.name for family in families] == [metric.name.removesuffix("_total") for metric in METRICS]
    assert "_created" not in body


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_a_histogram_is_given_as_prometheus_counts(served: Served, accept: str) -> None:
    name = "streamlearn_commit_duration_seconds"
    served.measurements.observe(name, [0.003, 0.3, 99.0])
    _, content_type, body = served.get("/metrics", Accept=accept)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    (family,) = (each for each in parse(body) if each.name == name)  # type: ignore[no-untyped-call]
    found = {(each.name, float(each.labels.get("le", "nan"))): each.value for each in family.samples}
    buckets = {bound: value for (sample, bound), value in found.items() if sample == f"{name}_bucket"}
    assert family.type == "histogram"
    assert buckets == {bound: 0 + (bound > 0.003) + (bound > 0.3) + (bound == math.inf) for bound in buckets}
    assert (*BY_NAME[name].buckets, math.inf) == tuple(buckets)
    others = {each.name: each.value for each in family.samples if not each.labels}
    assert others == {f"{name}_count": 3, f"{name}_sum": pytest.approx(99.303)}


def test_what_counts_seconds_is_reckoned_at_the_scrape(served: Served) -> None:
    served.measurements.since("streamlearn_commit_age_seconds", 10.0)
    for now in (12.5, 70.0):
        served.clock.time = now
        assert f"\nstreamlearn_commit_age_seconds {now - 10.0}\n" in served.get("/metrics")[2]


def test_health_is_the_age_of_the_loop(served: Served) -> None:
    served.health.turned(0.0)
    served.health.unready("log", "broker away")
    status, content_type, body = served.get("/healthz")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == {"status": "ok", "loop_age_seconds": 0.0, "parts": {"loop": {"status": "ok"}}}
    served.clock.time = DEAD_AFTER_S
    status, _, body = served.get("/healthz")
    assert (status, json.loads(body)["status"]) == (503, "failing")
    assert "its last turn was 60.0 s ago" in json.loads(body)["parts"]["loop"]["reason"]


def test_readiness_gives_the_reasons(served: Served) -> None:
    served.health.unready("log", "broker away")
    status, content_type, body = served.get("/readyz?verbose")
    assert (status, content_type) == (503, "application/json")
    told = json.loads(body)
    assert (told["status"], list(told["parts"])) == ("failing", ["log", "store", "numbers", "start"])
    assert told["parts"]["log"] == {"status": "failing", "reason": "broker away"}
    assert told["parts"]["start"] == {"status": "failing", "reason": "starting"}
    assert told["parts"]["store"] == told["parts"]["numbers"] == {"status": "ok"}
    served.health.ready("log")
    served.health.ready("start")
    status, _, body = served.get("/readyz")
    told = json.loads(body)
    assert (status, told["status"]) == (200, "ok")
    assert all(part == {"status": "ok"} for part in told["parts"].values())


def test_of_a_scorer_other_parts_are_told() -> None:
    scorer = Served(Health(OF_A_SCORER))
    parts = json.loads(scorer.get("/readyz")[2])["parts"]
    scorer.server.stop()
    assert list(parts) == ["log", "start", "model"]


def test_only_this_machine_is_answered_unless_told_otherwise(served: Served) -> None:
    """All of 127/8 is this machine, so whoever listens on every address answers there, too."""
    told = Configuration().http.host
    for host, answers in ((told, False), ("0.0.0.0", True)):
        server = HttpServer(host, 0, served.measurements, served.health, served.clock)
        server.start()
        with socket.socket() as client:
            assert (client.connect_ex(("127.0.0.2", server.port)) == 0) == answers
        server.stop()


def test_nothing_else_is_there(served: Served) -> None:
    assert served.get("/")[0] == 404
    for path in ("/metrics", "/healthz"):
        assert served.get(path, method="HEAD")[::2] == (200, "")
    assert served.get("/readyz", method="HEAD")[::2] == (503, "")
    assert served.get("/metrics", method="POST")[0] == 501


def test_a_client_that_says_nothing_does_not_hold_up_others(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.server.port)):
        assert served.get("/healthz")[0] == 200


def test_a_port_that_is_taken_is_the_operators_to_change(served: Served) -> None:
    port = served.server.port
    second = HttpServer("127.0.0.1", port, served.measurements, served.health, served.clock)
    with pytest.raises(ConfigurationError) as caught:
        second.start()
    assert str(caught.value) == f"http.port {port} is taken; set http.port = 0 for any free port, or -1 for none"


def test_a_host_of_another_machine_is_the_operators_to_change(served: Served) -> None:
    other = HttpServer("192.0.2.1", 0, served.measurements, served.health, served.clock)
    with pytest.raises(ConfigurationError, match=r"http.host .* is no address of this machine"):
        other.start()


def test_minus_one_serves_nothing(served: Served) -> None:
    none = HttpServer("127.0.0.1", -1, served.measurements, served.health, served.clock)
    none.start()
    assert none.port == -1
    none.stop()


def test_the_port_is_free_again_after_stop_and_it_can_start_again(served: Served) -> None:
    port = served.server.port
    served.server.stop()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    served.server.start()
    assert served.get("/healthz")[0] == 200
