"""Heartbeats on `segments.current.v1`: silence must not look like freshness.

The relay sends them, one to each partition, while nothing urgent waits; a subscriber of a partition then knows that it
has everything urgent that was committed up to `beat_at`, which is wall time.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from prometheus_client import Counter

from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import Record
from services.chassis.ids import new_ids
from services.contracts.catalogue import SEGMENT_HEARTBEAT
from services.segment_registry.application.publishing import SOURCE


def heartbeats(partitions: int, sent: Counter) -> Callable[[datetime], Sequence[Record]]:
    """What makes the records of one beat; `sent` counts them."""

    def beat(at: datetime) -> Sequence[Record]:
        sent.inc(partitions)
        return [_record(partition, at, str(beat_id)) for partition, beat_id in enumerate(new_ids(partitions))]

    return beat


def _record(partition: int, at: datetime, beat_id: str) -> Record:
    event = Event(
        id=beat_id,
        type=SEGMENT_HEARTBEAT.name,
        source=SOURCE,
        topic=SEGMENT_HEARTBEAT.topic.name,
        key=f"heartbeat/{partition}",  # one per partition is kept by compaction
        sequence=0,
        time=at,
        data=orjson.dumps({"partition": partition, "beat_at": at}),
        correlation_id=beat_id,
        causation_id=beat_id,
        dataschema=SEGMENT_HEARTBEAT.dataschema,
    )
    return replace(to_record(event), partition=partition)
