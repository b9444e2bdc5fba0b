"""`tiercel dlq` on a running deployment: an event that nobody can read is found, looked at, put back and ended."""

import json
import re

import pytest

from services.chassis.dead_letters import Letter
from services.chassis.dlq import DeadLetters
from services.chassis.event_log.port import Record
from services.contracts.topics import ORDERS, dead_letters
from tests.support.serve import Served, tiercel
from tests.support.waiting import until
from tiercel.commands import dead_letters as dlq
from tiercel.reaching import reach

NOT_AN_EVENT = Record(ORDERS.name, b"A-1", b"\x1b[31mno event", (("content-type", b"application/json"),))


def _gauge(served: Served) -> float:
    metrics = served.ask("atp", "GET", "/metrics").text
    found = re.search(rf'tiercel_dead_letters_waiting{{topic="{ORDERS.name}"}} (\S+)', metrics)
    assert found
    return float(found[1])


async def _publish(served: Served) -> None:
    async with reach(served.data) as reached:
        producer = await reached.event_log.producer("test")
        await producer.publish([NOT_AN_EVENT], deadline_seconds=60)
        await producer.close()


async def _the_letter(served: Served, *, after: int = -1) -> Letter:
    """The one that waits, read after the offset."""
    found: list[Letter] = []
    async with reach(served.data) as reached:
        letters = DeadLetters(reached.event_log, dead_letters)

        async def arrived() -> bool:
            found[:] = [letter for letter in await letters.waiting(ORDERS.name) if letter.place.offset > after]
            return bool(found)

        await until(arrived)
    assert len(found) == 1
    return found[0]


async def test_a_letter_from_its_arrival_to_its_end(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    await dlq.print_counts(served.data)
    assert "No dead letters wait" in capsys.readouterr().out

    await _publish(served)
    first = await _the_letter(served)
    await until(lambda: _gauge(served) == 1)

    await dlq.print_counts(served.data)
    await dlq.print_letters(served.data, ORDERS.name)
    assert capsys.readouterr().out.count(first.reason) == 2

    await dlq.print_letter(served.data, first.place)
    printed = capsys.readouterr().out
    assert json.loads(printed)["value"] == "\x1b[31mno event"
    assert "\x1b" not in printed, "what is printed must not steer the terminal"

    assert await dlq.replay(served.data, ORDERS.name, first.place) == 1
    again = await _the_letter(served, after=first.place.offset)  # it fails again, as a letter of its own
    await dlq.discard(served.data, again.place)
    await until(lambda: _gauge(served) == 0)
    await dlq.print_letters(served.data, ORDERS.name)
    assert "No dead letters" in capsys.readouterr().out


def test_a_letter_that_does_not_wait_is_said_so(served: Served) -> None:
    done = tiercel("dlq", "show", ORDERS.name, "--partition", "0", "--offset", "4711", "--data", str(served.data))
    assert done.returncode == 1
    assert "LetterGone" in done.stderr
