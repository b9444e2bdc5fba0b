"""Prometheus metrics: one registry per service in a process, closed label sets, and the generated reference.

A service declares its metrics once, in its `metrics.py`, as fields of a class that takes a `CollectorRegistry` and
uses `counter`, `gauge` and `histogram` from here. Labels are closed: their values are listed where the metric is
declared, all series exist from the start (an alert on a series that never was cannot fire), and a value outside of
the list is counted as `other`, so nothing that a client sends can make a new series.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, product
from math import prod
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

# Seconds; chosen around the objective of a promise (99 % below 100 ms), from a cached read to a request deadline.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OTHER: Final = "other"
SERIES_MAX: Final = 2_000  # of one metric; a label set that multiplies to more is a mistake
Labels = Mapping[str, Sequence[str]]
Metric = TypeVar("Metric", Counter, Gauge, Histogram)


def new_registry(*, with_process: bool = True) -> CollectorRegistry:
    """A registry; `with_process` adds what the operating system and the interpreter say about this process."""
    registry = CollectorRegistry(auto_describe=True)
    if with_process:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
    return registry


class Closed(Generic[Metric]):
    """A metric whose label values are all known; `at` never makes a new series."""

    def __init__(self, metric: Metric, labels: Labels) -> None:
        self._allowed = _allowed(labels)
        self._children: dict[tuple[str, ...], Metric] = {
            values: metric.labels(*values) for values in product(*self._allowed)
        }

    def at(self, *values: str) -> Metric:
        """The series with these label values, in the order of the declaration; an unknown value becomes `other`."""
        child = self._children.get(values)
        if child is not None:
            return child
        known = zip(values, self._allowed, strict=True)
        return self._children[tuple(value if value in allowed else OTHER for value, allowed in known)]


def _allowed(labels: Labels) -> tuple[tuple[str, ...], ...]:
    values = tuple(tuple(dict.fromkeys((*listed, OTHER))) for listed in labels.values())
    if (series := prod(len(each) for each in values)) > SERIES_MAX:
        msg = f"{series} series for one metric; at most {SERIES_MAX}"
        raise ValueError(msg)
    return values


def counter(registry: CollectorRegistry, name: str, documentation: str, labels: Labels) -> Closed[Counter]:
    """A labelled counter; its name ends in `_total`. One without labels is `prometheus_client.Counter` itself."""
    _check_name(name, ("_total",))
    return Closed(Counter(name, documentation, tuple(labels), registry=registry), labels)


def gauge(registry: CollectorRegistry, name: str, documentation: str, labels: Labels) -> Closed[Gauge]:
    """A labelled gauge."""
    return Closed(Gauge(name, documentation, tuple(labels), registry=registry), labels)


def histogram(
    registry: CollectorRegistry, name: str, documentation: str, labels: Labels, buckets: Sequence[float] = BUCKETS
) -> Closed[Histogram]:
    """A labelled histogram; its name ends in its base unit."""
    _check_name(name, ("_seconds", "_bytes", "_items", "_lines", "_units"))
    return Closed(Histogram(name, documentation, tuple(labels), registry=registry, buckets=tuple(buckets)), labels)


def _check_name(name: str, endings: tuple[str, ...]) -> None:
    if not name.endswith(endings):
        msg = f"metric {name!r} must end in one of {', '.join(endings)}"
        raise ValueError(msg)


class Durations(Collector):
    """A histogram for the hot path: counted by one thread without a lock, added up when somebody reads it.

    Measured, an observation costs a quarter of what `prometheus_client`'s own does. Series appear with their first one.
    """

    def __init__(self, registry: CollectorRegistry, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labelnames = name, documentation, tuple(labels)
        self._series: dict[tuple[str, ...], DurationSeries] = {}
        registry.register(self)

    def at(self, *values: str) -> "DurationSeries":
        """The series of these label values, made if it is new: its caller bounds how many there are."""
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = DurationSeries()
        return found

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """What it is, without its figures."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The figures of now."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, series in list(self._series.items()):
            family.add_metric(values, series.cumulative(), series.total)
        return [family]


class DurationSeries:
    """Seconds by bucket of `BUCKETS`, the last one for what is above all of them."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many were not above it), as Prometheus wants them."""
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class HttpMetrics:
    """What the edge measures. `route` is a route template of this application, never a path with ids in it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Durations(
            registry,
            "http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            ("method", "route", "status"),
        )
        self.in_flight = 0
        in_flight = Gauge("http_requests_in_flight", "Requests that are being answered now.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self.refused = Counter(
            "http_credentials_refused_total", "Requests refused for their credentials.", ("reason",), registry=registry
        )
        self.unexpected = Counter(
            "http_unexpected_errors_total", "Exceptions that nobody foresaw (each is a defect).", registry=registry
        )
        self._series: dict[tuple[str, str, int], DurationSeries] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method, route, status)
        series = self._series.get(key)
        if series is None:  # bounded by routes x methods x statuses of this application
            series = self._series[key] = self._seconds.at(method, route, str(status))
        series.observe(seconds)


def render_reference(registries: Mapping[str, CollectorRegistry]) -> str:
    """The metrics reference as Markdown: one table per service, from its registry."""
    parts = ["# Metrics", "", "Generated from the code (`make schemas`); do not edit."]
    for service, registry in sorted(registries.items()):
        parts += ["", f"## {service}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        parts += sorted(_reference_rows(registry))
    return "\n".join(parts) + "\n"


def _reference_rows(registry: CollectorRegistry) -> Iterable[str]:
    for collector, names in list(registry._collector_to_names.items()):  # noqa: SLF001 -- the registry has no reader
        label_names: tuple[str, ...] = getattr(collector, "_labelnames", ())
        for family in collector.describe() if hasattr(collector, "describe") else ():
            shown = f"{family.name}_total" if family.type == "counter" else family.name
            if family.name in names or shown in names:
                labels = ", ".join(f"`{label}`" for label in label_names) or "none"
                yield f"| `{shown}` | {family.type} | {labels} | {family.documentation} |"
