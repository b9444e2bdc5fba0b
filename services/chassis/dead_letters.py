"""Dead letters: records that could not be processed, set aside in the twin of their topic with the reason.

A letter is the original record (key, value, headers) with headers of its own (`dlq_*`). Its identity is where the
original was read: a letter that is written twice, because the consumer crashed before its commit, is one letter.
A letter ends with a second record, its closing, which says what became of it (`replayed`, `discarded`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.chassis.event_log.port import Producer, PublishRefused, Received, Record, TopicPartition

PREFIX: Final = "dlq_"
DETAIL_MAX_CHARS: Final = 500
VALUE_OMITTED: Final = "dlq_value_omitted"
CLOSED: Final = "dlq_closed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record was read; the identity of its letter."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that could not be processed, by whom, when and why."""

    original: Received
    group: str
    reason: str
    detail: str
    at: datetime
    value_omitted: bool = False  # too large to be set aside; it is still at its place in the topic

    @property
    def place(self) -> Place:
        """Where the original was read."""
        return Place(self.original.record.topic, self.original.partition, self.original.offset)


class DeadLetterFuse(Exception):  # noqa: N818 - says what happened
    """Letters come too fast: more likely the consumer is wrong than the events. It stops instead of diverting them."""


class Fuse:
    """Lets through so many letters in so many seconds."""

    def __init__(self, records_max: int, window_seconds: float) -> None:
        self._records_max = records_max
        self._window_seconds = window_seconds
        self._passed: deque[float] = deque()

    def pass_through(self, letters: Sequence[Letter], now: float) -> None:
        """Count the letters at `now` (monotonic seconds).

        Raises:
            DeadLetterFuse: they would be too many; they are not counted and must not be written.
        """
        while self._passed and self._passed[0] <= now - self._window_seconds:
            self._passed.popleft()
        if len(self._passed) + len(letters) > self._records_max:
            reasons = sorted({letter.reason for letter in letters})
            raise DeadLetterFuse(
                f"{len(self._passed) + len(letters)} dead letters within {self._window_seconds:g} s, at most "
                f"{self._records_max}; the newest for {', '.join(reasons)}, first at {letters[0].place}"
            )
        self._passed.extend(now for _ in letters)


async def write_letters(producer: Producer, twin: str, letters: Sequence[Letter], *, deadline_seconds: float) -> None:
    """Write letters to the twin of their topic; raises as `Producer.publish`.

    A value that leaves no room for the headers of the letter is left out: it is still at its place in the topic.
    """
    records = [_to_record(letter, twin) for letter in letters]
    while True:
        try:
            await producer.publish(records, deadline_seconds=deadline_seconds)
        except PublishRefused as refused:
            if records[refused.index].value is None:
                raise
            records[refused.index] = _without_value(records[refused.index])
        else:
            return


def from_record(received: Received) -> Letter | None:
    """The letter that a record of a twin is, or None if it is something else (a closing, or not ours)."""
    own = _own_headers(received.record)
    place = place_of(received.record)
    if place is None or "dlq_reason" not in own:
        return None
    original = Received(
        record=replace(received.record, topic=place.topic, headers=_foreign_headers(received.record), partition=None),
        partition=place.partition,
        offset=place.offset,
        at=_time(own.get("dlq_received_at"), received.at),
    )
    return Letter(
        original,
        group=own.get("dlq_group", ""),
        reason=own["dlq_reason"],
        detail=own.get("dlq_detail", ""),
        at=_time(own.get("dlq_at"), received.at),
        value_omitted=VALUE_OMITTED in own,
    )


def closing(place: Place, twin: str, partition: int, outcome: str, at: datetime) -> Record:
    """The record that ends a letter; it goes to the letter's own partition of the twin, so that it comes after it."""
    headers = {**_place_headers(place), CLOSED: outcome, "dlq_at": at.isoformat()}
    return Record(twin, None, b"", tuple((name, value.encode()) for name, value in headers.items()), partition)


def is_closing(record: Record) -> bool:
    """Whether a record of a twin ends a letter."""
    return any(name == CLOSED for name, _ in record.headers)


def place_of(record: Record) -> Place | None:
    """Where the original of a record of a twin was read."""
    own = _own_headers(record)
    try:
        return Place(own["dlq_topic"], int(own["dlq_partition"]), int(own["dlq_offset"]))
    except (KeyError, ValueError):
        return None


def offsets_before(letters: Sequence[Letter]) -> dict[TopicPartition, int]:
    """How far each partition may be committed while these letters are not written: up to the first one."""
    offsets: dict[TopicPartition, int] = {}
    for letter in letters:
        place = letter.original.place
        offsets[place] = min(offsets.get(place, letter.original.offset), letter.original.offset)
    return offsets


def _to_record(letter: Letter, twin: str) -> Record:
    own = {
        **_place_headers(letter.place),
        "dlq_group": letter.group,
        "dlq_reason": letter.reason,
        "dlq_detail": letter.detail[:DETAIL_MAX_CHARS],
        "dlq_at": letter.at.isoformat(),
        "dlq_received_at": letter.original.at.isoformat(),
    }
    headers = (*_foreign_headers(letter.original.record), *((name, value.encode()) for name, value in own.items()))
    return replace(letter.original.record, topic=twin, headers=headers, partition=None)


def _without_value(record: Record) -> Record:
    size = str(len(record.value or b"")).encode()
    return replace(record, value=None, headers=(*record.headers, (VALUE_OMITTED, size)))


def _place_headers(place: Place) -> dict[str, str]:
    return {"dlq_topic": place.topic, "dlq_partition": str(place.partition), "dlq_offset": str(place.offset)}


def _own_headers(record: Record) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in record.headers if name.startswith(PREFIX)}


def _foreign_headers(record: Record) -> tuple[tuple[str, bytes], ...]:
    """The headers of the original, also of one that was a dead letter before."""
    return tuple((name, value) for name, value in record.headers if not name.startswith(PREFIX))


def _time(text: str | None, otherwise: datetime) -> datetime:
    try:
        return otherwise if text is None else datetime.fromisoformat(text)
    except ValueError:
        return otherwise
