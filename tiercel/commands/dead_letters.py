"""`tiercel dlq`: the events that could not be processed, in the twins of their topics."""

import json
from collections import Counter
from pathlib import Path

from services.chassis.dead_letters import Place
from services.chassis.dlq import DeadLetters
from services.contracts import topics
from tiercel.reaching import reach


async def print_counts(data: Path | None) -> None:
    """How many letters wait, by topic and reason: one line each."""
    found = False
    async with reach(data) as reached:
        letters = DeadLetters(reached.event_log, topics.dead_letters)
        for topic in topics.ALL:
            counts = Counter(letter.reason for letter in await letters.waiting(topic.name))
            for reason, count in sorted(counts.items()):
                found = True
                print(f"{topic.name}  {reason}  {count}")
    if not found:
        print("No dead letters wait.")


async def print_letters(data: Path | None, topic: str) -> None:
    """The letters of a topic: one line each."""
    async with reach(data) as reached:
        letters = await DeadLetters(reached.event_log, topics.dead_letters).waiting(topic)
    for letter in letters:
        place, at = letter.place, letter.at.isoformat(timespec="seconds")
        where = f"--partition {place.partition} --offset {place.offset}"
        print(f"{where}  {at}  {letter.group}  {letter.reason}  {json.dumps(letter.detail)}")
    if not letters:
        print(f"No dead letters of {topic} wait.")


async def print_letter(data: Path | None, place: Place) -> None:
    """Everything about one letter. Bytes are printed as JSON text, so that they cannot steer the terminal."""
    async with reach(data) as reached:
        letter = await DeadLetters(reached.event_log, topics.dead_letters).find(place)
    record = letter.original.record
    value = "(too large to be set aside; it is still at its place)" if letter.value_omitted else _text(record.value)
    shown = {
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "received_at": letter.original.at.isoformat(),
        "set_aside_at": letter.at.isoformat(),
        "group": letter.group,
        "reason": letter.reason,
        "detail": letter.detail,
        "key": _text(record.key),
        "headers": {name: _text(value) for name, value in record.headers},
        "value": value,
    }
    print(json.dumps(shown, indent=2))


async def replay(data: Path | None, topic: str, place: Place | None) -> int:
    """Put one letter, or all that wait, back to the end of their topic; how many."""
    async with reach(data) as reached:
        return await DeadLetters(reached.event_log, topics.dead_letters).replay(topic, place)


async def discard(data: Path | None, place: Place) -> None:
    """Throw a letter away."""
    async with reach(data) as reached:
        await DeadLetters(reached.event_log, topics.dead_letters).discard(place)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
