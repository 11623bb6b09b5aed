"""What metrics.py has counted, in Prometheus' text format and in the words of its library.

It is imported when somebody asks for metrics: the library and what it imports are 2 MB of memory.
"""

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from asyncjob.server.metrics import Histogram, Kind, Metrics, Number

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
FAMILIES: dict[Kind, type[CounterMetricFamily | GaugeMetricFamily]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
}


def text(metrics: Metrics) -> bytes:
    """All metrics, and those of the server's process that every Prometheus client shows."""
    registry = CollectorRegistry()
    registry.register(_Counted(metrics))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Counted(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for each in self._metrics.shown:
            yield _number(each) if isinstance(each, Number) else _histogram(each)


def _number(number: Number) -> Metric:
    family = FAMILIES[number.kind](number.name, number.documentation, labels=number.labels)
    read = number.read()
    for values, count in {(): read}.items() if isinstance(read, int) else read.items():
        family.add_metric([values] if isinstance(values, str) else values, count)
    return family


def _histogram(histogram: Histogram) -> Metric:
    """The ranges cumulated, as Prometheus wants them; a type that has no values yet is left out."""
    labels = [] if "" in histogram.counts else ["type"]
    family = HistogramMetricFamily(histogram.name, histogram.documentation, labels=labels)
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    for type_, counts in histogram.counts.items():
        if any(counts) or not labels:
            buckets = [(bound, float(sum(counts[: place + 1]))) for place, bound in enumerate(bounds)]
            family.add_metric([type_] if labels else [], buckets, histogram.sums[type_])
    return family
