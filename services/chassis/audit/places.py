"""Where anchors are kept: outside the database whose trail they vouch for.

`TopicAnchors` keeps them in the event log, under a key of their own each, so that a compacted topic keeps all of them.
`FileAnchors` appends them to a file per service, flushed to the disk; the embedded form uses it, because its event log
is in the database. Neither is safe from somebody who holds both places and the signing key.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from services.chassis.audit.signing import Anchor
from services.chassis.envelope import Event, MalformedEvent, from_record, to_record
from services.chassis.event_log.port import EventLog, Producer, TopicPartition
from services.chassis.ids import new_id

EVENT_TYPE: Final = "audit.anchored.v1"
DATASCHEMA: Final = "urn:tiercel:schema:audit.anchored.v1"
PUBLISH_SECONDS: Final = 10.0
READ_RECORDS: Final = 1_000
READ_SECONDS: Final = 1.0


class AnchorPlace(Protocol):
    """A place that keeps anchors."""

    async def keep(self, anchor: Anchor) -> None:
        """Return when it is durable. Raises OSError or EventLogError."""
        ...

    async def kept(self, service: str) -> list[Anchor]:
        """All anchors of a service, oldest first; what is no anchor is left out. Raises OSError or EventLogError."""
        ...

    async def close(self) -> None:
        """Give up what is held."""
        ...


class FileAnchors:
    """Anchors in `<folder>/<service>.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, anchor: Anchor) -> None:
        """Append and flush."""
        await asyncio.to_thread(self._append, anchor)

    async def kept(self, service: str) -> list[Anchor]:
        """As the port says."""
        return await asyncio.to_thread(read_anchors, self._folder / f"{service}.jsonl")

    async def close(self) -> None:
        """Nothing is held."""

    def _append(self, anchor: Anchor) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{anchor.service}.jsonl").open("ab") as file:
            file.write(anchor.to_json() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_anchors(file: Path) -> list[Anchor]:
    """The anchors of a file, one a line; a line cut short by a crash is left out."""
    if not file.exists():
        return []
    found = []
    for line in file.read_bytes().splitlines():
        try:
            found.append(Anchor.from_json(line))
        except ValueError:
            continue
    return found


class TopicAnchors:
    """Anchors in a topic of the event log."""

    def __init__(self, event_log: EventLog, topic: str) -> None:
        self._event_log = event_log
        self._topic = topic
        self._producer: Producer | None = None

    async def keep(self, anchor: Anchor) -> None:
        """Publish, and wait until the log has it."""
        if self._producer is None:
            self._producer = await self._event_log.producer(f"{anchor.service}: audit")
        event_id = str(new_id())
        event = Event(
            id=event_id,
            type=EVENT_TYPE,
            source=f"urn:tiercel:{anchor.service}",
            topic=self._topic,
            key=f"{anchor.service}/{anchor.position}",
            sequence=anchor.position,
            time=anchor.at,
            data=anchor.to_json(),
            correlation_id=event_id,
            causation_id=event_id,
            dataschema=DATASCHEMA,
        )
        await self._producer.publish([to_record(event)], deadline_seconds=PUBLISH_SECONDS)

    async def kept(self, service: str) -> list[Anchor]:
        """Read the whole topic."""
        reader = await self._event_log.reader([self._topic])
        found: list[Anchor] = []
        try:
            end = await reader.end_offsets()
            while _is_behind(await reader.positions(), end):
                for received in await reader.poll(READ_RECORDS, READ_SECONDS):
                    try:
                        anchor = Anchor.from_json(from_record(received).data)
                    except (MalformedEvent, ValueError):
                        continue
                    if anchor.service == service:
                        found.append(anchor)
        finally:
            await reader.close()
        return sorted(found, key=lambda anchor: (anchor.position, anchor.at))

    async def close(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            await self._producer.close()
            self._producer = None


def _is_behind(positions: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> bool:
    return any(positions.get(place, 0) < offset for place, offset in end.items())


def anchor_place(folder: Path | None, event_log: EventLog, topic: str) -> AnchorPlace:
    """The place that settings ask for: files in a folder, or a topic of the event log."""
    return TopicAnchors(event_log, topic) if folder is None else FileAnchors(folder)
