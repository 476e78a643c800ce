"""The measurements as Prometheus reads them. The only file that imports its client library.

The library's usual way is metrics as module-level globals, which two daemons in one process would share. Here a
collector made from the table turns one `Measurements` into families at the moment of a scrape, in its own registry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from streamlearn.service.metrics import COUNTER, HISTOGRAM, METRICS, Distribution, Measurements
from streamlearn.service.metrics import Metric as Entry


@final
class MeasurementsCollector(Collector):
    """One `Measurements`, as the library wants to be given metrics."""

    def __init__(self, measurements: Measurements) -> None:
        self._measurements = measurements

    def collect(self) -> Iterator[Metric]:
        snapshot, distributions = self._measurements.snapshot(), self._measurements.distributions()
        for metric in METRICS:
            if metric.kind == HISTOGRAM:
                yield _histogram(metric, distributions[metric.name])
                continue
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == COUNTER:
                family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            else:
                family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in snapshot[metric.name].items():
                family.add_metric(labels, value)
            yield family


def _histogram(metric: Entry, found: Mapping[tuple[str, ...], Distribution]) -> HistogramMetricFamily:
    """Prometheus counts in each bucket what is in those before it, too."""
    family, bounds = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels), (*metric.buckets, math.inf)
    for labels, distribution in found.items():
        counted = zip(map(floatToGoString, bounds), accumulate(distribution.counts), strict=True)
        family.add_metric(labels, buckets=list(counted), sum_value=distribution.total)
    return family


def render(measurements: Measurements, accept: str = "") -> tuple[bytes, str]:
    """(body, content type): the text format, or OpenMetrics where the Accept header asks for it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MeasurementsCollector(measurements))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
