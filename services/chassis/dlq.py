"""Working on dead letters: which wait, what is in one, put back, throw away. Used by `tiercel dlq` and the gauge.

A letter waits from when it is written until its closing. Nothing is deleted: the twin keeps letters and closings for
as long as its retention says.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from services.chassis.clocks import SystemClock, WallClock
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Retry
from services.chassis.dead_letters import Letter, Place, closing, from_record, is_closing, place_of
from services.chassis.event_log.port import EventLog, LogReader, LogUnavailable, Producer, Received

POLL_RECORDS: Final = 500
POLL_SECONDS: Final = 1.0
PUBLISH_SECONDS: Final = 10.0
REPLAYED: Final = "replayed"
DISCARDED: Final = "discarded"

_log = structlog.get_logger(__name__)


class LetterGone(Exception):  # noqa: N818 - says what happened
    """No letter of this place waits."""


class ValueOmitted(Exception):  # noqa: N818 - says what happened
    """The letter was too large to hold the value; the original is still at its place, if retention has left it."""


@dataclass(frozen=True, slots=True)
class WaitingLetter:
    """A letter that waits, and the partition of the twin that holds it."""

    letter: Letter
    partition: int


class DeadLetters:
    """The letters of an event log."""

    def __init__(self, log: EventLog, twin_of: Callable[[str], str], *, wall: WallClock | None = None) -> None:
        self._log = log
        self._twin_of = twin_of
        self._wall = wall or SystemClock()

    async def waiting(self, topic: str) -> list[Letter]:
        """The letters of a topic that wait, in the order of their originals."""
        return [each.letter for each in await self._waiting(topic)]

    async def find(self, place: Place) -> Letter:
        """The letter of a place; raises `LetterGone`."""
        return (await self._find(place)).letter

    async def replay(self, topic: str, place: Place | None = None) -> int:
        """Put letters (all that wait, or one) back to the end of their topic with their own event ids; how many.

        A crash in between may put one back twice, which consumers take for a duplicate.

        Raises:
            LetterGone: no such letter waits.
            ValueOmitted: the one asked for cannot be put back; of all, such are left waiting.
            PublishUnknown: not confirmed; what was put back is closed, the rest waits.
        """
        chosen = await self._waiting(topic) if place is None else [await self._find(place)]
        whole = [each for each in chosen if not each.letter.value_omitted]
        if place is not None and not whole:
            raise ValueOmitted(f"{place}")
        producer = await self._log.producer("dlq")
        try:
            for each in whole:
                original = replace(each.letter.original.record, topic=topic, partition=None)
                await producer.publish([original], deadline_seconds=PUBLISH_SECONDS)
                await self._close(producer, each, REPLAYED)
        finally:
            await producer.close()
        return len(whole)

    async def discard(self, place: Place) -> None:
        """Throw a letter away: it was mended elsewhere, or is of no use. Raises `LetterGone`."""
        letter = await self._find(place)
        producer = await self._log.producer("dlq")
        try:
            await self._close(producer, letter, DISCARDED)
        finally:
            await producer.close()

    async def _close(self, producer: Producer, waiting: WaitingLetter, outcome: str) -> None:
        place = waiting.letter.place
        record = closing(place, self._twin_of(place.topic), waiting.partition, outcome, self._wall.now())
        await producer.publish([record], deadline_seconds=PUBLISH_SECONDS)

    async def _find(self, place: Place) -> WaitingLetter:
        for each in await self._waiting(place.topic):
            if each.letter.place == place:
                return each
        raise LetterGone(f"{place}")

    async def _waiting(self, topic: str) -> list[WaitingLetter]:
        letters: dict[Place, WaitingLetter] = {}
        reader = await self._log.reader([self._twin_of(topic)])
        try:
            ends = await reader.end_offsets()
            while not await _is_past(reader, ends):
                for received in await reader.poll(POLL_RECORDS, POLL_SECONDS):
                    _take(letters, received)
        finally:
            await reader.close()
        return sorted(letters.values(), key=lambda each: (each.letter.place.partition, each.letter.place.offset))


class DeadLetterWatch:
    """Keeps the gauge of waiting letters: a side task of each process that consumes."""

    def __init__(
        self,
        log: EventLog,
        topics: Sequence[str],
        *,
        dead_letters: Callable[[str], str],
        metrics: ConsumerMetrics,
        reopen: Retry | None = None,
    ) -> None:
        self._log = log
        self._topics = {dead_letters(topic): topic for topic in topics}
        self._metrics = metrics
        self._reopen = reopen or Retry(pause_first_seconds=1.0, pause_max_seconds=30.0)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the twins until `stop` is set; without the log the gauge keeps its last value."""
        failures = 0
        while not stop.is_set():
            try:
                await self._follow(stop)
            except LogUnavailable as error:
                failures += 1
                _log.warning("dead_letters_not_watched", error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._reopen.pause_seconds(min(failures, self._reopen.attempts_max))):
                        await stop.wait()

    async def _follow(self, stop: asyncio.Event) -> None:
        places: dict[str, set[Place]] = {topic: set() for topic in self._topics.values()}
        reader = await self._log.reader(list(self._topics))
        try:
            while not stop.is_set():
                for received in await reader.poll(POLL_RECORDS, POLL_SECONDS):
                    place = place_of(received.record)
                    waiting = places[self._topics[received.record.topic]]
                    if place is not None:
                        (waiting.discard if is_closing(received.record) else waiting.add)(place)
                for topic, waiting in places.items():
                    self._metrics.waiting.at(topic).set(len(waiting))
        finally:
            await reader.close()


def _take(letters: dict[Place, WaitingLetter], received: Received) -> None:
    if is_closing(received.record):
        if (place := place_of(received.record)) is not None:
            letters.pop(place, None)
    elif (letter := from_record(received)) is not None:
        letters[letter.place] = WaitingLetter(letter, received.partition)


async def _is_past(reader: LogReader, ends: dict[tuple[str, int], int]) -> bool:
    positions = await reader.positions()
    return all(positions[place] >= end for place, end in ends.items())
