"""What a relay measures. Declared once per service registry."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from services.chassis.metrics import counter, gauge
from services.chassis.outbox import Lane

_LANES: Final = tuple(lane.name.lower() for lane in Lane)
FAILURES: Final = ("unknown", "refused", "lease_lost", "database", "unexpected")


class RelayMetrics:
    """Published rows, failures by kind, and what waits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._published = counter(
            registry, "tiercel_outbox_published_total", "Rows that the log confirmed.", {"lane": _LANES}
        )
        self._failures = counter(
            registry,
            "tiercel_outbox_failures_total",
            "Batches not confirmed, rows refused by the log, leases lost while publishing, and errors, by kind.",
            {"kind": FAILURES},
        )
        self._pending = gauge(
            registry, "tiercel_outbox_pending", "Rows that wait, counted up to ten thousand.", {"lane": _LANES}
        )
        self._age = gauge(
            registry,
            "tiercel_outbox_oldest_age_seconds",
            "Age of the oldest row that waits; 0: none.",
            {"lane": _LANES},
        )
        self._buckets = Gauge(
            "tiercel_outbox_leased_buckets", "Buckets that this relay publishes, of 64.", registry=registry
        )

    def published(self, lane: Lane, rows: int) -> None:
        """Count confirmed rows."""
        self._published.at(lane.name.lower()).inc(rows)

    def failed(self, kind: str) -> None:
        """Count a failure of one of the kinds in `FAILURES`."""
        self._failures.at(kind).inc()

    def waits(self, lane: Lane, rows: int, oldest_age_seconds: float) -> None:
        """Show what waits in a lane."""
        self._pending.at(lane.name.lower()).set(rows)
        self._age.at(lane.name.lower()).set(oldest_age_seconds)

    def leased(self, buckets: int) -> None:
        """Show how many buckets are this relay's."""
        self._buckets.set(buckets)
