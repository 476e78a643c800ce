"""What dashboard and alerts ask of Prometheus."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from streamlearn.service.metrics import BY_NAME
from tests.deploy.tools import DEPLOY

RULES = DEPLOY / "alerts" / "rules.yaml"
DASHBOARD = DEPLOY / "components" / "monitoring" / "dashboard.json"
OTHERS = ("up", "ALERTS", "kube_pod_container_status_restarts_total", "kubelet_volume_stats_[a-z_]+")
HISTOGRAM = ("_bucket", "_sum", "_count")


def alerts() -> dict[str, dict[str, Any]]:
    """Alert → its rule."""
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels() -> dict[str, list[str]]:
    """Panel → its expressions."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return {
        f"{panel['title']} ({panel['id']})": [each["expr"] for each in panel["targets"]]
        for panel in found
        if "targets" in panel
    }


def expressions() -> dict[str, str]:
    """Who asks → what; of an alert without its comparisons, so that there is an answer while nothing is wrong."""
    asked = {name: calm(rule["expr"]) for name, rule in alerts().items()}
    for title, several in panels().items():
        asked |= {f"{title} {place}": each for place, each in enumerate(several)}
    return asked


def calm(expression: str) -> str:
    without = re.sub(r"\s*(==|!=|>=|<=|>|<)\s*[\d.]+", "", expression)
    return re.sub(r"absent\(([^)]*)\)", r"\1", without)


def names(expression: str) -> set[str]:
    """The metrics that it names; a histogram's by its own name."""
    found = set(re.findall(r"\b(?:streamlearn_[a-z_]+|" + "|".join(OTHERS) + r")\b(?!\()", expression))
    return {name if name in BY_NAME else re.sub(f"({'|'.join(HISTOGRAM)})$", "", name) for name in found}


def foreign(name: str) -> bool:
    return any(re.fullmatch(other, name) for other in OTHERS)
