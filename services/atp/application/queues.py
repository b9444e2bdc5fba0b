"""The bounded queues in front of the engine: one lane per way in, first in first out, served by weight.

A batch is taken from one lane: so re-decision runs in turn with new requests and never in their transaction. Turns are
dealt by weight among the lanes that have something (smooth weighted round robin: no lane waits for more turns than the
others' weights add up to).
"""

from asyncio import Future
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.atp.application.commands import Command, Outcome

BATCH_LINES_MAX: Final = 512  # a transaction of this size holds its locks for some 20 ms


class Lane(StrEnum):
    """The ways in; the values are the metric's labels."""

    HTTP = "http"
    KAFKA = "kafka"
    REDECIDE = "redecide"


# Turns: somebody waits for HTTP, re-decision may take its time.
WEIGHTS: Final = {Lane.HTTP: 4, Lane.KAFKA: 3, Lane.REDECIDE: 1}
# Lines that may wait: what a second's worth of deciding clears, so that nobody queues only to miss his deadline.
LINES_MAX: Final = {Lane.HTTP: 10_000, Lane.KAFKA: 10_000, Lane.REDECIDE: 10_000}


class QueueFull(Exception):  # noqa: N818 - says what happened
    """A lane holds as much as may wait; come back later."""

    problem_code = "overloaded"


@dataclass(slots=True, eq=False)
class Entry:
    """A command that waits, with the future of its outcome and when it came (monotonic seconds)."""

    lane: Lane
    command: Command
    answer: "Future[Outcome]"
    entered: float


class Queues:
    """The lanes of one engine."""

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[Entry]] = {lane: deque() for lane in Lane}
        self._credit: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self.lines: Final[dict[Lane, int]] = dict.fromkeys(Lane, 0)

    def put(self, entry: Entry) -> None:
        """Add an entry; an empty lane takes any. Raises QueueFull."""
        lines = self.lines[entry.lane]
        if lines and lines + entry.command.lines > LINES_MAX[entry.lane]:
            raise QueueFull(entry.lane)
        self._waiting[entry.lane].append(entry)
        self.lines[entry.lane] = lines + entry.command.lines

    def take(self) -> list[Entry]:
        """The next batch: what the lane whose turn it is has, up to `BATCH_LINES_MAX` lines, at least one entry."""
        ready = [lane for lane in Lane if self._waiting[lane]]
        if not ready:
            return []
        lane = self._turn(ready)
        waiting = self._waiting[lane]
        taken: list[Entry] = []
        lines = 0
        while waiting and (not taken or lines + waiting[0].command.lines <= BATCH_LINES_MAX):
            entry = waiting.popleft()
            lines += entry.command.lines
            taken.append(entry)
        self.lines[lane] -= lines
        return taken

    def _turn(self, ready: list[Lane]) -> Lane:
        for lane in ready:
            self._credit[lane] += WEIGHTS[lane]
        chosen = max(ready, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(WEIGHTS[lane] for lane in ready)
        return chosen
