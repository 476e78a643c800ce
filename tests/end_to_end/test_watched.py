"""A daemon as whoever is on call sees it: a real process, scraped by Prometheus' own parsers, its health by curl's means."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from streamlearn import __version__
from streamlearn.service.metrics import METRICS
from tests.end_to_end.daemon_process import append, running, until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ELSEWHERE = {  # what this daemon has no cause to tell
    "streamlearn_stream_loss",
    "streamlearn_model_bytes",
    "streamlearn_model_version",
    "streamlearn_model_age_seconds",
    "streamlearn_stopped",
    "streamlearn_users",
}


def test_both_formats_hold_the_whole_table(tmp_path: Path) -> None:
    data = tmp_path / "streamlearn-data"
    labels = ({"id": f"l{i}", "x": {"a": i % 7, "b": i % 5}, "y": "ham" if i % 7 > 3 else "spam"} for i in range(60))
    append(data / "labels.jsonl", *labels)
    append(data / "events.jsonl", *({"id": f"e{i}", "x": {"a": i % 7, "b": i % 11}} for i in range(400)))
    with running(tmp_path) as daemon:
        until(daemon.caught_up, "the end of the log")
        until(lambda: daemon.metrics()["streamlearn_queries_outstanding"] > 0, "queries")
        request = urllib.request.Request(daemon.address() + "/metrics", headers={"Accept": OPENMETRICS})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            opened = list(parse_openmetrics(answer.read().decode()))  # type: ignore[no-untyped-call]
        plain = list(parse_text(daemon.get("/metrics")[1]))
        told = daemon.metrics()
        status, body = daemon.get("/readyz")
        assert daemon.drain() == 0
    expected = {metric.name.removesuffix("_total"): metric.kind for metric in METRICS}
    for families in (opened, plain):
        assert expected == {family.name: family.type for family in families}
        empty = {family.name for family in families if not family.samples}
        assert empty <= {name.removesuffix("_total") for name in ELSEWHERE}
    (build,) = (name for name in told if name.startswith("streamlearn_build_info"))
    assert f'version="{__version__}"' in build
    assert 'python="3.' in build
    assert told['streamlearn_lag_seconds{partition="0",topic="events"}'] == 0
    assert told["streamlearn_score_ratio_count"] > 300
    assert 0 < told["streamlearn_commit_age_seconds"] < 60
    assert told["streamlearn_process_start_time_seconds"] > 1.7e9
    assert (status, set(json.loads(body)["parts"])) == (200, {"log", "store", "numbers", "start"})
