import asyncio
from collections import Counter

import pytest

from services.atp.application.commands import Origin, ServeBackorders
from services.atp.application.queues import BATCH_LINES_MAX, LINES_MAX, WEIGHTS, Entry, Lane, QueueFull, Queues

ORIGIN = Origin("correlation", "cause")


def entry(lane: Lane, lines: int = 1, name: str = "item") -> Entry:
    return Entry(lane, ServeBackorders((name,), ORIGIN, lines, lines), asyncio.get_running_loop().create_future(), 0.0)


async def test_a_lane_is_first_in_first_out() -> None:
    queues = Queues()
    for number in range(3):
        queues.put(entry(Lane.HTTP, name=str(number)))
    assert [each.command.items[0] for each in queues.take() if isinstance(each.command, ServeBackorders)] == [
        "0",
        "1",
        "2",
    ]
    assert queues.take() == []


async def test_a_batch_is_bounded_by_lines_and_holds_at_least_one_command() -> None:
    queues = Queues()
    for lines in (BATCH_LINES_MAX + 1, 1, BATCH_LINES_MAX - 1, 1):
        queues.put(entry(Lane.HTTP, lines))
    assert [[each.command.lines for each in queues.take()] for _ in range(3)] == [
        [BATCH_LINES_MAX + 1],
        [1, BATCH_LINES_MAX - 1],
        [1],
    ]
    assert queues.lines[Lane.HTTP] == 0


async def test_lanes_get_turns_by_weight_and_none_waits_for_long() -> None:
    queues = Queues()
    for lane in Lane:
        for _ in range(100):
            queues.put(entry(lane, BATCH_LINES_MAX // 8))
    turns = []
    for _ in range(sum(WEIGHTS.values())):
        (lane,) = {each.lane for each in queues.take()}
        turns.append(lane)
        for _ in range(8):
            queues.put(entry(lane, BATCH_LINES_MAX // 8))
    assert Counter(turns) == WEIGHTS


async def test_a_lane_that_was_idle_does_not_save_up_turns() -> None:
    queues = Queues()
    for _ in range(50):
        queues.put(entry(Lane.HTTP, BATCH_LINES_MAX))
        queues.take()
    queues.put(entry(Lane.HTTP, BATCH_LINES_MAX))
    queues.put(entry(Lane.REDECIDE, BATCH_LINES_MAX))
    assert {queues.take()[0].lane for _ in range(2)} == {Lane.HTTP, Lane.REDECIDE}


async def test_a_full_lane_takes_no_more_but_an_empty_one_takes_any() -> None:
    queues = Queues()
    queues.put(entry(Lane.HTTP, LINES_MAX[Lane.HTTP] + 1))
    with pytest.raises(QueueFull):
        queues.put(entry(Lane.HTTP))
    queues.put(entry(Lane.KAFKA))
