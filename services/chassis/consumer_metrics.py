"""What consumer loops and projections measure, once per service."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.envelope import Malformation
from services.chassis.isolation import HANDLER_FAILED
from services.chassis.metrics import counter, gauge, histogram

GENERAL_REASONS: Final = (*Malformation, HANDLER_FAILED)


class ConsumerMetrics:
    """`topics` by group (or projection); `reasons` are the codes with which the service's handlers reject events."""

    def __init__(
        self, registry: CollectorRegistry, topics: Mapping[str, Sequence[str]], reasons: Sequence[str] = ()
    ) -> None:
        groups = tuple(topics)
        every_topic = tuple(dict.fromkeys(topic for some in topics.values() for topic in some))
        by_group_and_topic = {"group": groups, "topic": every_topic}
        self.applied = counter(
            registry, "tiercel_events_applied_total", "Events whose effects are stored.", by_group_and_topic
        )
        self.dead_letters = counter(
            registry,
            "tiercel_dead_letters_total",
            "Events set aside because they could not be processed.",
            {"topic": every_topic, "reason": (*GENERAL_REASONS, *reasons)},
        )
        self.skipped = counter(
            registry,
            "tiercel_projection_skipped_total",
            "Events that a projection could not apply; the former value stays in force.",
            {"topic": every_topic, "reason": (*GENERAL_REASONS, *reasons)},
        )
        self.waiting = gauge(
            registry,
            "tiercel_dead_letters_waiting",
            "Dead letters that were neither replayed nor discarded.",
            {"topic": every_topic},
        )
        self.lag = gauge(
            registry,
            "tiercel_consumer_lag",
            "Events of this process's partitions not yet committed.",
            by_group_and_topic,
        )
        self.retries = counter(
            registry, "tiercel_consumer_retries_total", "Further attempts to apply a batch.", {"group": groups}
        )
        self.reopened = counter(
            registry,
            "tiercel_consumer_reopened_total",
            "Consumers made anew after the log was away.",
            {"group": groups},
        )
        self.stopped_partitions = gauge(
            registry,
            "tiercel_consumer_stopped_partitions",
            "Partitions that stand still because their dead letters cannot be written.",
            {"group": groups},
        )
        self.polled_at = gauge(
            registry,
            "tiercel_consumer_polled_timestamp_seconds",
            "Wall time of the last poll that the log answered.",
            {"group": groups},
        )
        self.batch_seconds = histogram(
            registry, "tiercel_consumer_batch_seconds", "Time to apply one batch, retries included.", {"group": groups}
        )
