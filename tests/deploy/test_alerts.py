"""Alerts and dashboard: by promtool, against the table of metrics, and against the runbook."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import yaml

from streamlearn.service.metrics import BY_NAME, METRICS
from tests.deploy.tools import DEPLOY, one, prometheus, run
from tests.deploy.watching import DASHBOARD, HISTOGRAM, RULES, alerts, expressions, foreign, names, panels

TESTS = DEPLOY / "alerts" / "rules.test.yaml"
RUNBOOK = DEPLOY / "README.md"
# Nobody has to see these.
UNWATCHED = {
    "streamlearn_forgotten_total",
    "streamlearn_columns_ignored_total",
    "streamlearn_events_counted",
    "streamlearn_users",
}


def test_promtool_finds_no_fault() -> None:
    done = run(prometheus("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(prometheus("promtool"), "check", "config", "--syntax-only", DEPLOY / "compose" / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_and_does_not() -> None:
    done = run(prometheus("promtool"), "test", "rules", TESTS.name, cwd=TESTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = defaultdict(set)
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            seen[case["alertname"]].add(bool(case["exp_alerts"]))
    assert {alert: {True, False} for alert in alerts()} == seen


def test_the_operators_copy_is_up_to_date() -> None:
    rule = one("production", "PrometheusRule", "streamlearn")
    assert yaml.safe_load(RULES.read_text()) == rule["spec"], "`make alerts` writes it anew"


def test_every_metric_that_is_asked_for_is_in_the_table() -> None:
    for asks, expression in expressions().items():
        assert names(expression), f"{asks} asks for nothing"
        for name in names(expression):
            assert name in BY_NAME or foreign(name), f"{asks} asks for {name}"


def test_a_histogram_is_asked_for_by_its_parts_and_nothing_else_is() -> None:
    for asks, expression in expressions().items():
        for name in re.findall(r"streamlearn_[a-z_]+", expression):
            base = re.sub(f"({'|'.join(HISTOGRAM)})$", "", name)
            if base in BY_NAME:
                kind = BY_NAME[base].kind
                assert (base != name) == (kind == "histogram"), f"{asks} asks for {name}, which is a {kind}"


def test_every_label_that_is_asked_for_is_the_metrics() -> None:
    around = {"job", "instance", "le", "pod", "persistentvolumeclaim", "container", "version", "python"}
    known = around | {label for metric in METRICS for label in metric.labels}
    for asks, expression in expressions().items():
        grouped = re.findall(r"\b(?:by|on|ignoring) ?\(([^)]*)\)", expression)
        used = {label.strip() for group in grouped for label in group.split(",") if label.strip()}
        assert used <= known, f"{asks} asks for {used - known}"


def test_every_metric_is_watched() -> None:
    watched = set().union(*map(names, expressions().values()))
    assert UNWATCHED == set(BY_NAME) - watched


def test_the_dashboard_is_one_that_grafana_shows() -> None:
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, f"{panel['title']} lies on another"
        places |= cells
    assert panels()
    assert json.loads(one("production", "ConfigMap", "streamlearn-dashboard")["data"]["streamlearn.json"]) == board


def test_every_alert_is_in_the_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert list(alerts()) == headings
    for alert, rule in alerts().items():
        assert f"deploy/README.md#{alert.lower()}" == rule["annotations"]["runbook"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
