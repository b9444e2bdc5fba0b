"""Metrics: closed label sets, series from the start, and a reference made from the registry."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from services.chassis.metrics import (
    BUCKETS,
    OTHER,
    Durations,
    HttpMetrics,
    counter,
    gauge,
    histogram,
    new_registry,
    render_reference,
)

OUTCOMES = {"outcome": ("promised", "backordered"), "tier": ("gold", "basic")}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_all_series_exist_before_anything_happens(registry: CollectorRegistry) -> None:
    counter(registry, "lines_total", "Lines.", OUTCOMES)
    assert registry.get_sample_value("lines_total", {"outcome": "promised", "tier": "gold"}) == 0.0
    assert registry.get_sample_value("lines_total", {"outcome": "backordered", "tier": OTHER}) == 0.0


def test_what_a_client_sends_never_makes_a_series(registry: CollectorRegistry) -> None:
    lines = counter(registry, "lines_total", "Lines.", OUTCOMES)
    for number in range(1_000):
        lines.at("promised", f"made-up-{number}").inc()
    lines.at("promised", "gold").inc(2)
    assert registry.get_sample_value("lines_total", {"outcome": "promised", "tier": OTHER}) == 1_000.0
    assert registry.get_sample_value("lines_total", {"outcome": "promised", "tier": "gold"}) == 2.0
    [family] = registry.collect()
    assert len([sample for sample in family.samples if sample.name == "lines_total"]) == 9


def test_gauges_and_histograms_are_closed_too(registry: CollectorRegistry) -> None:
    gauge(registry, "age_seconds", "Age.", {"lane": ("urgent",)}).at("urgent").set(3)
    histogram(registry, "work_seconds", "Work.", {"lane": ("urgent",)}).at("urgent").observe(0.02)
    assert registry.get_sample_value("age_seconds", {"lane": "urgent"}) == 3.0
    assert registry.get_sample_value("work_seconds_bucket", {"lane": "urgent", "le": "0.025"}) == 1.0


def test_durations_are_shown_as_the_client_library_shows_its_own_histograms() -> None:
    """But for the time of creation, which a scrape does not need."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations(ours, "work_seconds", "Work.", ("lane",))
    histogram = Histogram("work_seconds", "Work.", ("lane",), registry=theirs, buckets=BUCKETS)
    for seconds in (0.0, 0.001, 0.0011, 0.1, 9.9, 10.0, 10.1, 1_000.0):
        durations.at("urgent").observe(seconds)
        histogram.labels("urgent").observe(seconds)
    durations.at("bulk")
    histogram.labels("bulk")

    def shown(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert shown(ours) == shown(theirs)


def test_the_number_of_values_must_fit_the_declaration(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="zip"):
        counter(registry, "lines_total", "Lines.", OUTCOMES).at("promised")


def test_names_say_what_they_measure(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="_total"):
        counter(registry, "lines", "Lines.", OUTCOMES)
    with pytest.raises(ValueError, match="_seconds"):
        histogram(registry, "work_ms", "Work.", OUTCOMES)


def test_labels_that_multiply_beyond_reason_are_refused(registry: CollectorRegistry) -> None:
    many = tuple(str(number) for number in range(100))
    with pytest.raises(ValueError, match="series"):
        counter(registry, "x_total", "X.", {"a": many, "b": many})


def test_the_reference_is_made_from_the_registry(registry: CollectorRegistry) -> None:
    counter(registry, "lines_total", "Lines decided.", OUTCOMES)
    Gauge("ledger_drift_units", "Units by which aggregates differ from the ledger.", registry=registry)
    Counter("relay_records_total", "Records published.", registry=registry)
    HttpMetrics(registry)
    text = render_reference({"atp": registry})
    assert "| `lines_total` | counter | `outcome`, `tier` | Lines decided. |" in text
    assert "| `ledger_drift_units` | gauge | none | Units by which aggregates differ from the ledger. |" in text
    assert "| `http_request_duration_seconds` | histogram | `method`, `route`, `status` |" in text
    assert text == render_reference({"atp": registry})


def test_a_process_says_how_it_is() -> None:
    assert (new_registry().get_sample_value("process_start_time_seconds") or 0) > 0
    assert new_registry(with_process=False).get_sample_value("process_start_time_seconds") is None
