"""How a log may tell a history: partition by partition in any turn, with repetitions, rewinds and compaction.

Kept is what the reference promises (docs/reference/interfaces.md): inside a partition the first telling of each record
is in order, and whoever reads to the end has read the newest record of every key. All else is allowed: a rewind tells
records again, older ones after newer ones; a compacted topic leaves out what has a newer record of its key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

REWIND_MAX: Final = 6  # records that are told again
REWIND_ONE_IN: Final = 6
PAUSE_ONE_IN: Final = 12
PAUSE_IN_REWIND_ONE_IN: Final = 4  # when what is told again is older than what was told


@dataclass(frozen=True, slots=True)
class Told:
    """One record as it is told; `value` None is a tombstone, `sequence` the version of the key."""

    topic: str
    key: str
    type: str
    sequence: int
    value: dict[str, Any] | None


def deliver(random: Random, partitions: Sequence[Sequence[Told]], *, compacted: bool) -> Iterator[Told | None]:
    """The records in an order in which a subscriber may see them; None is a moment between two of them, to be asked.

    The last moment comes when all was told. Records of one key are in one partition, in the order of their sequence.
    """
    left = [_compact(random, each) if compacted else list(each) for each in partitions]
    places, told = [0] * len(left), [0] * len(left)
    while behind := [index for index, each in enumerate(left) if places[index] < len(each)]:
        index = random.choice(behind)
        yield left[index][places[index]]
        places[index] += 1
        told[index] = max(told[index], places[index])
        if random.randrange(PAUSE_IN_REWIND_ONE_IN if places[index] < told[index] else PAUSE_ONE_IN) == 0:
            yield None
        if random.randrange(REWIND_ONE_IN) == 0:
            places[index] = max(0, places[index] - random.randint(1, REWIND_MAX))
    yield None


def _compact(random: Random, records: Sequence[Told]) -> list[Told]:
    """Without some of those that have a newer record of their key: compaction runs when it likes."""
    newest = {record.key: place for place, record in enumerate(records)}
    upto = random.randint(0, len(records))
    return [record for place, record in enumerate(records) if place >= upto or newest[record.key] == place]
