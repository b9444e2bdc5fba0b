"""The topics as the event log is asked to create them: those of the published language, and the twin of each."""

from typing import Final

from services.chassis.event_log.port import TopicSpec
from services.contracts import topics

RETENTION_HOURS: Final = 7 * 24
DEAD_LETTER_RETENTION_HOURS: Final = 30 * 24  # somebody must have seen the alert, mended the cause and replayed them


def specs() -> list[TopicSpec]:
    """Every topic with its default partitions, then every twin with one."""
    kept = [
        TopicSpec(
            topic.name,
            partitions=topic.partitions,
            compacted=topic.cleanup is topics.Cleanup.COMPACT,
            retention_hours=RETENTION_HOURS,
        )
        for topic in topics.ALL
    ]
    twins = [
        TopicSpec(topics.dead_letters(topic.name), partitions=1, retention_hours=DEAD_LETTER_RETENTION_HOURS)
        for topic in topics.ALL
    ]
    return kept + twins
